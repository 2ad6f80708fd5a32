"""The channel loss: the formula by brute force, and the same gradient however the batch is cut."""

import math
import zlib

import numpy as np
import pytest
import torch
from hdpo_toys import ToyPolicy, gradient, toy_groups, toy_rollout
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_agents.rl import (
    SURROGATES,
    Aggregation,
    Count,
    Denominator,
    LossConfig,
    LossCounts,
    TokenLogprobs,
    channel_loss,
    compute_channels,
    select,
)
from metis_gym import rewards
from metis_gym.errors import ConfigError, NonFiniteError
from metis_gym.rewards.contract import Channel

EVERY_CONFIG = [
    LossConfig(surrogate=surrogate, denominator=denominator, aggregation=aggregation, constant_length=length)
    for surrogate in SURROGATES.names()
    for denominator in Denominator
    for aggregation, length in (("token-mean", None), ("sequence-mean", None), ("constant-length", 11))
]
REGULARISED = LossConfig(entropy_coef=0.3, kl_coef=0.2)


def old_logprobs(policy, rollouts):
    """Some acting policy's log-probabilities, the same for an episode wherever it stands."""
    tokens = policy.logprobs(rollouts)
    noise = [
        torch.tensor([math.sin(zlib.crc32(repr(r.payload).encode()) + i) for i in range(r.model_tokens)])
        for r in rollouts
    ]
    old_BT = tokens.logprobs_BT.detach().clone()
    old_BT[tokens.is_model_token_BT] += 0.3 * torch.cat(noise).double()
    return old_BT


