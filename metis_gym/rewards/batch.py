"""A batch of groups laid end to end, checked once, with what every design needs of it.

Axes: N is the number of episodes of the batch in order, G of one group.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Bools, Floats, Groups

__all__ = ["Batch", "Positions", "check_outcome"]

Positions: TypeAlias = NDArray[np.intp]
"""Where the members of one group lie among the N episodes."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of groups.

    Attributes:
        outcomes: The N episodes.
        slices: One for each group: where it lies among the N episodes.
        scored_N: True where the episode counts: infrastructure did not fail it.
    """

    outcomes: tuple[Outcome, ...]
    slices: tuple[slice, ...]
    scored_N: Bools

    @classmethod
    def of(cls, groups: Groups) -> "Batch":
        """Lay the groups end to end.

        Raises:
            ConfigError: No group, an empty group, a group of several tasks, or an outcome that is not valid.
        """
        if not groups:
            raise ConfigError("Expect at least one group of episodes, actually: none")
        slices, start = [], 0
        for index, group in enumerate(groups):
            _check_group(index, group)
            slices.append(slice(start, start + len(group)))
            start += len(group)
        outcomes = tuple(outcome for group in groups for outcome in group)
        return cls(outcomes, tuple(slices), np.array([outcome.scored for outcome in outcomes], dtype=np.bool_))

    @property
    def correct_N(self) -> Bools:
        """True where a scored episode is correct: HDPO's qualifying set Q, all groups together."""
        return np.array([outcome.scored and outcome.correct for outcome in self.outcomes], dtype=np.bool_)

    def each(self, score: Callable[[Outcome], float]) -> Floats:
        """The score of every scored episode, 0 for the others; shape (N,)."""
        return np.array([score(outcome) if outcome.scored else 0.0 for outcome in self.outcomes], dtype=np.float64)

    def by_group(self, score: Callable[[Sequence[Outcome]], Floats]) -> Floats:
        """Score the scored episodes of each group together, 0 for the others; shape (N,)."""
        scores_N = np.zeros(len(self.outcomes))
        for members_n in self.members(self.scored_N):
            scores_N[members_n] = score([self.outcomes[index] for index in members_n])
        return scores_N

    def members(self, members_N: Bools) -> list[Positions]:
        """For each group, the positions among N of its members."""
        return [np.flatnonzero(members_N[group]) + group.start for group in self.slices]


def check_outcome(outcome: Outcome) -> None:
    """Refuse an outcome that would turn a statistic into nonsense.

    Raises:
        ConfigError: A score outside [0, 1], a NaN, or a negative count.
    """
    for name, value, high in (
        ("answer_score", outcome.answer_score, 1.0),
        ("format_score", outcome.format_score, 1.0),
        ("tool_calls", outcome.tool_calls, math.inf),
        ("tool_cost", outcome.tool_cost, math.inf),
        ("turns", outcome.turns, math.inf),
        ("tokens", outcome.tokens, math.inf),
    ):
        if not 0.0 <= value <= high or not math.isfinite(value):
            limit = "from 0 to 1" if high == 1.0 else "of at least 0"
            raise ConfigError(
                f"Expect `{name}` of task {outcome.task_id!r} to be a number {limit}, actually: {value!r}"
            )


def _check_group(index: int, group: Sequence[Outcome]) -> None:
    if not group:
        raise ConfigError(f"Expect every group to have at least one episode, actually: group {index} has 0")
    for outcome in group:
        if outcome.task_id != group[0].task_id:
            raise ConfigError(
                f"Expect one task in a group, actually: group {index} has {group[0].task_id!r} and {outcome.task_id!r}"
            )
        if outcome.scored:
            check_outcome(outcome)
