"""What an agent is told that knows the rules of an episode, and neither its answer nor whether it needs a tool.

With the task drawn once for each possible answer, and an environment in which to try calls on each of these drawings,
it can compare what the environment returned with what it would have returned, and nothing more. Ideal agents play so
(`metis_agents.ideal`); a player hands them the rules.
"""

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from metis_gym.backstage import backstage
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError
from metis_gym.records import Plan, PricedPlan, Task
from metis_gym.tasksets import Taskset
from metis_gym.tools.noise import ToolNoise
from metis_gym.tools.toolbox import Toolbox
from metis_gym.variants import Variants
from metis_gym.worth import best_plan, noisy_plans, offered_plans

__all__ = ["Rules", "same_observation"]

Action = Mapping[str, Any]


class Rules:
    """The rules of the episode that an environment has begun.

    Args:
        env: The environment.

    Attributes:
        noise: Probability that a tool is wrong.

    Raises:
        ConfigError: It is not an environment of this package.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        inside, inner = backstage(env), env.unwrapped
        if not isinstance(inner, ToolUseEnv):
            raise ConfigError(f"the rules of {inner} are not known: it is no ToolUseEnv")
        self._env, self._task_id = inner, inside.episode.task.task_id
        self._can_vary = inside.taskset.can_vary(self._task_id)
        self.noise = inner.tool_noise.share_on(inner.taskset, inner.episode.task)

    @functools.cached_property
    def possible(self) -> Variants:
        """The task with each of its possible answers; which of them is played is not said.

        Raises:
            ConfigError: They are not known.
        """
        if not self._can_vary:
            raise ConfigError(
                f"an agent that compares all possible answers needs a taskset that knows them (Taskset.variants); that "
                f"of the task {self._task_id!r} does not"
            )
        return self._env.taskset.variants(self._task_id, every=True)

    def rehearse(self, place: int, actions: Sequence[Action] = ()) -> Any:
        """What would be observed after these calls, if the answer of a place were right, and all tools were.

        Raises:
            InfrastructureError: A tool broke.
        """
        twin = _twin(self._env, self.possible[place])
        try:
            observation, _ = twin.reset(options={"task_id": self._task_id})
            for action in actions:
                observation = twin.step(twin.encode_action(action))[0]
                if twin.failure is not None:
                    raise twin.failure
        finally:
            twin.close()
        return observation

    def best_plan(self, task: Task, lam: float) -> Plan | None:
        """The plan with the largest accuracy − λ · price of a task; None where none is known."""
        toolbox, max_turns = self._env.toolbox, self._env.turn_taker.limits.max_turns
        priced: dict[PricedPlan, Plan] = {}
        for plan in noisy_plans(task, self.noise):
            for offer in offered_plans([plan], toolbox.prices, toolbox.tools, max_turns):
                priced.setdefault(offer, plan)
        return priced[best_plan(tuple(priced), lam)] if priced else None


def same_observation(one: Any, other: Any) -> bool:
    """Whether two observations are equal, to the bit."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_observation(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_observation, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


class _Only(Taskset):
    """One task."""

    def __init__(self, task: Task) -> None:
        self._task = task

    @property
    def families(self) -> tuple[str, ...]:
        return (self._task.family,)

    def draw(self, rng: np.random.Generator) -> str:  # noqa: ARG002
        return self._task.task_id

    def build(self, task_id: str) -> Task:  # noqa: ARG002
        return self._task

    def load(self, task_id: str) -> Task:
        return self.build(task_id)


def _twin(env: ToolUseEnv, task: Task) -> ToolUseEnv:
    """An environment of the same rules, on another task, whose tools are right; it shares nothing that changes."""
    twin = copy.copy(env)
    twin.toolbox = Toolbox(list(env.toolbox.tools.values()), prices=env.toolbox.prices)
    twin.turn_taker = dataclasses.replace(env.turn_taker, toolbox=twin.toolbox)
    twin.taskset, twin.tool_noise = _Only(task), ToolNoise()
    return twin
