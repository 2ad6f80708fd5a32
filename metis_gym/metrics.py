"""Outcomes → the metrics that every report shows, each a mean with its confidence interval.

Unscored episodes are in no figure but their own count. Correctness is by the true verdict, before grader noise. Metrics
that no episode can speak for (recall of tools where no task needs one) are NaN with no episodes.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metis_gym.errors import ConfigError
from metis_gym.records import Necessity, Outcome

__all__ = ["METRICS", "Estimate", "by_family", "means", "summarise"]

_RESAMPLES = 1_000
_SEED = 20_260_408


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes.

    Attributes:
        mean: The mean; NaN when there is nothing to average.
        low: Lower end of its confidence interval.
        high: Upper end.
        n: Episodes that speak for it.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return "–" if self.n == 0 else f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


_Pair = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """One figure: over the episodes that `applies` admits, the sum of numerators over the sum of denominators."""

    applies: Callable[[Outcome], bool]
    pair: Callable[[Outcome], _Pair]
    meaning: str


def _every(outcome: Outcome) -> bool:  # noqa: ARG001
    return True


def _needs_none(outcome: Outcome) -> bool:
    return outcome.necessity is Necessity.NONE


def _needs_tool(outcome: Outcome) -> bool:
    return outcome.necessity is Necessity.REQUIRED


def _uses_tool(outcome: Outcome) -> float:
    return float(outcome.tool_calls > 0)


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(_every, lambda o: (float(o.truly_correct), 1.0), "share of right answers"),
    "accuracy_none": Metric(
        _needs_none, lambda o: (float(o.truly_correct), 1.0), "share of right answers where no tool is needed"
    ),
    "accuracy_required": Metric(
        _needs_tool, lambda o: (float(o.truly_correct), 1.0), "share of right answers where a tool is needed"
    ),
    "tool_rate": Metric(_every, lambda o: (_uses_tool(o), 1.0), "share of episodes with at least one call"),
    "redundant_rate": Metric(
        _needs_none, lambda o: (_uses_tool(o), 1.0), "share of episodes with a call where no tool is needed"
    ),
    "tool_recall": Metric(
        _needs_tool, lambda o: (_uses_tool(o), 1.0), "share of episodes with a call where a tool is needed"
    ),
    "tool_precision": Metric(
        lambda o: o.tool_calls > 0 and o.necessity is not Necessity.UNKNOWN,
        lambda o: (float(_needs_tool(o)), 1.0),
        "of the episodes with a call, the share where a tool is needed",
    ),
    "tool_calls": Metric(_every, lambda o: (float(o.tool_calls), 1.0), "calls per episode"),
    "tool_errors": Metric(_every, lambda o: (float(o.tool_errors), 1.0), "failed calls per episode"),
    "tool_cost": Metric(_every, lambda o: (o.tool_cost, 1.0), "price of the calls per episode"),
    "tool_productivity": Metric(
        _every, lambda o: (float(o.truly_correct), 1.0 + o.tool_calls), "right answers per 1 + calls"
    ),
    "format_score": Metric(_every, lambda o: (o.format_score, 1.0), "share of episodes that keep the format"),
    "truncated": Metric(_every, lambda o: (float(o.truncated), 1.0), "share of episodes that end without an answer"),
    "turns": Metric(_every, lambda o: (float(o.turns), 1.0), "model turns per episode"),
    "tokens": Metric(_every, lambda o: (float(o.tokens), 1.0), "length of what the model wrote per episode"),
}
"""The metrics, in the order in which reports show them."""


def summarise(outcomes: Iterable[Outcome], *, confidence: float = 0.95) -> dict[str, Estimate]:
    """Every figure of `METRICS` over some episodes, and `unscored`, the share of episodes that were left out.

    Shares have Wilson's interval, which stays honest at 0 and 1; the rest percentile bootstraps over episodes, drawn
    with a fixed seed, so that a report is reproducible.

    Args:
        outcomes: Finished episodes.
        confidence: Of the intervals.

    Raises:
        ConfigError: There are no episodes, or the confidence is not between 0 and 1.

    >>> outcome = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=1, necessity=Necessity.NONE)
    >>> summarise([outcome])["redundant_rate"].mean
    1.0
    """
    every = list(outcomes)
    if not every:
        raise ConfigError("there are no episodes to summarise")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be between 0 and 1, actually: {confidence!r}")
    scored = [outcome for outcome in every if outcome.scored]
    metrics = {name: _estimate(metric, scored, confidence) for name, metric in METRICS.items()}
    lost = [(float(not outcome.scored), 1.0) for outcome in every]
    return {**metrics, "unscored": _ratio(lost, confidence)}


def means(outcomes: Iterable[Outcome], names: Iterable[str] = tuple(METRICS)) -> dict[str, float]:
    """Some metrics without their intervals, fast enough for every batch of a training. NaN where no episode speaks.

    >>> outcome = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=1, necessity=Necessity.NONE)
    >>> means([outcome], ["redundant_rate"])
    {'redundant_rate': 1.0}
    """
    scored = [outcome for outcome in outcomes if outcome.scored]
    pairs = {name: [METRICS[name].pair(o) for o in scored if METRICS[name].applies(o)] for name in names}
    return {
        name: sum(one for one, _ in values) / sum(weight for _, weight in values) if values else math.nan
        for name, values in pairs.items()
    }


def by_family(outcomes: Iterable[Outcome], *, confidence: float = 0.95) -> dict[str, dict[str, Estimate]]:
    """`summarise` for each family, in alphabetical order."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.family, []).append(outcome)
    return {family: summarise(groups[family], confidence=confidence) for family in sorted(groups)}


def _estimate(metric: Metric, outcomes: Sequence[Outcome], confidence: float) -> Estimate:
    return _ratio([metric.pair(outcome) for outcome in outcomes if metric.applies(outcome)], confidence)


def _ratio(pairs: Sequence[_Pair], confidence: float) -> Estimate:
    if not pairs:
        return Estimate(math.nan, math.nan, math.nan, 0)
    values = np.asarray(pairs, dtype=np.float64)
    mean = float(values[:, 0].sum() / values[:, 1].sum())
    is_share = bool(np.isin(values[:, 0], (0.0, 1.0)).all() and (values[:, 1] == 1.0).all())
    low, high = _wilson(mean, len(values), confidence) if is_share else _bootstrap(values, confidence)
    return Estimate(mean, low, high, len(values))


def _wilson(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval (J. Am. Stat. Assoc. 22, 1927)."""
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _bootstrap(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=_RESAMPLES)
    sums = counts @ values
    tail = 50 * (1 - confidence)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [tail, 100 - tail])
    return float(low), float(high)
