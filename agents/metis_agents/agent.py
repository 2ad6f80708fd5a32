"""What an agent is: it sees what the environment returns, and acts.

There are two kinds. An `Agent` plays one episode at a time, and is all that most people need to write. A `BatchAgent`
plays many at once, because its policy is faster so. `metis_agents.play.play` takes either. A `ModelAgent` is an `Agent`
that waits for somebody else most of the time, and is played in threads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import gymnasium as gym
import numpy as np

from metis_gym.backstage import Pin, visible_info
from metis_gym.dialects.contract import Dialect
from metis_gym.records import Outcome

__all__ = ["Agent", "BatchAgent", "MakeEnv", "ModelAgent", "NoAnswerError", "RolloutRequest", "visible_info"]

MakeEnv: TypeAlias = Callable[[], gym.Env[Any, Any]]


class NoAnswerError(Exception):
    """The model gives no answer in this episode, by its own doing: the episode ends truncated, and is scored.

    A refusal is one, and a conversation that is longer than its context. An agent whose *surroundings* fail raises an
    `InfrastructureError` instead, and the episode is not scored.
    """


class Agent(Protocol):
    """Acts in one environment at a time. Must be picklable, to be played in several processes.

    Attributes:
        name: Names its rows in tables.
    """

    name: str

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode.

        Args:
            rng: Everything random that the agent does comes from here.
        """
        ...

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """Choose an action for what `reset` or `step` returned.

        Args:
            observation: As the environment returned it.
            info: What an agent may know: the counts and costs of its calls so far, but neither scores nor whether a
                tool is needed (`visible_info`).

        Returns:
            An action of the environment's action space; text environments also take a tool call
            `{"name", "arguments"}`, a list of such, or `{"answer": text}`.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RolloutRequest:
    """An episode to be played.

    Attributes:
        task_id: The task.
        member: Which episode of the task's group.
        episode: Tells apart the times that a task comes up: grader noise is keyed by it.
        seed: Everything random in the episode comes from here.
    """

    task_id: str
    member: int = 0
    episode: int = 0
    seed: int = 0

    @property
    def pin(self) -> Pin:
        """What of it the environment is told."""
        return Pin(self.task_id, self.member, self.episode)


@runtime_checkable
class BatchAgent(Protocol):
    """Plays many episodes at a time, in this process.

    Attributes:
        name: Names its rows in tables.
    """

    name: str

    def play(self, make_env: MakeEnv, requests: Sequence[RolloutRequest]) -> Iterator[tuple[int, Outcome]]:
        """Play episodes.

        Args:
            make_env: Makes an environment; called as often as episodes are played at a time. Whoever calls it closes
                what it made.
            requests: The episodes. What is drawn in one depends on its own seed only, not on what else is in the batch.

        Yields:
            The place of a request and its outcome, as soon as the episode is over, in any order.
        """
        ...


@runtime_checkable
class ModelAgent(Protocol):
    """An `Agent` that is played in threads, beside clones of itself, and says what it used.

    Attributes:
        name: Names its rows in tables.
        settings: What decides how it plays; values that JSON can hold, and no keys.
        tools_ran: "ours", or "theirs" if the system runs tools itself.
    """

    name: str
    settings: Mapping[str, Any]
    tools_ran: str

    @property
    def usage(self) -> Any:
        """What the episode used so far, a `metis_agents.chat.usage.Usage`."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What a report must say about how it played."""
        ...

    def clone(self) -> "ModelAgent":
        """Another one that plays beside this one, with the same model."""
        ...

    def expect(self, parallel: int) -> None:
        """So many of its clones will play at a time."""
        ...

    def prepare(self, dialect: Dialect) -> None:
        """Learn what the environment expects."""
        ...

    def log_requests(self, path: Path) -> None:
        """Keep requests and answers in a file, where there are any."""
        ...

    def reset(self, rng: np.random.Generator) -> None:
        """As an `Agent`."""
        ...

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """As an `Agent`; raises `NoAnswerError` where the model will give no answer."""
        ...

    def finish(self, outcome: Outcome, prices: Mapping[str, float]) -> Outcome:
        """The outcome of the episode with what the environment cannot know, such as the number of tokens.

        Args:
            outcome: As the environment tells it.
            prices: Of a call, by the tool's name.
        """
        ...
