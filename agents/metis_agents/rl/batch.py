"""A batch of groups and a reward design → advantages, who counts, and who needs no forward pass.

The order matters: unscored episodes leave first (they are nobody's statistic), then the design compares, then the
denominators are counted, and only then episodes without signal are skipped.

Axes: N scored episodes of this rank, in order.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from metis_agents.rl.collect import Rollout
from metis_agents.rl.counts import Denominator, LossCounts
from metis_agents.rl.diagnostics import BatchDiagnostics, diagnose
from metis_agents.rl.distributed import Ranks
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Bools, Channel, RewardDesign, view_for

__all__ = ["ChannelBatch", "Positions", "compute_channels", "select", "signal"]

Payload = TypeVar("Payload")
Positions = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ChannelBatch(Generic[Payload]):
    """The scored episodes of one rank, judged.

    Attributes:
        rollouts: The N scored episodes.
        groups: The positions of each group's episodes among them; no group is empty.
        channels: The channels, with the advantages of these N episodes; empty when no rank has a scored episode.
        diagnostics: What the whole batch, all ranks, looked like.
    """

    rollouts: tuple[Rollout[Payload], ...]
    groups: tuple[Positions, ...]
    channels: tuple[Channel, ...]
    diagnostics: BatchDiagnostics

    @property
    def tokens_N(self) -> NDArray[np.int64]:
        """Tokens that the model generated in each episode."""
        return np.array([rollout.model_tokens for rollout in self.rollouts], dtype=np.int64)

    def counts(self, episodes: Positions, denominator: Denominator) -> LossCounts:
        """What divides the loss of an optimiser batch of these episodes, on this rank."""
        return LossCounts.of(select(self.channels, episodes), self.tokens_N[episodes], denominator)

    def needing_forward(self, episodes: Positions, *, regularised: bool = False) -> Positions:
        """Those of the episodes that have a gradient: all others need no forward pass.

        Args:
            episodes: The positions to choose from.
            regularised: Whether an entropy or KL term gives episodes without signal a gradient, too.
        """
        if not self.channels:
            return episodes[:0]
        has_gradient_N = self.tokens_N > 0
        if not regularised:
            has_gradient_N &= signal(self.channels)
        return episodes[has_gradient_N[episodes]]


def compute_channels(
    groups: Sequence[Sequence[Rollout[Payload]]], design: RewardDesign, ranks: Ranks | None = None
) -> ChannelBatch[Payload]:
    """Drop unscored episodes and let the design compare the rest, over all ranks.

    Args:
        groups: This rank's groups, each the episodes of one task.
        design: The reward design; every rank must hold one in the same state. It is called once, unless no episode of
            any rank is scored.
        ranks: The ranks that share the batch; a single one by default.

    Raises:
        ConfigError: The design gave channels that do not fit the batch.
    """
    ranks = ranks or Ranks()
    scored = [[rollout for rollout in group if rollout.outcome.scored] for group in groups]
    scored = [group for group in scored if group]
    mine = [[rollout.outcome for rollout in group] for group in scored]
    everyone = ranks.gather(mine)
    unscored = sum(ranks.gather(sum(map(len, groups)) - sum(map(len, mine))))
    whole_batch = [group for of_rank in everyone for group in of_rank]
    channels = _compare(design, whole_batch) if whole_batch else ()
    first = sum(len(group) for of_rank in everyone[: ranks.rank] for group in of_rank)
    size = sum(map(len, mine))
    return ChannelBatch(
        rollouts=tuple(rollout for group in scored for rollout in group),
        groups=_positions(mine),
        channels=select(channels, np.arange(first, first + size)),
        diagnostics=diagnose([outcome for group in whole_batch for outcome in group], channels, unscored),
    )


def select(channels: Sequence[Channel], episodes: Positions) -> tuple[Channel, ...]:
    """The channels with the advantages of some episodes only."""
    return tuple(
        dataclasses.replace(channel, advantages=channel.advantages[episodes], members=channel.members[episodes])
        for channel in channels
    )


def signal(channels: Sequence[Channel]) -> Bools:
    """True where a channel of non-zero weight has a non-zero advantage; shape (N,)."""
    has_signal_N: Bools = np.zeros(len(channels[0].advantages), dtype=np.bool_)
    for channel in channels:
        if channel.weight != 0.0:
            has_signal_N |= channel.advantages != 0.0
    return has_signal_N


def _positions(groups: Sequence[Sequence[Any]]) -> tuple[Positions, ...]:
    ends = np.cumsum([0, *map(len, groups)])
    return tuple(np.arange(start, end) for start, end in itertools.pairwise(ends))


def _compare(design: RewardDesign, groups: Sequence[Sequence[Outcome]]) -> tuple[Channel, ...]:
    channels = design.channels([[view_for(design, outcome) for outcome in group] for group in groups])
    size = sum(map(len, groups))
    names = [channel.name for channel in channels]
    if not channels or len(set(names)) != len(names):
        raise ConfigError(f"Expect {design.name!r} to give channels of different names, actually: {names}")
    for channel in channels:
        shapes = channel.advantages.shape, channel.members.shape
        if shapes != ((size,), (size,)):
            raise ConfigError(
                f"Expect advantages and members of shape ({size},) in channel {channel.name!r} of {design.name!r}, "
                f"actually: {shapes[0]} and {shapes[1]}"
            )
        if not np.isfinite([channel.weight]).all() or not np.isfinite(channel.advantages).all():
            raise ConfigError(f"Expect finite weight and advantages in channel {channel.name!r} of {design.name!r}")
    return channels