def whole_gradient(groups, config, cuts=None, design="hdpo", pad=0, left=False, on_policy=False, skip=True):
    """The gradient of one optimiser batch, cut into micro-batches as told."""
    policy, batch = ToyPolicy(pad=pad, left=left), compute_channels(groups, rewards.make(design))
    everyone = np.arange(len(batch.rollouts))
    counts = batch.counts(everyone, Denominator(config.denominator))
    kept = batch.needing_forward(everyone) if skip else everyone
    pieces = [kept] if cuts is None else np.array_split(cuts.permutation(kept), 1 + len(kept) // 3)
    total = 0.0
    for piece in filter(len, pieces):
        rollouts = [batch.rollouts[i] for i in piece]
        old_BT = None if on_policy else old_logprobs(policy, rollouts)
        part = channel_loss(
            policy.logprobs(rollouts), select(batch.channels, piece), counts, config, old_logprobs_BT=old_BT
        )
        part.loss.backward()
        total += part.loss.item()
    return gradient(policy), total


def assert_same(one, other):
    scale = one.abs().max().item()
    assert (one - other).abs().max().item() <= 1e-12 * scale, (one, other)


@pytest.mark.parametrize("config", [*EVERY_CONFIG, REGULARISED], ids=str)
def test_every_split_order_and_padding_has_one_gradient(config):
    groups = toy_groups(np.random.default_rng(3))
    skip = not config.regularised
    whole, loss = whole_gradient(groups, config, skip=skip)
    assert whole.abs().max() > 0
    for seed in range(3):
        cut, cut_loss = whole_gradient(groups, config, np.random.default_rng(seed), pad=seed, left=seed == 1, skip=skip)
        assert_same(whole, cut)
        assert cut_loss == pytest.approx(loss, rel=1e-12, abs=1e-13)


@given(seed=st.integers(0, 2**32 - 1), config=st.sampled_from(EVERY_CONFIG), on_policy=st.booleans())
@settings(max_examples=40)
def test_random_batches_and_random_splits(seed, config, on_policy):
    random = np.random.default_rng(seed)
    groups = toy_groups(random, tasks=int(random.integers(1, 4)), size=int(random.integers(1, 7)))
    design = ("hdpo", "accuracy", "gdpo")[seed % 3]
    if not any(rollout.outcome.scored for group in groups for rollout in group):
        return
    whole, _ = whole_gradient(groups, config, None, design, on_policy=on_policy)
    cut, _ = whole_gradient(groups, config, random, design, pad=2, on_policy=on_policy)
    assert_same(whole, cut)


@pytest.mark.parametrize("config", EVERY_CONFIG, ids=str)
def test_skipping_episodes_without_signal_changes_nothing(config):
    # A tied wrong group has no signal; counted or not, forward pass or not, the gradient is the same.
    random = np.random.default_rng(5)
    groups = [*toy_groups(random, tasks=2), [toy_rollout(random, "hopeless", right=False) for _ in range(4)]]
    assert_same(whole_gradient(groups, config)[0], whole_gradient(groups, config, skip=False)[0])


def test_hopeless_groups_still_divide():
    random = np.random.default_rng(5)
    groups = toy_groups(random, tasks=2, unscored=0)
    hopeless = [toy_rollout(random, "hopeless", right=False, length=9) for _ in range(4)]
    config = LossConfig()
    mine = sum(r.model_tokens for group in groups for r in group)
    more = mine + sum(r.model_tokens for r in hopeless)
    alone, beside = (whole_gradient(g, config)[0] for g in (groups, [*groups, hopeless]))
    assert_same(alone * mine, beside * more)


@pytest.mark.parametrize("denominator", Denominator)
def test_the_formula_by_brute_force(denominator):
    # L = −Σ_k w_k Σ min(r·A, clip(r)·A) / tokens_k over model tokens, with plain loops.
    groups = toy_groups(np.random.default_rng(7), unscored=0)
    _, loss = whole_gradient(groups, LossConfig(denominator=denominator), skip=False)
    rollouts = [rollout for group in groups for rollout in group]
    accuracy, efficiency = rewards.make("hdpo").channels([[r.outcome for r in group] for group in groups])
    policy = ToyPolicy()
    expected = 0.0
    for weight, channel in ((1.0, accuracy), (0.15, efficiency)):
        divides = {
            Denominator.ALL: [True] * len(rollouts),
            Denominator.QUALIFYING: [r.outcome.correct for r in rollouts],
            Denominator.SIGNAL: list(efficiency.advantages != 0),
        }[denominator if channel is efficiency else Denominator.ALL]
        tokens = sum(r.model_tokens for r, counted in zip(rollouts, divides, strict=True) if counted)
        for r, a in zip(rollouts, channel.advantages, strict=True):
            now, is_model = policy.logprobs([r])[:2]
            ratios = (now - old_logprobs(policy, [r])).exp()[is_model].tolist()
            expected -= weight * sum(min(x * a, min(max(x, 0.8), 1.2) * a) for x in ratios) / tokens
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("config", EVERY_CONFIG, ids=str)
def test_channels_add_up(config):
    # A channel of weight 0 leaves the other one its own count, whichever of the two it is.
    groups = toy_groups(np.random.default_rng(11))
    both, accuracy, efficiency = (
        whole_gradient(groups, config, design=design, skip=False)[0]
        for design in ("hdpo:w_tool=0.5", "hdpo:w_tool=0", "hdpo:w_acc=0,w_tool=0.5")
    )
    torch.testing.assert_close(accuracy + efficiency, both, rtol=0, atol=1e-12 * both.abs().max().item())
    assert efficiency.abs().max() > 0


@pytest.mark.parametrize("config", EVERY_CONFIG, ids=str)
def test_weight_zero_is_grpo_to_the_last_bit(config):
    groups = toy_groups(np.random.default_rng(11))
    for on_policy in (True, False):
        hdpo, loss = whole_gradient(groups, config, design="hdpo:w_tool=0", on_policy=on_policy)
        grpo, grpo_loss = whole_gradient(groups, config, design="accuracy", on_policy=on_policy)
        assert torch.equal(hdpo, grpo)
        assert loss == grpo_loss


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean"])
def test_first_update_is_the_same_for_every_surrogate(aggregation):
    groups = toy_groups(np.random.default_rng(13))
    gradients = [
        whole_gradient(groups, LossConfig(surrogate=name, aggregation=aggregation), on_policy=True)[0]
        for name in (*SURROGATES.names(), "ppo_clip:dual_clip=3")
    ]
    for other in gradients[1:]:
        assert_same(gradients[0], other)


def test_aggregations_differ_by_length_weights_only():
    # Three model tokens in one episode, one in the other; A = ±1/√2 each, on-policy: the slope at log π is −A·weight.
    lp_BT = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    tokens = TokenLogprobs(lp_BT, torch.tensor([[True, True, True], [False, True, False]]))
    channel = Channel(name="a", weight=1.0, advantages=np.array([1.0, -1.0]), members=np.array([True, True]))
    counts = LossCounts(Count(4, 2), (Count(4, 2),))
    for config, weights in (
        (LossConfig(), (1 / 4, 1 / 4)),
        (LossConfig(aggregation="sequence-mean"), (1 / 6, 1 / 2)),
        (LossConfig(aggregation="constant-length", constant_length=10), (1 / 20, 1 / 20)),
    ):
        (slope_BT,) = torch.autograd.grad(channel_loss(tokens, [channel], counts, config).loss, lp_BT)
        assert slope_BT[0].tolist() == pytest.approx([-weights[0]] * 3)
        assert slope_BT[1].tolist() == pytest.approx([0.0, weights[1], 0.0])


def test_the_middle_member_divides_by_qualifying_but_not_by_signal():
    # T = (1, 2, 5), all correct: A = (1, 0, −1); 3 members, 2 with a signal.
    channels = (
        Channel(name="accuracy", weight=1.0, advantages=np.zeros(4), members=np.ones(4, dtype=bool)),
        Channel(
            name="efficiency",
            weight=0.15,
            advantages=np.array([1.0, 0.0, -1.0, 0.0]),
            members=np.array([True, True, True, False]),
        ),
    )
    tokens = np.array([2, 3, 5, 7])
    by_name = {name: LossCounts.of(channels, tokens, name).by_channel[1] for name in Denominator}
    assert by_name == {"all": Count(17, 4), "qualifying": Count(10, 3), "signal": Count(7, 2)}
    for name in Denominator:
        assert LossCounts.of(channels, tokens, name).by_channel[0] == Count(17, 4)


def test_regularisers_by_hand():
    # entropy bonus −.5·mean entropy, KL .25·mean (e^x − x − 1), x = log ref − log π, over model tokens only.
    lp = torch.tensor([[-1.0, -2.0, -3.0]], dtype=torch.float64)
    mask, entropy = torch.tensor([[True, False, True]]), torch.tensor([[0.5, 9.0, 0.7]], dtype=torch.float64)
    tokens = TokenLogprobs(lp, mask, entropy, lp + torch.tensor([[0.1, 5.0, -0.2]], dtype=torch.float64))
    channel = Channel(name="a", weight=1.0, advantages=np.zeros(1), members=np.ones(1, dtype=bool))
    config = LossConfig(entropy_coef=0.5, kl_coef=0.25)
    loss = channel_loss(tokens, [channel], LossCounts(Count(2, 1), (Count(2, 1),)), config).loss
    k3 = [math.exp(x) - x - 1 for x in (0.1, -0.2)]
    assert loss.item() == pytest.approx(-0.5 * 0.6 + 0.25 * sum(k3) / 2, rel=1e-12)


def test_statistics():
    lp = torch.tensor([[0.0, math.log(1.5), 7.0]], dtype=torch.float64)
    tokens = TokenLogprobs(lp, torch.tensor([[True, True, False]]))
    channels = [
        Channel(name=n, weight=1.0, advantages=np.array([a]), members=np.ones(1, dtype=bool))
        for n, a in (("up", 1.0), ("down", -1.0))
    ]
    counts = LossCounts(Count(2, 1), (Count(2, 1), Count(2, 1)))
    stats = channel_loss(tokens, channels, counts, LossConfig(), old_logprobs_BT=torch.zeros_like(lp)).stats
    kl = 1.5 - math.log(1.5) - 1
    # tokens, Σr, Σk3, Σr², clipped up (1.5 > 1.2) and down (none), then losses −(1 + 1.2)/2 and (1 + 1.5)/2
    assert stats.sums.tolist() == pytest.approx([2, 2.5, kl, 3.25, 1, 0, -1.1, 1.25], rel=1e-12)
    assert stats.largest_ratio.item() == pytest.approx(1.5)


@pytest.mark.parametrize("where", ["logprobs_BT", "old_logprobs_BT", "advantages"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named(where, value):
    values = {name: torch.zeros(2, 3, dtype=torch.float64) for name in ("logprobs_BT", "old_logprobs_BT")}
    advantages = np.array([1.0, -1.0])
    if where == "advantages":
        advantages[1] = value
    else:
        values[where][1, 2] = value
    channel = Channel(name="a", weight=1.0, advantages=advantages, members=np.ones(2, dtype=bool))
    tokens = TokenLogprobs(values["logprobs_BT"], torch.ones(2, 3, dtype=torch.bool))
    counts = LossCounts(Count(6, 2), (Count(6, 2),))
    surrogate = LossConfig(surrogate="cispo", aggregation="token-mean")
    with pytest.raises(NonFiniteError, match=rf"^{where} is not finite at 1 .*\(.*1.*\)"):
        channel_loss(tokens, [channel], counts, surrogate, old_logprobs_BT=values["old_logprobs_BT"])


def one_token_loss(logratio, advantage, surrogate, dtype, **options):
    """Loss and gradient of one token that the policy moved by this log-ratio since it acted."""
    lp = torch.tensor([[-1.0]], dtype=dtype, requires_grad=True)
    tokens = TokenLogprobs(lp, torch.ones(1, 1, dtype=torch.bool), **options)
    channel = Channel(name="a", weight=1.0, advantages=np.array([advantage]), members=np.ones(1, dtype=bool))
    counts = LossCounts(Count(1, 1), (Count(1, 1),))
    made = channel_loss(
        tokens, [channel], counts, LossConfig(surrogate=surrogate), old_logprobs_BT=lp.detach() - logratio
    )
    made.loss.backward()
    return made, lp.grad


@pytest.mark.parametrize("logratio", [-800.0, -89.0, 20.5, 60.0, 89.0, 100.0, 800.0])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("surrogate", [*SURROGATES.names(), "ppo_clip:dual_clip=3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_log_ratio_breaks_loss_gradient_or_statistics(logratio, advantage, surrogate, dtype):
    made, slope = one_token_loss(logratio, advantage, surrogate, dtype)
    assert torch.isfinite(made.loss)
    assert torch.isfinite(slope).all()
    assert torch.isfinite(made.stats.sums).all()
    assert torch.isfinite(made.stats.largest_ratio)


@pytest.mark.parametrize("gap", [-800.0, 100.0, 800.0])
def test_a_reference_far_away_has_a_finite_penalty(gap):
    lp = torch.tensor([[-1.0]], requires_grad=True)
    tokens = TokenLogprobs(lp, torch.ones(1, 1, dtype=torch.bool), None, lp.detach() + gap)
    channel = Channel(name="a", weight=1.0, advantages=np.zeros(1), members=np.ones(1, dtype=bool))
    loss = channel_loss(tokens, [channel], LossCounts(Count(1, 1), (Count(1, 1),)), LossConfig(kl_coef=1.0)).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(lp.grad).all()


@pytest.mark.parametrize("surrogate", [*SURROGATES.names(), "ppo_clip:dual_clip=3"])
@pytest.mark.parametrize("where", ["logprobs_BT", "old_logprobs_BT", "sampled_logprobs_BT"])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
def test_a_probability_of_zero_is_reported_whatever_the_loss(surrogate, where, advantage):
    values = {name: torch.zeros(2, 3) for name in ("logprobs_BT", "old_logprobs_BT", "sampled_logprobs_BT")}
    values[where][1, 2] = -math.inf
    channel = Channel(name="a", weight=1.0, advantages=np.full(2, advantage), members=np.ones(2, dtype=bool))
    mask = torch.ones(2, 3, dtype=torch.bool)
    tokens = TokenLogprobs(values["logprobs_BT"], mask, sampled_logprobs_BT=values["sampled_logprobs_BT"])
    config = LossConfig(surrogate=surrogate, importance_cap=2.0)
    with pytest.raises(NonFiniteError, match=rf"^{where} .*first at \(1, 2\) .*-inf\. .*probability 0"):
        channel_loss(
            tokens,
            [channel],
            LossCounts(Count(6, 2), (Count(6, 2),)),
            config,
            old_logprobs_BT=values["old_logprobs_BT"],
        )


def test_half_precision_is_computed_in_single():
    lp = torch.zeros(1, 2, dtype=torch.bfloat16, requires_grad=True)
    channel = Channel(name="a", weight=1.0, advantages=np.array([1.0]), members=np.ones(1, dtype=bool))
    loss = channel_loss(
        TokenLogprobs(lp, lp == 0), [channel], LossCounts(Count(2, 1), (Count(2, 1),)), LossConfig()
    ).loss
    assert loss.dtype == torch.float32
    loss.backward()
    assert lp.grad.dtype == torch.bfloat16


def test_padding_may_hold_anything():
    lp = torch.tensor([[0.0, math.nan]], dtype=torch.float64, requires_grad=True)
    channel = Channel(name="a", weight=1.0, advantages=np.array([1.0]), members=np.ones(1, dtype=bool))
    tokens = TokenLogprobs(lp, torch.tensor([[True, False]]))
    channel_loss(tokens, [channel], LossCounts(Count(1, 1), (Count(1, 1),)), LossConfig()).loss.backward()
    assert lp.grad.tolist() == [[-1.0, 0.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logprobs_BT": torch.zeros(3)}, r"shape \(episodes, tokens\), actually: \(3,\)"),
        (
            {"is_model_token_BT": torch.ones(2, 2, dtype=torch.bool)},
            r"is_model_token_BT .*\(2, 3\), actually: \(2, 2\)",
        ),
        ({"advantages": np.zeros(5)}, r"channel 'a' .*each of 2 episodes, actually: \(5,\)"),
        ({"counts": LossCounts(Count(), ())}, "counts for 1 channels, actually: 0"),
        ({"config": LossConfig(entropy_coef=0.1)}, "entropy_BT with a coefficient of 0.1, actually: None"),
        ({"config": LossConfig(kl_coef=0.1)}, "reference_logprobs_BT with a coefficient of 0.1"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    given_ = {
        "logprobs_BT": torch.zeros(2, 3),
        "is_model_token_BT": torch.ones(2, 3, dtype=torch.bool),
        "advantages": np.zeros(2),
        "counts": LossCounts(Count(6, 2), (Count(6, 2),)),
        "config": LossConfig(),
    } | changes
    members = np.ones(len(given_["advantages"]), dtype=bool)
    channel = Channel(name="a", weight=1.0, advantages=given_["advantages"], members=members)
    tokens = TokenLogprobs(given_["logprobs_BT"], given_["is_model_token_BT"])
    with pytest.raises(ConfigError, match=message):
        channel_loss(tokens, [channel], given_["counts"], given_["config"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"denominator": "al"}, "`denominator`.*'al'. Did you mean 'all'"),
        ({"aggregation": "mean"}, "`aggregation`.*'mean'"),
        ({"surrogate": "ppo_clp"}, "Did you mean 'ppo_clip'"),
        ({"aggregation": "constant-length"}, "`constant_length` with aggregation.*None with"),
        ({"constant_length": 5}, "constant_length 5 with aggregation 'token-mean'"),
        ({"aggregation": "constant-length", "constant_length": 0}, "`constant_length`.*of at least 1, actually: 0"),
        ({"kl_coef": -1}, "`kl_coef`.*actually: -1"),
    ],
)
def test_options_are_checked_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        LossConfig(**options)


def test_aggregations_are_the_documented_three():
    assert [str(a) for a in Aggregation] == ["token-mean", "sequence-mean", "constant-length"]
