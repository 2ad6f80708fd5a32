"""The channel loss: one clipped surrogate for each advantage channel, joined only here (arXiv 2604.08545).

`L = Σ_k w_k·L_k`, `L_k = −Σ_episodes Σ_model tokens objective(ratio, A_k) / count_k`. The counts come from the whole
optimiser batch of all ranks, so that the sum of the losses of any split, in any order and with any padding, has the
same gradient. Sum the gradients of ranks; where a library averages them, multiply the loss by the number of ranks.

Axes: C channels of non-zero weight, B episodes of a micro-batch, T tokens of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metis_agents.rl.collect import TokenLogprobs
from metis_agents.rl.counts import Aggregation, Count, Denominator, LossCounts
from metis_agents.rl.surrogates import Surrogate, clamped, make_surrogate
from metis_gym.errors import ConfigError, NonFiniteError
from metis_gym.parameters import check_parameters, choice, number, whole
from metis_gym.rewards.contract import Channel

__all__ = ["ChannelLoss", "LossConfig", "LossStats", "channel_loss", "divisor"]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The options of the loss.

    Attributes:
        surrogate: Name or spec of the surrogate: ppo_clip, dapo, gspo, gmpo, cispo, sapo.
        denominator: Which episodes divide the second and further channels.
        aggregation: How the losses of tokens become one number.
        constant_length: The length that divides with aggregation `constant-length`.
        entropy_coef: Weight of an entropy bonus; 0 in the paper.
        kl_coef: Weight of a KL penalty towards a reference; 0 in the paper. The reference is a language model with its
            LoRA switched off, or a stable-baselines3 policy as it was when `learn` was called first.
        importance_cap: Weigh each token by `min(π_acting/π_engine, cap)`, where the engine that sampled is not exactly
            the policy that learns (truncated importance sampling); none weighs nothing.
    """

    surrogate: str = "ppo_clip"
    denominator: str = choice("all", *Denominator)
    aggregation: str = choice("token-mean", *Aggregation)
    constant_length: int | None = whole(None, low=1, optional=True)
    entropy_coef: float = number(0.0, low=0)
    kl_coef: float = number(0.0, low=0)
    importance_cap: float | None = number(None, above=0, optional=True)
    _objective: Surrogate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_parameters(self)
        object.__setattr__(self, "_objective", make_surrogate(self.surrogate))
        if (self.aggregation == Aggregation.CONSTANT_LENGTH) != (self.constant_length is not None):
            raise ConfigError(
                f"Expect `constant_length` with aggregation 'constant-length' and only then, actually: constant_length "
                f"{self.constant_length!r} with aggregation {self.aggregation!r}"
            )

    @property
    def objective(self) -> Surrogate:
        """The surrogate objective that the configuration names."""
        return self._objective

    @property
    def regularised(self) -> bool:
        """Whether episodes without any advantage have a gradient, too, and must not be skipped."""
        return self.entropy_coef > 0 or self.kl_coef > 0


@dataclass(frozen=True, eq=False)
class LossStats:
    """Sums over model tokens, detached, to be added up over micro-batches.

    Attributes:
        sums: Shape (4 + 2·C,): tokens, ratios, k3 estimates of the KL to the acting policy, squared ratios, then the
            clipped tokens of each channel, then each channel's loss before its weight.
        largest_ratio: The largest ratio.
    """

    sums: Tensor
    largest_ratio: Tensor

    def __add__(self, other: "LossStats") -> "LossStats":
        """Two micro-batches together."""
        return LossStats(self.sums + other.sums, torch.maximum(self.largest_ratio, other.largest_ratio))

    def cpu(self) -> "LossStats":
        """The same on the host, for other ranks and for reading."""
        return LossStats(self.sums.cpu(), self.largest_ratio.cpu())


@dataclass(frozen=True, eq=False)
class ChannelLoss:
    """The loss of a micro-batch.

    Attributes:
        loss: Scalar, to be minimised: this micro-batch's share of the batch's loss.
        stats: What happened in it.
    """

    loss: Tensor
    stats: LossStats


