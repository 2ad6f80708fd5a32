"""Outcomes → the metrics that every report shows, each a mean with its confidence interval.

Unscored episodes are in no figure but their own count. Correctness is by the true verdict, before grader noise. Metrics
that no episode can speak for (recall of tools where no task needs one) are NaN with no episodes. Partial tasks, whose
view tells a part, count in regret, and neither in the redundant rate nor in recall or precision; tasks whose plans are
not known have no regret.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metis_gym.errors import ConfigError
from metis_gym.records import Necessity, Outcome
from metis_gym.worth import DEFAULT_LAM, best_plan, checked_lam, regret

__all__ = ["CURVE_LAMS", "METRICS", "Estimate", "by_family", "means", "metrics_at", "regret_curve", "summarise"]

CURVE_LAMS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Where a curve over λ is taken, unless something else is asked for."""

_RESAMPLES = 1_000
_MAX_DRAWN = 4_000_000
_SEED = 20_260_408


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes.

    Attributes:
        mean: The mean; NaN when there is nothing to average.
        low: Lower end of its confidence interval; NaN where there is none.
        high: Upper end.
        n: Episodes that speak for it.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if self.n == 0:
            return "–"
        interval = "" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.mean:.3f}{interval}"


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


def _is_partial(outcome: Outcome) -> bool:
    return outcome.necessity is Necessity.PARTIAL


def _has_plans(outcome: Outcome) -> bool:
    return bool(outcome.plans)


def _uses_tool(outcome: Outcome) -> float:
    return float(outcome.tool_calls > 0)


def _worth_metrics(lam: float) -> dict[str, Metric]:
    def surplus(outcome: Outcome) -> float:
        return float(outcome.tool_calls - best_plan(outcome.plans, lam).calls)

    return {
        "regret": Metric(
            _has_plans, lambda o: (regret(o, lam), 1.0), f"utility that is lost to the best policy, at λ = {lam:g}"
        ),
        "excess_calls": Metric(
            _has_plans, lambda o: (max(0.0, surplus(o)), 1.0), "calls per episode beyond those of the best policy"
        ),
        "missing_calls": Metric(
            _has_plans,
            lambda o: (max(0.0, -surplus(o)), 1.0),
            "calls of the best policy that were not made, per episode",
        ),
    }


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(_every, lambda o: (float(o.truly_correct), 1.0), "share of right answers"),
    "accuracy_none": Metric(
        _needs_none, lambda o: (float(o.truly_correct), 1.0), "share of right answers where no tool is needed"
    ),
    "accuracy_partial": Metric(
        _is_partial, lambda o: (float(o.truly_correct), 1.0), "share of right answers where the view tells a part"
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
        lambda o: o.tool_calls > 0 and (_needs_none(o) or _needs_tool(o)),
        lambda o: (float(_needs_tool(o)), 1.0),
        "of the episodes with a call, the share where a tool is needed",
    ),
    "tool_calls": Metric(_every, lambda o: (float(o.tool_calls), 1.0), "calls per episode"),
    "tool_errors": Metric(_every, lambda o: (float(o.tool_errors), 1.0), "failed calls per episode"),
    "tool_cost": Metric(_every, lambda o: (o.tool_cost, 1.0), "price of the calls per episode"),
    "tool_productivity": Metric(
        _every, lambda o: (float(o.truly_correct), 1.0 + o.tool_calls), "right answers per 1 + calls"
    ),
    **_worth_metrics(DEFAULT_LAM),
    "format_score": Metric(_every, lambda o: (o.format_score, 1.0), "share of episodes that keep the format"),
    "truncated": Metric(_every, lambda o: (float(o.truncated), 1.0), "share of episodes that end without an answer"),
    "turns": Metric(_every, lambda o: (float(o.turns), 1.0), "model turns per episode"),
    "tokens": Metric(_every, lambda o: (float(o.tokens), 1.0), "length of what the model wrote per episode"),
}
"""The metrics, in the order in which reports show them, those of worth at λ = `DEFAULT_LAM`."""


def metrics_at(lam: float) -> Mapping[str, Metric]:
    """`METRICS`, with regret, excess and missing calls at another λ.

    Raises:
        ConfigError: λ is not a number of 0 or more.
    """
    return {**METRICS, **_worth_metrics(checked_lam(lam))}


def summarise(
    outcomes: Iterable[Outcome], *, confidence: float = 0.95, lam: float = DEFAULT_LAM
) -> dict[str, Estimate]:
    """Every metric of `METRICS` over some episodes, and `unscored`, the share of episodes that were left out.

    Shares have Wilson's interval, which stays honest at 0 and 1; the rest percentile bootstraps over episodes, drawn
    with a fixed seed, so that a report is reproducible.

    Args:
        outcomes: Finished episodes.
        confidence: Of the intervals.
        lam: λ, the accuracy that one unit of price is worth; regret, excess and missing calls are at this λ.

    Raises:
        ConfigError: There are no episodes, the confidence is not between 0 and 1, or λ is not a number of 0 or more.

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
    metrics = {name: _estimate(metric, scored, confidence) for name, metric in metrics_at(lam).items()}
    lost = [(float(not outcome.scored), 1.0) for outcome in every]
    return {**metrics, "unscored": _ratio(lost, confidence)}


def regret_curve(
    outcomes: Iterable[Outcome], lams: Iterable[float] = CURVE_LAMS, *, confidence: float = 0.95
) -> dict[float, Estimate]:
    """Regret at each of some λ, over the scored episodes whose plans are known.

    Raises:
        ConfigError: A λ is not a number of 0 or more.
    """
    scored = [outcome for outcome in outcomes if outcome.scored]
    return {lam: _estimate(metrics_at(lam)["regret"], scored, confidence) for lam in lams}


def means(
    outcomes: Iterable[Outcome], names: Iterable[str] = tuple(METRICS), *, lam: float = DEFAULT_LAM
) -> dict[str, float]:
    """Some metrics without their intervals, fast enough for every batch of a training. NaN where no episode speaks.

    >>> outcome = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=1, necessity=Necessity.NONE)
    >>> means([outcome], ["redundant_rate"])
    {'redundant_rate': 1.0}
    """
    scored = [outcome for outcome in outcomes if outcome.scored]
    metrics = METRICS if lam == DEFAULT_LAM else metrics_at(lam)
    pairs = {name: [metrics[name].pair(o) for o in scored if metrics[name].applies(o)] for name in names}
    return {
        name: sum(one for one, _ in values) / sum(weight for _, weight in values) if values else math.nan
        for name, values in pairs.items()
    }


def by_family(
    outcomes: Iterable[Outcome], *, confidence: float = 0.95, lam: float = DEFAULT_LAM
) -> dict[str, dict[str, Estimate]]:
    """`summarise` for each family, in alphabetical order."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.family, []).append(outcome)
    return {family: summarise(groups[family], confidence=confidence, lam=lam) for family in sorted(groups)}


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


def resampled_sums(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Sums of rows that are drawn with replacement, as many as there are, in memory that does not grow with them.

    Args:
        values: Shape (rows, columns).
        resamples: How often they are drawn.
        seed: The same seed draws the same.

    Returns:
        Shape (resamples, columns).
    """
    rng, count = np.random.default_rng(seed), len(values)
    chances, at_once = np.full(count, 1 / count), max(1, _MAX_DRAWN // count)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([rng.multinomial(count, chances, size=size) @ values for size in sizes])


def _bootstrap(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    sums = resampled_sums(values, _RESAMPLES, _SEED)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [tail, 100 - tail])
    return float(low), float(high)
