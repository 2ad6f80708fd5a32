"""What a probe came to: a share of tasks with its interval, and the limit that it is held against."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

__all__ = ["NotProbed", "ProbeResult", "Report", "Share", "Verdict", "mean", "wilson"]

_CONFIDENCE = 0.95


class Verdict(StrEnum):
    """How a share lies to its limit."""

    KEPT = "kept"
    """The share keeps to the limit."""
    UNCLEAR = "unclear"
    """The share is beyond the limit, but its interval is not: more tasks would decide."""
    BROKEN = "BROKEN"
    """The whole interval is beyond the limit."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of held-out tasks, with its interval.

    Attributes:
        value: The share.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tasks: How many tasks it was measured on.
        by: Which of several guessers did it; empty where there is one.
    """

    value: float
    low: float
    high: float
    tasks: int
    by: str = ""

    @classmethod
    def of(cls, value: float, tasks: int, *, tried: int = 1, by: str = "") -> "Share":
        """A share with its Wilson interval; wider where the best of several tries is reported."""
        low, high = wilson(value, tasks, tried=tried)
        return cls(value=value, low=low, high=high, tasks=tasks, by=by)

    @classmethod
    def exact(cls, value: float, tasks: int) -> "Share":
        """A share that is no estimate: every single task counts."""
        return cls(value=value, low=value, high=value, tasks=tasks)


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What one probe came to on one part of a taskset.

    Attributes:
        part: The family, or "all" for the taskset as a whole.
        probe: The probe's name.
        share: What was measured.
        limit: The highest share that is allowed; the lowest one where `is_floor`.
        is_floor: Is it a floor?
        note: What else a reader should know.
    """

    part: str
    probe: str
    share: Share
    limit: float
    is_floor: bool = False
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """A limit is broken when the whole interval is beyond it; it is unclear when only the share is."""
        sign = -1 if self.is_floor else 1
        nearest = self.share.high if self.is_floor else self.share.low
        if sign * (nearest - self.limit) > 1e-9:
            return Verdict.BROKEN
        return Verdict.UNCLEAR if sign * (self.share.value - self.limit) > 1e-9 else Verdict.KEPT


@dataclass(frozen=True, kw_only=True)
class NotProbed:
    """A probe that could not be made.

    Attributes:
        part: The family, or "all".
        probe: The probe's name.
        reason: Why.
    """

    part: str
    probe: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What all probes came to.

    Attributes:
        taskset: Its spec.
        split: "train" or "test".
        view_size: Longest side of the views, pixels.
        tasks: Tasks drawn for each family.
        words: Tasks of each family whose words are looked at.
        seed: Seed of the draws and of the probes.
        results: What the probes came to.
        not_probed: What could not be probed.
        facts: Family → what is known of its tasks, such as the mean blind accuracy.
    """

    taskset: str
    split: str
    view_size: int
    tasks: int
    words: int
    seed: int
    results: tuple[ProbeResult, ...]
    not_probed: tuple[NotProbed, ...]
    facts: dict[str, dict[str, object]]

    def with_verdict(self, verdict: Verdict) -> tuple[ProbeResult, ...]:
        """The results of this verdict."""
        return tuple(result for result in self.results if result.verdict is verdict)

    @property
    def parts(self) -> tuple[str, ...]:
        """The families, and "all" if there are several, in the order of the results."""
        probed = [result.part for result in self.results]
        return tuple(dict.fromkeys([*self.facts, *probed, *(entry.part for entry in self.not_probed)]))


def wilson(share: float, count: int, *, tried: int = 1) -> tuple[float, float]:
    """The Wilson score interval at 95 %, for all of several tries together (Bonferroni).

    >>> tuple(round(end, 3) for end in wilson(0.5, 100))
    (0.404, 0.596)
    """
    if count == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - (1 - _CONFIDENCE) / 2 / tried)
    centre = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def mean(values: Iterable[float]) -> float:
    """The mean of some numbers; 0 of none."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
