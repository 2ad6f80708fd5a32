"""Tools that can hurt: now and then a tool works on another answer's image and pages, for a whole episode.

Whether it does is one draw for each run, task, member, episode and tool, whatever the arguments and the number of
calls: asking again shows the same. What is shown is the task as it would be if another answer were right, one that the
view leaves, so that nothing in the view speaks against it. Where the view leaves one answer only, it is any other
possible answer of the task: whoever looks is not misled.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.grading import Visit
from metis_gym.records import Task, ToolResult
from metis_gym.tasksets import Taskset
from metis_gym.tools.contract import ToolSession

__all__ = ["StandIn", "StandInSession", "ToolNoise"]


@dataclass(frozen=True)
class StandIn:
    """The task that a tool works on in place of the one that is played.

    Attributes:
        name: Tells stand-ins of the same task apart.
        make: Makes it: called when the tool is.
    """

    name: str
    make: Callable[[], Task]


@dataclass(frozen=True)
class ToolNoise:
    """Decides which tools are wrong.

    Attributes:
        share: h, the probability that a tool is wrong in an episode.
        key: Of the run, usually its seed.

    Raises:
        ConfigError: A share that is not valid.
    """

    share: float = 0.0
    key: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0 <= self.share <= 1:
            raise ConfigError(f"tool_noise must be a share from 0 to 1, actually: {self.share!r}")

    def share_on(self, taskset: Taskset, task: Task) -> float:
        """The probability that a tool is wrong on a task: 0 where its other answers are not known."""
        return self.share if self.share and taskset.can_vary(task.task_id) else 0.0

    def stand_ins(self, taskset: Taskset, task: Task, visit: Visit, tools: Iterable[str]) -> dict[str, StandIn]:
        """Tool → what it works on in this episode, for the tools that are wrong. Nothing is drawn yet.

        Args:
            taskset: The task's.
            task: The task that is played.
            visit: Who plays it, and for the how many-th time.
            tools: The names of the tools that there are.
        """
        if self.share_on(taskset, task) == 0:
            return {}
        draws = {tool: self._draws(task.task_id, visit, tool) for tool in tools}
        return {
            tool: StandIn(f"{which:.12f}", _maker(taskset, task, which))
            for tool, (strike, which) in draws.items()
            if strike < self.share
        }

    def _draws(self, task_id: str, visit: Visit, tool: str) -> tuple[float, float]:
        """Two numbers from 0 to 1: does the noise strike, and which of the other answers is shown?"""
        text = f"tool/{self.key}/{task_id}/{visit.member}/{visit.episode}/{tool}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        strike, which = (int.from_bytes(part, "big") / 2.0**64 for part in (digest[:8], digest[8:]))
        return strike, which


class StandInSession(ToolSession):
    """A session on a stand-in, which is made and opened at the first call.

    Args:
        make: Opens the session.
    """

    def __init__(self, make: Callable[[], ToolSession]) -> None:
        self._make = make
        self._session: ToolSession | None = None

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Run a call."""
        if self._session is None:
            self._session = self._make()
        return self._session.call(arguments)

    def close(self) -> None:
        """End the session, if there is one."""
        if self._session is not None:
            self._session.close()


def _maker(taskset: Taskset, task: Task, which: float) -> Callable[[], Task]:
    def make() -> Task:
        left = taskset.variants(task.task_id)
        possible = left if len(left) > 1 else taskset.variants(task.task_id, every=True)
        others = [place for place, answer in enumerate(possible.answers) if answer != task.gold.value]
        return possible[others[min(int(which * len(others)), len(others) - 1)]] if others else task

    return make