def channel_loss(
    tokens: TokenLogprobs,
    channels: Sequence[Channel],
    counts: LossCounts,
    config: LossConfig,
    *,
    old_logprobs_BT: Tensor | None = None,
) -> ChannelLoss:
    """The loss of one micro-batch.

    Args:
        tokens: What the policy says about the B episodes.
        channels: All channels, each with the advantages of these B episodes. Those of weight 0 are ignored.
        counts: Of the whole optimiser batch, all ranks.
        config: The options.
        old_logprobs_BT: Log-probabilities when the episodes were played; None for the first update after acting, where
            every ratio is 1.

    Raises:
        ConfigError: Shapes that do not fit each other, or an input that an option needs.
        NonFiniteError: A NaN or infinity at a model token, or in an advantage, also where the loss would be finite.
    """
    _check_shapes(tokens, channels, counts, config, old_logprobs_BT)
    is_model_token_BT = tokens.is_model_token_BT.bool()
    logprobs_BT = _kept(tokens.logprobs_BT, is_model_token_BT)
    old_BT = logprobs_BT.detach() if old_logprobs_BT is None else _kept(old_logprobs_BT, is_model_token_BT).detach()
    logratio_BT = logprobs_BT - old_BT

    active = [index for index, channel in enumerate(channels) if channel.weight != 0.0]
    advantages_CB1 = _advantages(channels, active, like=logprobs_BT)
    objective_CBT, is_clipped_CBT = config.objective(logratio_BT, advantages_CB1, is_model_token_BT)
    if config.importance_cap is not None and tokens.sampled_logprobs_BT is not None:
        sampled_BT = _kept(tokens.sampled_logprobs_BT, is_model_token_BT)
        objective_CBT = objective_CBT * clamped(old_BT - sampled_BT).exp().clamp(max=config.importance_cap).detach()
    divisors_C = logprobs_BT.new_tensor([divisor(counts.by_channel[index], config) for index in active])
    losses_C = -_episode_sums(objective_CBT, is_model_token_BT, config) / divisors_C
    weights_C = logprobs_BT.new_tensor([channels[index].weight for index in active])
    loss = (weights_C * losses_C).sum() + _regularisers(tokens, logprobs_BT, is_model_token_BT, counts.everyone, config)
    _check_finite(loss, tokens, old_logprobs_BT, advantages_CB1)
    return ChannelLoss(loss, _stats(logratio_BT, is_model_token_BT, is_clipped_CBT, losses_C))


def _episode_sums(values_BT: Tensor, is_model_token_BT: Tensor, config: LossConfig) -> Tensor:
    """The sum over the episodes of this micro-batch, for each leading axis; the batch's count is not divided by yet."""
    sums_B = (values_BT * is_model_token_BT).sum(-1)
    if config.aggregation == Aggregation.SEQUENCE_MEAN:
        sums_B = sums_B / is_model_token_BT.sum(-1).clamp(min=1)
    return sums_B.sum(-1)


def divisor(count: Count, config: LossConfig) -> float:
    """What a sum over the whole batch is divided by; 1 where nobody counts and the sum is 0."""
    if config.aggregation == Aggregation.TOKEN_MEAN:
        return max(count.tokens, 1)
    return max(count.episodes, 1) * (config.constant_length or 1)


def _regularisers(
    tokens: TokenLogprobs, logprobs_BT: Tensor, is_model_token_BT: Tensor, everyone: Count, config: LossConfig
) -> Tensor:
    """Entropy bonus and KL penalty, over every scored episode; exactly 0 where both are off."""
    total = logprobs_BT.new_zeros(())
    if config.entropy_coef > 0 and tokens.entropy_BT is not None:
        entropy_BT = _kept(tokens.entropy_BT, is_model_token_BT)
        total = total - config.entropy_coef * _episode_sums(entropy_BT, is_model_token_BT, config)
    if config.kl_coef > 0 and tokens.reference_logprobs_BT is not None:
        towards_BT = _kept(tokens.reference_logprobs_BT, is_model_token_BT).detach() - logprobs_BT
        total = total + config.kl_coef * _episode_sums(_k3(towards_BT), is_model_token_BT, config)
    return total / divisor(everyone, config)


def _k3(towards: Tensor) -> Tensor:
    """`e^x − x − 1`, an unbiased and never negative estimate of the KL divergence (Schulman 2020, "k3")."""
    towards = clamped(towards)
    return towards.exp() - towards - 1.0


def _kept(values_BT: Tensor, is_model_token_BT: Tensor) -> Tensor:
    """The values at model tokens in at least float32, 0 elsewhere, whatever the padding holds."""
    values_BT = values_BT.float() if values_BT.dtype in (torch.float16, torch.bfloat16) else values_BT
    return torch.where(is_model_token_BT, values_BT, torch.zeros_like(values_BT))


def _advantages(channels: Sequence[Channel], active: Sequence[int], like: Tensor) -> Tensor:
    rows = [torch.from_numpy(channels[index].advantages).to(like) for index in active]
    stacked = torch.stack(rows) if rows else like.new_zeros((0, like.shape[0]))
    return stacked.unsqueeze(-1)


