"""The figures of a run, their means over seeds with t-intervals, and which runs are right.

Axes: K tasks, F counted fields.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metis_agents.compare.limits import within
from metis_agents.compare.records import Played, Result
from metis_agents.compare.seeds import Share, clopper_pearson, mean_over_seeds
from metis_gym.metrics import Estimate
from metis_gym.records import Necessity

__all__ = ["COLUMNS", "Column", "area_under_curve", "by_seed", "estimate", "is_right", "over_seeds", "right_runs"]

Ratio = Callable[[Played], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True)
class Column:
    """One figure of the table: a ratio of sums over tasks, or a mean over the batches of training.

    Attributes:
        title: What the table calls it.
        meaning: One line of explanation.
        ratio: Numerators and denominators of the tasks.
        of: Which part of a result it is taken from.
        curve: For metrics of training: the name of the curve, averaged over all batches.
        low: The least that the figure can be.
        high: The most that it can be.
    """

    title: str
    meaning: str
    ratio: Ratio | None = None
    of: str = "final"
    curve: str = ""
    low: float = 0.0
    high: float = 1.0

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share, shown in per cent."""
        return (self.low, self.high) == (0.0, 1.0)

    def of_run(self, result: Result) -> float:
        """The figure of one run; NaN where nothing speaks for it."""
        if self.ratio is None:
            known = [value for value in result.curve[self.curve] if not math.isnan(value)]
            return math.fsum(known) / len(known) if known else math.nan
        ones, others = self.ratio(getattr(result, self.of))
        total = float(others.sum())
        return float(ones.sum()) / total if total else math.nan


def _share(field: int, necessity: Necessity | None = None, over: int = 0) -> Ratio:
    """Sum of one counted field over another, on tasks of one kind or all."""

    def ratio(played: Played) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sums_KF = played.sums_KF
        counts_K = np.ones(len(sums_KF), dtype=np.bool_) if necessity is None else played.where(necessity)
        return sums_KF[:, field] * counts_K, sums_KF[:, over] * counts_K

    return ratio


def _precision(played: Played) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    called_K = played.sums_KF[:, _CALLED]
    return called_K * played.where(Necessity.REQUIRED), called_K


def _productivity(played: Played) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sums_KF = played.sums_KF
    return sums_KF[:, _RIGHT], sums_KF[:, _EPISODES] + sums_KF[:, _CALLS]


_EPISODES, _RIGHT, _CALLED, _CALLS, _COST = range(5)
_NONE, _REQUIRED = Necessity.NONE, Necessity.REQUIRED

COLUMNS: Mapping[str, Column] = {
    "redundant_rate": Column(
        "redundant calls", "episodes with a call, of those whose task needs none", _share(_CALLED, _NONE)
    ),
    "tool_recall": Column(
        "needed calls", "episodes with a call, of those whose task needs one", _share(_CALLED, _REQUIRED)
    ),
    "accuracy": Column("accuracy", "right answers", _share(_RIGHT)),
    "accuracy_none": Column("accuracy, none needed", "right answers where no tool is needed", _share(_RIGHT, _NONE)),
    "accuracy_required": Column("accuracy, needed", "right answers where a tool is needed", _share(_RIGHT, _REQUIRED)),
    "without_tools_none": Column(
        "tools off, none needed",
        "right answers with the tools switched off, where none is needed",
        _share(_RIGHT, _NONE),
        "without_tools",
    ),
    "without_tools": Column("tools off", "right answers with the tools switched off", _share(_RIGHT), "without_tools"),
    "tool_rate": Column("tool rate", "episodes with a call", _share(_CALLED)),
    "tool_precision": Column("precision", "of the episodes with a call, those whose task needs one", _precision),
    "tool_calls": Column("calls", "calls per episode", _share(_CALLS), high=math.inf),
    "tool_cost": Column("price", "price of the calls per episode", _share(_COST), high=math.inf),
    "tool_productivity": Column("productivity", "right answers per 1 + calls", _productivity),
    "rho": Column("ρ", "share of training episodes that the grader called right", curve="rho"),
    "sign_reversal": Column(
        "sign reversal", "of these, the share with a negative total advantage", curve="sign_reversal"
    ),
    "cosine": Column("cosine", "between the advantages of the two channels", curve="cosine", low=-1.0),
}
"""The metrics of the table, in order."""


def over_seeds(results: Sequence[Result]) -> dict[str, Estimate]:
    """Every figure of `COLUMNS` over the runs of one design."""
    return {name: estimate(column, results) for name, column in COLUMNS.items()}


def estimate(column: Column, results: Sequence[Result]) -> Estimate:
    """One figure over the runs of one design: mean over seeds, and its t-interval where there is one."""
    return mean_over_seeds([column.of_run(result) for result in results], low=column.low, high=column.high)


def by_seed(column: Column, results: Sequence[Result]) -> dict[int, float]:
    """One figure of every run of a design, by its seed."""
    return {result.seed: column.of_run(result) for result in results}


def is_right(result: Result, reference: Result | None) -> bool:
    """Whether a run is within all limits of `metis_agents.compare.limits`. A kind of task that was not played has none.

    Args:
        result: The run.
        reference: The run of accuracy-only with the same seed; without one, accuracy is not judged.
    """
    redundant, needed, accuracy = (
        COLUMNS[name].of_run(result) for name in ("redundant_rate", "tool_recall", "accuracy")
    )
    if math.isnan(accuracy):
        return False
    redundant, needed = (0.0 if math.isnan(redundant) else redundant), (1.0 if math.isnan(needed) else needed)
    lost = 0.0 if reference is None else COLUMNS["accuracy"].of_run(reference) - accuracy
    return within(redundant, needed, lost)


def right_runs(results: Sequence[Result], references: Sequence[Result]) -> Share:
    """How many runs of a design are right, with the exact interval of the share."""
    accuracy_only = {result.seed: result for result in references}
    right = sum(is_right(result, accuracy_only.get(result.seed)) for result in results)
    return Share(right, len(results), *clopper_pearson(right, len(results)))


def area_under_curve(points: Sequence[tuple[float, float]], at_no_cost: float, most: float) -> float:
    """Area under accuracy against cost: the best accuracy that can be had for at most a cost, averaged over costs.

    Args:
        points: Pairs of mean cost and accuracy, one for each weight.
        at_no_cost: Accuracy without any call, which every policy can have for nothing.
        most: The largest cost that is looked at.

    >>> area_under_curve([(0.5, 0.9)], at_no_cost=0.5, most=1.0)
    0.7
    """
    steps = sorted((cost, accuracy) for cost, accuracy in points if cost < most)
    area, best, reached = 0.0, at_no_cost, 0.0
    for cost, accuracy in steps:
        area += best * (cost - reached)
        best, reached = max(best, accuracy), cost
    return (area + best * (most - reached)) / most
