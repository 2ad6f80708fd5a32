"""Scripted agents: fixtures for tests and baselines for tables. They know the task, and so prove nothing about it.

| agent | where no tool is needed | where a tool is needed |
|---|---|---|
| `OracleAgent` | answers right at once | calls as the shortest solution does, then answers right |
| `AlwaysToolAgent` | calls a tool once, then answers right | the same |
| `NeverToolAgent` | answers right at once | guesses |
| `RandomAgent` | calls or guesses at random | the same |

Where tools may be wrong (`tool_noise`), the oracle answers what they show, as the best agent would.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from metis_agents.ideal import OptimalAgent
from metis_gym.grading.choice import LETTERS
from metis_gym.records import Necessity, Task, ToolCall
from metis_gym.rules import Rules
from metis_gym.tools.crop_code import crop_call

__all__ = [
    "SCRIPTED",
    "AlwaysToolAgent",
    "NeverToolAgent",
    "OracleAgent",
    "RandomAgent",
    "ScriptedAgent",
]

Action = Mapping[str, Any]

_SHOWN = (448, 448)


class ScriptedAgent:
    """Plays a list of calls, then answers. The only kind of agent that is told the task: `brief` follows `reset`.

    A subclass has a `name`, and overrides `_plan` (the calls) and `_choose` (the answer).
    """

    name = ""

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode; all that is random in it comes from this generator."""
        self._rng = rng

    def brief(self, task: Task) -> None:
        """Plan the episode.

        Args:
            task: The whole task, gold answer included.
        """
        self._calls = list(self._plan(task, self._rng))
        self._answer = self._choose(task, self._rng)

    def act(self, observation: Any, info: dict[str, Any]) -> Action:  # noqa: ARG002
        """The next call, or the answer."""
        if self._calls:
            call = self._calls.pop(0)
            return {"name": call.name, "arguments": dict(call.arguments)}
        return {"answer": self._answer}

    def script(self, task: Task, rng: np.random.Generator) -> list[Action]:
        """All that it does in one episode of a task."""
        self.reset(rng)
        self.brief(task)
        actions = [self.act(None, {})]
        while "answer" not in actions[-1]:
            actions.append(self.act(None, {}))
        return actions

    def _plan(self, task: Task, rng: np.random.Generator) -> tuple[ToolCall, ...]:  # noqa: ARG002
        return ()

    def _choose(self, task: Task, rng: np.random.Generator) -> str:  # noqa: ARG002
        return task.gold.value


class OracleAgent(ScriptedAgent):
    """The task's own shortest solution; where tools may be wrong, the answer that they show."""

    name = "oracle"

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode."""
        super().reset(rng)
        self._reader: OptimalAgent | None = None

    def study(self, rules: Rules) -> None:
        """Learn the rules of the episode, after `brief`."""
        if rules.noise > 0:
            self._reader = OptimalAgent(lam=0.0)
            self._reader.reset(self._rng)
            self._reader.study(rules)

    def act(self, observation: Any, info: dict[str, Any]) -> Action:
        """The next call, or the answer."""
        return super().act(observation, info) if self._reader is None else self._reader.act(observation, info)

    def _plan(self, task: Task, rng: np.random.Generator) -> tuple[ToolCall, ...]:  # noqa: ARG002
        return task.solution


class AlwaysToolAgent(ScriptedAgent):
    """One tool call on every task, then the right answer."""

    name = "always-tool"

    def _plan(self, task: Task, rng: np.random.Generator) -> tuple[ToolCall, ...]:  # noqa: ARG002
        return task.solution[:1] or (_look_at(task),)


class NeverToolAgent(ScriptedAgent):
    """Never calls a tool: right where the view suffices, a guess among all possible answers elsewhere."""

    name = "never-tool"

    def answers(self, task: Task) -> tuple[str, ...]:
        """The answers that it may give, each as likely as the others."""
        return (task.gold.value,) if task.necessity is Necessity.NONE else task.alternatives or ("?",)

    def _choose(self, task: Task, rng: np.random.Generator) -> str:
        possible = self.answers(task)
        return possible[int(rng.integers(len(possible)))] if len(possible) > 1 else possible[0]


class RandomAgent(ScriptedAgent):
    """Up to two random crops, then a guess.

    Args:
        call_probability: Probability of each of the two calls.
    """

    name = "random"

    def __init__(self, call_probability: float = 0.5) -> None:
        self.call_probability = call_probability

    def _plan(self, task: Task, rng: np.random.Generator) -> tuple[ToolCall, ...]:
        return tuple(_random_crop(task, rng) for _ in range(2) if rng.random() < self.call_probability)

    def _choose(self, task: Task, rng: np.random.Generator) -> str:
        possible = tuple(LETTERS[: len(task.options)]) or task.alternatives or ("?",)
        return possible[int(rng.integers(len(possible)))]


SCRIPTED = {agent.name: agent for agent in (OracleAgent, AlwaysToolAgent, NeverToolAgent, RandomAgent)}
"""The scripted agents by name."""


def _look_at(task: Task) -> ToolCall:
    height, width = task.images[0].source.shape[:2]
    return crop_call(task.region or (0, 0, width, height), _SHOWN)


def _random_crop(task: Task, rng: np.random.Generator) -> ToolCall:
    height, width = task.images[0].source.shape[:2]
    left, top = int(rng.integers(width // 2)), int(rng.integers(height // 2))
    return crop_call((left, top, left + width // 4, top + height // 4), _SHOWN)
