"""Several channels as one advantage for each episode, for engines that know only one (verl, TRL).

Every surrogate f here is positively homogeneous in its advantage, f(c·A) = c·f(A) for c ≥ 0. So the weight and the
denominator of a channel can be put into its advantage, `a_k = w_k·A_k·(D_everyone/D_k)`, and for any a_k

    Σ_k f(a_k) = f(Σ_k a_k) + m·(f(1) + f(−1)),   m = (Σ_k |a_k| − |Σ_k a_k|)/2.

`Joined.total_N` is Σ a_k and `Joined.hinge_N` is m. An engine that is given the total alone computes the channel loss
exactly where f(1) + f(−1) has no gradient or m is 0: at ratio 1 (one optimiser step for each batch), inside the trust
region of a clip, for episodes whose channels agree in sign, and always for a surrogate that is linear in A (CISPO).
Elsewhere it lacks the pull back into the trust region, which for PPO's clip is m times the distance of the ratio from
[1 − ε_low, 1 + ε_high]. An engine that can be given m as well computes it exactly everywhere: `Joined.channels`.

Axes: N episodes of a batch in order, unscored ones included.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metis_agents.rl.batch import Positions, compute_channels
from metis_agents.rl.collect import Rollout
from metis_agents.rl.counts import Aggregation, Denominator, LossCounts
from metis_agents.rl.distributed import Ranks
from metis_agents.rl.loss import LossConfig, divisor
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Channel, Floats, RewardDesign

__all__ = ["Joined", "check_sums", "join", "joined"]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Joined:
    """What an engine is given of a batch.

    Attributes:
        total_N: The one advantage of each episode, float64; NaN where it is not scored.
        hinge_N: m, what the total leaves out; never negative, 0 where the channels agree in sign, NaN where the episode
            is not scored.
    """

    total_N: Floats
    hinge_N: Floats

    @property
    def is_scored_N(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """True where the episode is scored and takes part."""
        scored_N: np.ndarray[tuple[int], np.dtype[np.bool_]] = ~np.isnan(self.total_N)
        return scored_N

    def channels(self, episodes: Positions | None = None) -> tuple[Channel, Channel, Channel]:
        """Three channels of weight 1, all divided by everyone, whose loss is that of the original ones.

        Args:
            episodes: Some of the scored episodes; all of them by default.
        """
        chosen = np.flatnonzero(self.is_scored_N) if episodes is None else episodes
        return (
            _everyones("total", self.total_N[chosen]),
            _everyones("hinge up", self.hinge_N[chosen]),
            _everyones("hinge down", -self.hinge_N[chosen]),
        )


def join(channels: Sequence[Channel], counts: LossCounts, config: LossConfig) -> Joined:
    """Channels of scored episodes as one advantage.

    Args:
        channels: The channels, in order.
        counts: Of the whole optimiser batch.
        config: The options of the loss.

    Raises:
        ConfigError: A channel has a negative weight: `w·f(A)` is then no `f` of any advantage.

    >>> from metis_agents.rl.counts import Count
    >>> both = np.ones(2, dtype=np.bool_)
    >>> accuracy = Channel(name="accuracy", weight=1.0, advantages=np.array([1.0, -1.0]), members=both)
    >>> efficiency = Channel(name="efficiency", weight=0.5, advantages=np.array([-1.0, -1.0]), members=both)
    >>> result = join([accuracy, efficiency], LossCounts(Count(8, 2), (Count(8, 2), Count(4, 1))), LossConfig())
    >>> result.total_N, result.hinge_N
    (array([ 0., -2.]), array([1., 0.]))
    """
    for channel in channels:
        if channel.weight < 0.0:
            raise ConfigError(
                f"Expect weights of at least 0 where channels become one advantage, actually: {channel.weight} of "
                f"channel {channel.name!r}. Train this design with `metis-gym train`."
            )
    everyone = divisor(counts.everyone, config)
    parts = [
        channel.weight * channel.advantages * (everyone / divisor(count, config))
        for channel, count in zip(channels, counts.by_channel, strict=True)
    ]
    total_N: Floats = np.sum(parts, axis=0)
    return Joined(total_N, np.maximum(np.sum(np.abs(parts), axis=0) - np.abs(total_N), 0.0) / 2)


def joined(
    design: RewardDesign,
    groups: Sequence[Sequence[Outcome]],
    *,
    config: LossConfig | None = None,
    tokens: Sequence[Sequence[int]] | None = None,
    ranks: Ranks | None = None,
) -> Joined:
    """Let a design compare a batch of groups, and join what it says.

    Args:
        design: The reward design; it is called once, unless no episode is scored.
        groups: This rank's groups, each the episodes of one task. Those of all ranks are one optimiser batch.
        config: The options of the loss; the defaults of HDPO if none are given.
        tokens: How many tokens the model wrote in each of these episodes. Needed where a channel is divided by fewer
            episodes than all, and tokens are counted.
        ranks: The ranks that share the batch; by default those of torch.distributed's default group.

    Returns:
        N numbers each, groups end to end in order.

    Raises:
        ConfigError: The design gave channels that do not fit the batch or have a negative weight, or `tokens` are
            missing or do not fit.
    """
    config, ranks = config or LossConfig(), ranks or Ranks()
    size = sum(map(len, groups))
    places = iter(range(size))
    rollouts = [
        [Rollout(outcome=one, model_tokens=count, payload=next(places)) for one, count in zip(*pair, strict=True)]
        for pair in zip(groups, _counted(groups, tokens, config), strict=True)
    ]
    batch = compute_channels(rollouts, design, ranks)
    whole = Joined(np.full(size, np.nan), np.full(size, np.nan))
    if batch.channels:
        mine = batch.counts(np.arange(len(batch.rollouts)), Denominator(config.denominator))
        first, *others = ranks.gather(mine)
        part = join(batch.channels, sum(others, start=first), config)
        scored = [rollout.payload for rollout in batch.rollouts]
        whole.total_N[scored], whole.hinge_N[scored] = part.total_N, part.hinge_N
    return whole


def check_sums(total_N: Floats, groups: Sequence[Positions], design: RewardDesign) -> None:
    """Check that an engine that subtracts each group's mean leaves these advantages as they are.

    Args:
        total_N: Joined advantages; NaN where the episode is not scored.
        groups: Where the episodes of each group are among them.
        design: Named in the message.

    Raises:
        ConfigError: The scored advantages of a group do not sum to 0.
    """
    for members in groups:
        kept = total_N[members][~np.isnan(total_N[members])]
        if abs(kept.sum()) > _ROUNDING * max(1.0, float(np.abs(kept).sum())):
            raise ConfigError(
                f"Expect advantages that sum to 0 over each group, because this engine subtracts the group's mean, "
                f"actually: a sum of {kept.sum():.6g} from {design.name!r}. Train this design with `metis-gym train`."
            )


def _everyones(name: str, advantages: Floats) -> Channel:
    members = np.ones(len(advantages), dtype=np.bool_)
    return Channel(name=name, weight=1.0, advantages=advantages, members=members)


def _counted(
    groups: Sequence[Sequence[Outcome]], tokens: Sequence[Sequence[int]] | None, config: LossConfig
) -> Sequence[Sequence[int]]:
    if tokens is not None:
        if [len(one) for one in tokens] != [len(group) for group in groups]:
            raise ConfigError(
                f"Expect a number of tokens for each episode, {[len(group) for group in groups]} in the groups, "
                f"actually: {[len(one) for one in tokens]}"
            )
        return tokens
    if config.aggregation == Aggregation.TOKEN_MEAN and config.denominator != Denominator.ALL:
        raise ConfigError(
            f"Expect `tokens` with denominator {config.denominator!r}, which divides by the tokens of some episodes, "
            f"actually: none"
        )
    return [[0] * len(group) for group in groups]
