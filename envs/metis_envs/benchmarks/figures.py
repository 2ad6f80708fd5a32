"""Figures with intervals that respect how the rows were sampled.

A figure is a mean of ratios: in each part the sum of numerators over the sum of denominators, over the units that were
sampled (a row; a question in four orders; a problem in five versions). Where every unit is one row, its interval is
Wilson's; else a percentile bootstrap over units, drawn with a fixed seed.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from metis_gym.metrics import Estimate, resampled_sums

__all__ = ["Figure", "Result", "estimate_figures", "grouped", "mean_of_shares", "share"]

_RESAMPLES = 2_000
_SEED = 20_260_408
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """A graded row.

    Attributes:
        unit: What was sampled.
        labels: What figures are split by.
        score: From 0 to 1; None if the row was not scored.
        measures: What else was measured, by name.
    """

    unit: str
    labels: Mapping[str, str]
    score: float | None
    measures: Mapping[str, float] = field(default_factory=dict)

    def filled(self, score: float) -> "Result":
        """The same, with this score if it has none."""
        return self if self.score is not None else replace(self, score=score)


@dataclass(frozen=True)
class Figure:
    """A mean of ratios, before its interval is known.

    Attributes:
        parts: For each part, unit → (numerator, denominator).
    """

    parts: tuple[Mapping[str, tuple[float, float]], ...]

    @property
    def mean(self) -> float:
        """The figure; NaN where a part has nothing in it."""
        return statistics.fmean(_ratio(part.values()) for part in self.parts) if self.parts else math.nan

    @property
    def count(self) -> int:
        """How many units speak for it."""
        return len({unit for part in self.parts for unit in part})


def share(results: Iterable[Result], value: Callable[[Result], float] = lambda result: result.score or 0.0) -> Figure:
    """The mean score of the rows that were scored."""
    return Figure((_sums(results, value),))


def mean_of_shares(parts: Iterable[Iterable[Result]]) -> Figure:
    """The mean of several parts' shares, each part counting the same."""
    return Figure(tuple(_sums(part, lambda result: result.score or 0.0) for part in parts))


def grouped(groups: Mapping[str, Sequence[Result]], value: Callable[[Sequence[Result]], float]) -> Figure:
    """The mean of a value of whole groups; a group in which a row was not scored is left out."""
    known = {name: group for name, group in groups.items() if all(result.score is not None for result in group)}
    return Figure(({name: (value(group), 1.0) for name, group in known.items()},))


def estimate_figures(figures: Mapping[str, Figure]) -> dict[str, Estimate]:
    """The figures with their 95 % intervals."""
    return {name: _estimate(figure) for name, figure in figures.items()}


def _sums(results: Iterable[Result], value: Callable[[Result], float]) -> dict[str, tuple[float, float]]:
    sums: dict[str, tuple[float, float]] = {}
    for result in results:
        if result.score is not None:
            numerator, denominator = sums.get(result.unit, (0.0, 0.0))
            sums[result.unit] = numerator + value(result), denominator + 1.0
    return sums


def _ratio(pairs: Iterable[tuple[float, float]]) -> float:
    numerators, denominators = zip(*pairs, strict=True) if (pairs := list(pairs)) else ((), ())
    return math.fsum(numerators) / math.fsum(denominators) if denominators else math.nan


def _estimate(figure: Figure) -> Estimate:
    count, mean = figure.count, figure.mean
    if count == 0 or math.isnan(mean):
        return Estimate(math.nan, math.nan, math.nan, 0)
    pairs = [pair for part in figure.parts for pair in part.values()]
    is_independent = len(figure.parts) == 1 and all(pair in ((0.0, 1.0), (1.0, 1.0)) for pair in pairs)
    low, high = _wilson(mean, count) if is_independent else _bootstrap(figure)
    return Estimate(mean, low, high, count)


def _wilson(mean: float, count: int) -> tuple[float, float]:
    z = statistics.NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    centre = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(mean * (1 - mean) / count + (z / (2 * count)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def _bootstrap(figure: Figure) -> tuple[float, float]:
    units = sorted({unit for part in figure.parts for unit in part})
    place = {unit: index for index, unit in enumerate(units)}
    sums = np.zeros((len(units), 2 * len(figure.parts)))
    for number, part in enumerate(figure.parts):
        for unit, pair in part.items():
            sums[place[unit], 2 * number : 2 * number + 2] = pair
    totals = resampled_sums(sums, _RESAMPLES, _SEED)
    ratios = totals[:, 0::2] / np.maximum(totals[:, 1::2], 1e-12)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(ratios.mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)
