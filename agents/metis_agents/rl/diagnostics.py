"""What a batch looked like and what an update did: the figures next to which a reward curve should be read.

Axes: N scored episodes of all ranks.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metis_agents.rl.loss import LossStats
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Channel, Floats

__all__ = ["BatchDiagnostics", "UpdateDiagnostics", "cosine", "diagnose", "reversal_share", "total_advantages"]


@dataclass(frozen=True, kw_only=True)
class BatchDiagnostics:
    """What a batch of all ranks looked like before the update. Shares of nothing are 0.

    Attributes:
        scored: Scored episodes.
        unscored: Episodes that infrastructure failed.
        accuracy: ρ, the share of scored episodes that are correct: HDPO's qualifying share.
        tool_rate: Share of scored episodes with at least one call.
        tool_calls: Mean calls of scored episodes.
        sign_reversal: Share of correct episodes whose total advantage is negative.
        cosine: Cosine between the first two channels' advantages; 0 with a single channel.
        signal: Share of scored episodes that need a forward pass.
    """

    scored: int
    unscored: int
    accuracy: float
    tool_rate: float
    tool_calls: float
    sign_reversal: float
    cosine: float
    signal: float


@dataclass(frozen=True, kw_only=True)
class UpdateDiagnostics:
    """What one optimiser step did, all ranks together.

    Attributes:
        episodes: Episodes that got a forward pass.
        tokens: Model tokens among them.
        losses: Each active channel's share of the loss, before its weight.
        clip_fraction: Share of these tokens that each active channel clipped.
        ratio_mean: Mean ratio of the tokens.
        ratio_max: Largest ratio.
        ratio_std: Standard deviation of the ratios.
        approx_kl: Estimated KL divergence from the acting policy (k3).
        grad_norm: Norm of the summed gradient before clipping.
        stepped: False when no rank had a signal and no step was taken.
    """

    episodes: int
    tokens: int
    losses: dict[str, float]
    clip_fraction: dict[str, float]
    ratio_mean: float
    ratio_max: float
    ratio_std: float
    approx_kl: float
    grad_norm: float
    stepped: bool

    @classmethod
    def of(cls, stats: LossStats | None, names: Sequence[str], episodes: int, grad_norm: float) -> "UpdateDiagnostics":
        """Read the sums of all micro-batches; `stats` is None where there were none.

        Args:
            stats: The added-up statistics.
            names: The active channels in order.
            episodes: Episodes that got a forward pass.
            grad_norm: Norm of the gradient; NaN where no step was taken.
        """
        sums = stats.sums.tolist() if stats is not None else [0.0] * (4 + 2 * len(names))
        tokens = max(sums[0], 1.0)
        mean, square = sums[1] / tokens, sums[3] / tokens
        clipped, losses = sums[4 : 4 + len(names)], sums[4 + len(names) :]
        return cls(
            episodes=episodes,
            tokens=int(sums[0]),
            losses=dict(zip(names, losses, strict=False)),
            clip_fraction={name: count / tokens for name, count in zip(names, clipped, strict=True)},
            ratio_mean=mean,
            ratio_max=float(stats.largest_ratio) if stats is not None else 0.0,
            ratio_std=max(square - mean**2, 0.0) ** 0.5,
            approx_kl=sums[2] / tokens,
            grad_norm=grad_norm if np.isfinite(grad_norm) else 0.0,
            stepped=bool(np.isfinite(grad_norm)),
        )

    def flat(self) -> dict[str, float]:
        """One number for each name, for a logger."""
        numbers: dict[str, float] = {}
        for name, value in dataclasses.asdict(self).items():
            values = value.items() if isinstance(value, dict) else [("", value)]
            numbers |= {f"{name}/{key}" if key else name: float(number) for key, number in values}
        return numbers


def cosine(one_N: Floats, other_N: Floats) -> float:
    """Cosine between two channels' advantages; 0 where one of them is silent.

    >>> cosine(np.array([1.0, -1.0, 0.0]), np.array([2.0, -2.0, 0.0])) > 0.999999
    True
    >>> cosine(np.array([1.0, -1.0]), np.zeros(2))
    0.0
    """
    norms = float(np.linalg.norm(one_N) * np.linalg.norm(other_N))
    return float((one_N * other_N).sum()) / norms if norms > 0.0 else 0.0


def total_advantages(channels: Sequence[Channel], size: int) -> Floats:
    """`Σ weight·advantage` over the channels, shape (N,)."""
    total_N = np.zeros(size)
    for channel in channels:
        total_N += channel.weight * channel.advantages
    return total_N


def reversal_share(outcomes: Sequence[Outcome], channels: Sequence[Channel]) -> float:
    """Share of correct episodes whose total advantage is negative: they are made less likely though they are right."""
    is_correct_N = np.array([outcome.correct for outcome in outcomes], dtype=np.bool_)
    total_N = total_advantages(channels, len(outcomes))
    return _share(total_N[is_correct_N] < 0.0)


def diagnose(outcomes: Sequence[Outcome], channels: Sequence[Channel], unscored: int) -> BatchDiagnostics:
    """Describe the N scored episodes of a batch."""
    calls_N = np.array([outcome.tool_calls for outcome in outcomes], dtype=np.float64)
    active = [channel.advantages != 0.0 for channel in channels if channel.weight != 0.0]
    return BatchDiagnostics(
        scored=len(outcomes),
        unscored=unscored,
        accuracy=_share(np.array([outcome.correct for outcome in outcomes], dtype=np.bool_)),
        tool_rate=_share(calls_N > 0),
        tool_calls=_share(calls_N),
        sign_reversal=reversal_share(outcomes, channels),
        cosine=cosine(channels[0].advantages, channels[1].advantages) if len(channels) > 1 else 0.0,
        signal=_share(np.any(active, axis=0)) if active else 0.0,
    )


def _share(values: np.ndarray[tuple[int], np.dtype[np.bool_]] | Floats) -> float:
    return float(np.mean(values)) if len(values) else 0.0