@torch.no_grad()
def _stats(logratio_BT: Tensor, is_model_token_BT: Tensor, is_clipped_CBT: Tensor, losses_C: Tensor) -> LossStats:
    ratio_BT = clamped(logratio_BT).exp() * is_model_token_BT
    kl_BT = _k3(logratio_BT) * is_model_token_BT
    per_token = torch.stack([is_model_token_BT.sum().to(ratio_BT), ratio_BT.sum(), kl_BT.sum(), (ratio_BT**2).sum()])
    clipped_C = (is_clipped_CBT & is_model_token_BT).sum((-1, -2)).to(ratio_BT)
    largest = ratio_BT.max() if ratio_BT.numel() else ratio_BT.new_zeros(())
    return LossStats(torch.cat([per_token, clipped_C, losses_C.detach()]), largest)


def _check_shapes(
    tokens: TokenLogprobs,
    channels: Sequence[Channel],
    counts: LossCounts,
    config: LossConfig,
    old_logprobs_BT: Tensor | None,
) -> None:
    shape = tuple(tokens.logprobs_BT.shape)
    if len(shape) != 2:
        raise ConfigError(f"Expect logprobs_BT of shape (episodes, tokens), actually: {shape}")
    others = {
        "is_model_token_BT": tokens.is_model_token_BT,
        "old_logprobs_BT": old_logprobs_BT,
        "entropy_BT": tokens.entropy_BT,
        "reference_logprobs_BT": tokens.reference_logprobs_BT,
        "sampled_logprobs_BT": tokens.sampled_logprobs_BT,
    }
    for name, tensor in others.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ConfigError(
                f"Expect {name} to have the shape of logprobs_BT {shape}, actually: {tuple(tensor.shape)}"
            )
    for channel in channels:
        if channel.advantages.shape != shape[:1]:
            raise ConfigError(
                f"Expect channel {channel.name!r} to have one advantage for each of {shape[0]} episodes, actually: "
                f"{channel.advantages.shape}"
            )
    if len(counts.by_channel) != len(channels):
        raise ConfigError(f"Expect counts for {len(channels)} channels, actually: {len(counts.by_channel)}")
    wanted = (
        ("entropy_BT", "a coefficient", config.entropy_coef),
        ("reference_logprobs_BT", "a coefficient", config.kl_coef),
        ("sampled_logprobs_BT", "an importance cap", config.importance_cap or 0.0),
    )
    for name, option, value in wanted:
        if value > 0 and others[name] is None:
            raise ConfigError(f"Expect the policy to give {name} with {option} of {value}, actually: None")


def _check_finite(loss: Tensor, tokens: TokenLogprobs, old_logprobs_BT: Tensor | None, advantages_CB1: Tensor) -> None:
    """Look at every input, not at the loss alone: a probability of 0 has a finite loss and a NaN gradient."""
    is_model_token_BT = tokens.is_model_token_BT.bool()
    by_token = {
        "logprobs_BT": tokens.logprobs_BT,
        "old_logprobs_BT": old_logprobs_BT,
        "entropy_BT": tokens.entropy_BT,
        "reference_logprobs_BT": tokens.reference_logprobs_BT,
        "sampled_logprobs_BT": tokens.sampled_logprobs_BT,
    }
    broken = {
        name: ~torch.isfinite(values) & is_model_token_BT for name, values in by_token.items() if values is not None
    }
    broken["advantages"] = ~torch.isfinite(advantages_CB1)
    found = torch.stack([~torch.isfinite(loss), *(mask.any() for mask in broken.values())])
    if not bool(found.any()):
        return
    for name, mask in broken.items():
        if bool(mask.any()):
            values = advantages_CB1 if name == "advantages" else by_token[name]
            assert values is not None, "only what was given can be broken"
            raise NonFiniteError(_broken_text(name, values, mask.nonzero()))
    raise NonFiniteError(f"the loss is {loss.item()} though every input is finite")


def _broken_text(name: str, values: Tensor, where: Tensor) -> str:
    first = tuple(where[0].tolist())
    value = values[first].item()
    if name == "advantages":
        return f"advantages is not finite at {len(where)} episodes of this micro-batch, first at {first}: {value}"
    text = (
        f"{name} is not finite at {len(where)} model tokens of this micro-batch, first at {first} (episode, token): "
        f"{value}"
    )
    if value == -float("inf"):
        text += (
            ". The policy gives a token that was played the probability 0: score the tokens with the sampling settings "
            "(masks, temperature, top-k) that they were drawn with, or with none"
        )
    return text
