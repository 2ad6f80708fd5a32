"""A curriculum over tasks: keep those that are neither always solved nor never (arXiv 2604.08545, RL curation).

A task that every episode of a group solves, or none, teaches nothing: its advantages are zero.
"""

from collections import deque

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome, Task
from metis_gym.tasksets import Taskset
from metis_gym.variants import Variants

__all__ = ["PassRateCurriculum"]

_ATTEMPTS = 100


class PassRateCurriculum(Taskset):
    """Draws from a pool of tasks; a task whose recent episodes were all right or all wrong leaves it for a fresh one.

    Args:
        taskset: Where fresh tasks come from.
        pool: How many tasks are in play.
        window: Recent episodes of a task that decide; a task with fewer stays.

    Raises:
        ConfigError: `pool` is not positive, or `window` is below 2.
    """

    def __init__(self, taskset: Taskset, *, pool: int, window: int = 8) -> None:
        if pool < 1 or window < 2:
            raise ConfigError(f"pool must be at least 1 and window at least 2, actually: {pool}, {window}")
        self.taskset, self.pool, self.window = taskset, pool, window
        self.tools, self.is_benchmark = taskset.tools, taskset.is_benchmark
        self._retired: set[str] = set()
        self._recent: dict[str, deque[bool]] = {}

    @property
    def retired(self) -> int:
        """How many tasks have left the pool; they do not come back."""
        return len(self._retired)

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the taskset that is drawn from."""
        return self.taskset.families

    def knows(self, task_id: str) -> bool:
        """Whether this id is one of the taskset's."""
        return self.taskset.knows(task_id)

    def draw(self, rng: np.random.Generator) -> str:
        """Fill the pool up, as far as there are fresh tasks, then draw one of its tasks.

        Raises:
            ConfigError: Every task has left the pool.
        """
        for _ in range(_ATTEMPTS * (self.pool - len(self._recent))):
            if len(self._recent) == self.pool:
                break
            task_id = self.taskset.draw(rng)
            if task_id not in self._retired:
                self._recent.setdefault(task_id, deque(maxlen=self.window))
        if not self._recent:
            raise ConfigError(f"all {self.retired} tasks of the curriculum are always or never solved")
        return list(self._recent)[int(rng.integers(len(self._recent)))]

    def build(self, task_id: str) -> Task:
        """Let the taskset make the task."""
        return self.taskset.build(task_id)

    def variants(self, task_id: str, *, every: bool = False) -> Variants:
        """Let the taskset make the task with each of the answers that its view leaves."""
        return self.taskset.variants(task_id, every=every)

    def can_vary(self, task_id: str) -> bool:
        """Whether the taskset knows the variants of the task."""
        return self.taskset.can_vary(task_id)

    def load(self, task_id: str) -> Task:
        """Let the taskset load the task."""
        return self.taskset.load(task_id)

    def report(self, outcome: Outcome) -> None:
        """Learn how an episode ended; unscored ones and tasks outside the pool do not count."""
        recent = self._recent.get(outcome.task_id)
        if recent is None or not outcome.scored:
            return
        recent.append(outcome.correct)
        if len(recent) == self.window and len(set(recent)) == 1:
            del self._recent[outcome.task_id]
            self._retired.add(outcome.task_id)
