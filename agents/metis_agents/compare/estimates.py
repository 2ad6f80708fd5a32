"""Means over seeds with confidence intervals: bootstrap over seeds, and over the tasks that each of them played.

Axes: S seeds, K tasks, R resamples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metis_agents.compare.records import Played, Result
from metis_gym.metrics import Estimate
from metis_gym.records import Necessity

__all__ = ["COLUMNS", "Column", "area_under_curve", "estimate", "over_seeds"]

_RESAMPLES = 2_000
_SEED = 20_260_408

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
    """

    title: str
    meaning: str
    ratio: Ratio | None = None
    of: str = "final"
    curve: str = ""


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
    "tool_calls": Column("calls", "calls per episode", _share(_CALLS)),
    "tool_cost": Column("price", "price of the calls per episode", _share(_COST)),
    "tool_productivity": Column("productivity", "right answers per 1 + calls", _productivity),
    "rho": Column("ρ", "share of training episodes that the grader called right", curve="rho"),
    "sign_reversal": Column(
        "sign reversal", "of these, the share with a negative total advantage", curve="sign_reversal"
    ),
    "cosine": Column("cosine", "between the advantages of the two channels", curve="cosine"),
}
"""The metrics of the table, in order."""


def over_seeds(results: Sequence[Result]) -> dict[str, Estimate]:
    """Every figure of `COLUMNS` over the runs of one design."""
    return {name: estimate(column, results) for name, column in COLUMNS.items()}


def estimate(column: Column, results: Sequence[Result]) -> Estimate:
    """One figure over the runs of one design: mean over seeds, and a 95 % interval."""
    rng = np.random.default_rng(_SEED)
    if column.ratio is None:
        means_S = np.array([np.nanmean(result.curve[column.curve]) for result in results])
        weights_RS = rng.multinomial(len(results), np.full(len(results), 1 / len(results)), size=_RESAMPLES)
        return _interval(float(means_S.mean()), weights_RS @ means_S / len(results), len(results))
    sums, resampled = [], []
    for result in results:
        ones, others = column.ratio(getattr(result, column.of))
        sums.append((ones.sum(), others.sum()))
        counts_RK = rng.multinomial(len(ones), np.full(len(ones), 1 / len(ones)), size=_RESAMPLES)
        resampled.append((counts_RK @ ones, counts_RK @ others))
    return _pooled(np.array(sums), np.array(resampled), rng)


def _pooled(sums_S2: NDArray[np.float64], resampled_S2R: NDArray[np.float64], rng: np.random.Generator) -> Estimate:
    """Mean of the seeds' ratios, with seeds and tasks resampled."""
    seeds = len(sums_S2)
    with np.errstate(invalid="ignore"):
        ratios_S = sums_S2[:, 0] / sums_S2[:, 1]
        ratios_SR = resampled_S2R[:, 0] / resampled_S2R[:, 1]
    drawn_RS = rng.integers(seeds, size=(_RESAMPLES, seeds))
    means_R = ratios_SR.T[np.arange(_RESAMPLES)[:, None], drawn_RS].mean(axis=1)
    return _interval(float(ratios_S.mean()), means_R, seeds)


def _interval(mean: float, resampled_R: NDArray[np.float64], n: int) -> Estimate:
    resampled_R = resampled_R[np.isfinite(resampled_R)]
    if math.isnan(mean) or not len(resampled_R):
        return Estimate(math.nan, math.nan, math.nan, 0)
    low, high = np.percentile(resampled_R, [2.5, 97.5])
    return Estimate(mean, float(low), float(high), n)


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
