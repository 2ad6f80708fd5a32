"""What an agent is, for evaluation: it sees what the environment returns and acts."""

from typing import Any, Protocol

import numpy as np

from metis_gym.records import Task

__all__ = ["Agent"]


class Agent(Protocol):
    """Acts in one environment at a time. Must be picklable, to be evaluated in several processes."""

    name: str

    def reset(self, task: Task, rng: np.random.Generator) -> None:
        """Start an episode.

        Args:
            task: The whole task, answer included. Only scripted baselines look at it; an honest agent must not.
            rng: Everything random that the agent does comes from here.
        """
        ...

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """Choose an action for what `reset` or `step` returned: text, a tool call, or `{"answer": text}`."""
        ...
