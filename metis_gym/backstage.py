"""What trainers, players and recorders may do with an environment; agents may not.

An agent sees observations and infos, as any Gymnasium agent does. Whoever runs agents needs more: which task is being
played, the conversation, one taskset for many environments, tool results that a group shares. `backstage(env)` is the
one way to all of that. It goes through every wrapper, and its type says what is there.
"""

import inspect
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np

from metis_gym.dialects import Dialect
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.grading import Grade
from metis_gym.records import Episode, Outcome
from metis_gym.tasksets import Taskset
from metis_gym.tools.toolbox import Toolbox

__all__ = ["Backstage", "Pin", "backstage", "stream_task_id", "visible_info"]

_VISIBLE = frozenset(
    ("task_id", "family", "tool_calls", "tool_cost", "tool_errors", "turns", "tokens", "truncated", "scored")
)
_VISIBLE_PREFIX = "tool_calls_by/"


class Backstage(Protocol):
    """The inside of an environment of this package.

    Attributes:
        dialect: What a model writes and reads.
        taskset: Where its tasks come from.
        toolbox: Its tools.
        failure: The infrastructure error that ended the episode; None if there was none.
    """

    dialect: Dialect
    taskset: Taskset
    toolbox: Toolbox
    failure: InfrastructureError | None

    @property
    def episode(self) -> Episode:
        """The episode so far: the task, gold answer included, and the conversation."""
        ...

    @property
    def grade(self) -> Grade:
        """How the final answer was graded."""
        ...

    @property
    def outcome(self) -> Outcome:
        """The episode so far; what a reward design would see of it is `outcome.for_designs`."""
        ...

    def use_taskset(self, taskset: Taskset) -> None:
        """Draw tasks from another taskset from the next episode on, such as one that many environments share."""
        ...

    def use_toolbox(self, toolbox: Toolbox) -> None:
        """Let other tools answer from the next episode on: recorded results, results that a group shares."""
        ...

    def use_noise_key(self, key: int) -> None:
        """Give grader noise and tool noise another key."""
        ...

    def use_tool_noise(self, share: float) -> None:
        """Let tools be wrong with another probability from the next episode on; demonstrations are of right tools."""
        ...

    def encode_action(self, action: Mapping[str, Any]) -> Any:
        """A scripted agent's call or answer as an action of this environment's action space."""
        ...


@dataclass(frozen=True)
class Pin:
    """Which episode to play: the options of `reset`, typed.

    Attributes:
        task_id: The task.
        member: Which episode of the task's group.
        episode: Tells apart the times that a task comes up; noise is keyed by it.
    """

    task_id: str
    member: int = 0
    episode: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """For `env.reset(options=…)`."""
        return {"task_id": self.task_id, "member": self.member, "episode": self.episode}


def backstage(env: gym.Env[Any, Any]) -> Backstage:
    """The inside of an environment, through all its wrappers.

    Raises:
        ConfigError: It is not an environment of this package.
    """
    inner = env.unwrapped
    if type(inner) in _KNOWN:
        return cast("Backstage", inner)
    # Looked up statically: properties such as `episode` raise before the first reset.
    lacking = [name for name in _MEMBERS if inspect.getattr_static(inner, name, _ABSENT) is _ABSENT]
    if lacking:
        raise ConfigError(
            f"Expect an environment of metis-gym, such as MetisVQA-v0, actually: {inner}, which lacks "
            f"{', '.join(lacking)}"
        )
    _KNOWN.add(type(inner))
    return cast("Backstage", inner)


def stream_task_id(taskset: Taskset, stream: int, number: int) -> str:
    """Id of task `number` of a stream of tasks: it depends on these two numbers and the taskset only.

    Args:
        taskset: Where tasks come from.
        stream: The seed of the stream.
        number: From 0 on.
    """
    return taskset.draw(np.random.default_rng(np.random.SeedSequence([stream, number])))


def visible_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """What of an environment's `info` an agent is handed; whatever is not named here stays hidden.

    >>> visible_info({"tool_calls": 1.0, "correct": True, "necessity": "none", "tool_calls_by/python": 1.0})
    {'tool_calls': 1.0, 'tool_calls_by/python': 1.0}
    """
    return {key: value for key, value in info.items() if key in _VISIBLE or key.startswith(_VISIBLE_PREFIX)}


_ABSENT = object()
_KNOWN: weakref.WeakSet[type] = weakref.WeakSet()
_MEMBERS = tuple(sorted({name for name in (*Backstage.__annotations__, *vars(Backstage)) if not name.startswith("_")}))
