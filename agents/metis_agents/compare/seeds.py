"""Statistics over seeds: a seed is one draw of a training, and nothing else is counted as a repetition.

A bootstrap over three seeds covers .84 where it says .95, over five .89; Student's t covers .95. It does not help where
some seeds get stuck: there a mean describes no run, and the share of right runs does (`clopper_pearson`). One seed has
no interval, and neither have seeds that all have the same value.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metis_gym.metrics import Estimate

__all__ = [
    "CONFIDENCE",
    "Share",
    "are_apart",
    "clopper_pearson",
    "counted",
    "holm",
    "mean_over_seeds",
    "paired_difference",
    "pooled_share",
    "surpasses",
]

CONFIDENCE = 0.95
_APART = 0.25


@dataclass(frozen=True)
class Share:
    """How many of some runs are right.

    Attributes:
        right: Right runs.
        n: Runs.
        low: Lower end of the 95 % interval of the share; NaN without a run.
        high: Upper end.
    """

    right: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.right} of {self.n}"


def mean_over_seeds(values: Sequence[float], *, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """The mean, and Student's t-interval cut to the range of the figure. Seeds with nothing to say (NaN) are left out.

    Args:
        values: One for each seed.
        low: The least that the figure can be.
        high: The most that it can be.

    Returns:
        An estimate whose n is the number of seeds; its ends are NaN for one seed and for seeds that do not differ.

    >>> print(mean_over_seeds([0.2, 0.4, 0.6]))  # .4 ± t(.975, 2)·.2/√3 = .4 ± 4.303·.1155
    0.400 [-0.097, 0.897]
    >>> mean_over_seeds([0.2])
    Estimate(mean=0.2, low=nan, high=nan, n=1)
    """
    values_S = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    if not len(values_S):
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(values_S) / len(values_S)
    half = _half_width(values_S)
    return (
        Estimate(mean, max(low, mean - half), min(high, mean + half), len(values_S)) if half > 0 else _point(values_S)
    )


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> tuple[Estimate, float]:
    """Mean of `one − other` over the seeds that both have, with its t-interval, and the p-value that it is 0.

    Runs of a seed share cold start and tasks: the difference within a seed is without what they share.

    Args:
        one: Seed → figure.
        other: Seed → figure.

    Returns:
        The estimate and the two-sided p-value, NaN where there is no interval.
    """
    differences = [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]
    found = mean_over_seeds(differences)
    if math.isnan(found.low):
        return found, math.nan
    from scipy import stats

    kept = [difference for difference in differences if not math.isnan(difference)]
    return found, float(stats.ttest_1samp(kept, 0.0).pvalue)


def clopper_pearson(right: float, n: float) -> tuple[float, float]:
    """The exact 95 % interval of a share (Biometrika 26, 1934); n may be an effective number that is not whole.

    >>> tuple(round(end, 3) for end in clopper_pearson(5, 5))
    (0.478, 1.0)
    """
    if n <= 0:
        return math.nan, math.nan
    from scipy import stats

    tail = (1.0 - CONFIDENCE) / 2
    low = float(stats.beta.ppf(tail, right, n - right + 1)) if right > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, right + 1, n - right)) if right < n else 1.0
    return low, high


def pooled_share(right_by_seed: Sequence[tuple[int, int]]) -> Share:
    """The share of right runs under several conditions, with runs of one seed as one cluster.

    The interval is Clopper and Pearson's with n divided by the design effect (Korn and Graubard, Survey Methodology 24,
    1998): what seeds have in common makes runs count for less. It is not below 1.

    Args:
        right_by_seed: (right runs, runs) of each seed.
    """
    counts_S2 = np.array([pair for pair in right_by_seed if pair[1]], dtype=np.float64).reshape(-1, 2)
    right, n = (int(total) for total in counts_S2.sum(0))
    if not n:
        return Share(0, 0, math.nan, math.nan)
    effective = n / _design_effect(counts_S2)
    low, high = clopper_pearson(right / n * effective, effective)
    return Share(right, n, low, high)


def surpasses(share: Share, least: float) -> float:
    """The p-value of "the share is at most `least`" (exact binomial test, one-sided); 1 without a run."""
    if not share.n:
        return 1.0
    from scipy import stats

    return float(stats.binom.sf(share.right - 1, share.n, least))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for their number (Holm, Scand. J. Stat. 6, 1979); NaN stays NaN and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return tuple(adjusted)


def are_apart(shares: Sequence[float]) -> bool:
    """Whether seeds fall into two camps: two neighbouring shares are more than .25 apart.

    >>> are_apart([0.0, 0.01, 0.98]), are_apart([0.1, 0.2, 0.3])
    (True, False)
    """
    known = sorted(share for share in shares if not math.isnan(share))
    return any(later - earlier > _APART for earlier, later in itertools.pairwise(known))


def counted(number: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1, "seed"), counted(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _half_width(values_S: NDArray[np.float64]) -> float:
    if len(values_S) < 2 or values_S.min() == values_S.max():
        return 0.0
    from scipy import stats

    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(values_S) - 1))
    return quantile * float(values_S.std(ddof=1)) / math.sqrt(len(values_S))


def _point(values_S: NDArray[np.float64]) -> Estimate:
    return Estimate(float(values_S[0]), math.nan, math.nan, len(values_S))


def _design_effect(counts_S2: NDArray[np.float64]) -> float:
    """Variance of the pooled share between seeds over that of independent runs; 1 where it cannot be told."""
    seeds, (right, n) = len(counts_S2), counts_S2.sum(0)
    share = right / n
    if seeds < 2 or share in (0.0, 1.0):
        return 1.0
    residuals_S = (counts_S2[:, 0] - share * counts_S2[:, 1]) / n
    between = seeds / (seeds - 1) * float((residuals_S**2).sum())
    return max(1.0, float(between * n / (share * (1 - share))))
