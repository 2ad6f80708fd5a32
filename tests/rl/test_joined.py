"""One advantage in place of several channels: the identity, the same gradients as the channel loss, and its refusals.

The oracle is `channel_loss` with the original channels, and the identity written out term by term.
"""

import itertools

import numpy as np
import pytest
import torch
from hdpo_toys import toy_rollout
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_agents.rl import (
    SURROGATES,
    Count,
    Denominator,
    LossConfig,
    LossCounts,
    TokenLogprobs,
    channel_loss,
    compute_channels,
    joined,
    make_surrogate,
    select,
)
from metis_agents.rl.joined import check_sums, join
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Channel

AGGREGATIONS = (("token-mean", None), ("sequence-mean", None), ("constant-length", 11))
SURROGATE_SPECS = [*SURROGATES.names(), "ppo_clip:dual_clip=3"]
SEEDS = st.integers(0, 2**32 - 1)
LINEAR = ["cispo"]
"""Surrogates for which the total alone is exact whatever the ratios are."""


def outcomes_of(groups):
    return [[rollout.outcome for rollout in group] for group in groups]


def random_groups(random):
    return [
        [toy_rollout(random, f"task {task}", scored=bool(random.random() > 0.2)) for _ in range(random.integers(1, 7))]
        for task in range(random.integers(1, 5))
    ]


def random_channels(random, episodes):
    """Any number of channels, with any weights, members and ties."""
    channels = []
    for index in range(int(random.integers(1, 5))):
        members = random.random(episodes) < 0.7
        advantages = np.where(members, random.normal(size=episodes).round(1), 0.0)
        channels.append(
            Channel(name=str(index), weight=float(random.exponential()), advantages=advantages, members=members)
        )
    return channels


def token_batch(random, lengths, spread):
    """Log-probabilities with a gradient, those of the acting policy, and which tokens are the model's."""
    width = max(lengths, default=0) + 1
    is_model_BT = torch.tensor([[column < length for column in range(width)] for length in lengths])
    logprobs_BT = torch.tensor(random.normal(-2, 0.3, size=(len(lengths), width)), requires_grad=True)
    old_BT = logprobs_BT.detach() - torch.tensor(random.normal(size=(len(lengths), width))) * spread
    return logprobs_BT, old_BT, is_model_BT


def loss_gradient(channels, counts, config, logprobs_BT, old_BT, is_model_BT):
    tokens = TokenLogprobs(logprobs_BT, is_model_BT)
    loss = channel_loss(tokens, channels, counts, config, old_logprobs_BT=old_BT).loss
    (gradient,) = torch.autograd.grad(loss, logprobs_BT)
    return gradient, loss.item()


def everyone_counts(count, channels=3):
    return LossCounts(count, (count,) * channels)


@pytest.mark.parametrize("spec", SURROGATE_SPECS)
@pytest.mark.parametrize("denominator", Denominator)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, aggregation=st.sampled_from(AGGREGATIONS), spread=st.sampled_from([0.0, 0.01, 1]))
def test_total_and_hinge_have_the_gradient_of_the_channels(spec, denominator, seed, aggregation, spread):
    random = np.random.default_rng(seed)
    config = LossConfig(
        surrogate=spec, denominator=denominator, aggregation=aggregation[0], constant_length=aggregation[1]
    )
    lengths = random.integers(1, 6, size=int(random.integers(1, 8)))
    channels = random_channels(random, len(lengths))
    counts = LossCounts.of(channels, np.array(lengths), denominator)
    batch = token_batch(random, lengths, spread)
    expected, loss = loss_gradient(channels, counts, config, *batch)
    one = join(channels, counts, config)
    exact, same_loss = loss_gradient(one.channels(), everyone_counts(counts.everyone), config, *batch)
    scale = max(1.0, expected.abs().max().item())
    assert (exact - expected).abs().max().item() <= 1e-9 * scale
    assert same_loss == pytest.approx(loss, abs=1e-9 * max(1.0, abs(loss)))


@pytest.mark.parametrize("spec", SURROGATE_SPECS)
@pytest.mark.parametrize("denominator", Denominator)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, aggregation=st.sampled_from(AGGREGATIONS))
def test_the_total_alone_is_exact_where_it_is_said_to_be(spec, denominator, seed, aggregation):
    random = np.random.default_rng(seed)
    config = LossConfig(
        surrogate=spec, denominator=denominator, aggregation=aggregation[0], constant_length=aggregation[1]
    )
    lengths = random.integers(1, 6, size=int(random.integers(1, 8)))
    channels = random_channels(random, len(lengths))
    counts = LossCounts.of(channels, np.array(lengths), denominator)
    cases = [(channels, 0.0)]  # ratio 1
    if not spec.startswith(("sapo", "gspo")):  # SAPO has no region, GSPO's is 4e-4 wide
        cases.append((channels, 0.01))
    agreeing = [select([channel], np.arange(len(lengths)))[0] for channel in channels]
    for channel in agreeing:
        np.abs(channel.advantages, out=channel.advantages)
    cases.append((agreeing, 1.0))
    if spec in LINEAR:
        cases.append((channels, 1.0))
    for chosen, spread in cases:
        batch = token_batch(random, lengths, spread)
        expected, _ = loss_gradient(chosen, counts, config, *batch)
        total = join(chosen, counts, config).channels()[:1]
        alone, _ = loss_gradient(total, everyone_counts(counts.everyone, 1), config, *batch)
        assert (alone - expected).abs().max().item() <= 1e-9 * max(1.0, expected.abs().max().item())


def test_outside_the_region_the_total_alone_lacks_the_pull_back():
    # a = 1, b = −1: the total is 0 and has no gradient. Of the channels, at ratio e > 1.2 the first is clipped and the
    # second pulls down: its loss is −min(e·(−1), …) = e, whose derivative in the log-probability is e, over 1 token.
    members = np.ones(1, dtype=np.bool_)
    channels = [
        Channel(name=n, weight=1.0, advantages=np.array([a]), members=members) for n, a in (("a", 1.0), ("b", -1.0))
    ]
    logprobs_BT = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    batch = (logprobs_BT, torch.tensor([[-2.0]], dtype=torch.float64), torch.tensor([[True]]))
    config, counts = LossConfig(), everyone_counts(Count(1, 1), 2)
    one = join(channels, counts, config)
    assert one.total_N.tolist() == [0.0] and one.hinge_N.tolist() == [1.0]
    expected, _ = loss_gradient(channels, counts, config, *batch)
    assert expected.item() == pytest.approx(np.e)
    assert loss_gradient(one.channels()[:1], everyone_counts(Count(1, 1), 1), config, *batch)[0].item() == 0.0
    assert loss_gradient(one.channels(), everyone_counts(Count(1, 1)), config, *batch)[0].item() == pytest.approx(np.e)


@pytest.mark.parametrize("ratio", [0.1, 0.79, 0.8, 1.0, 1.2, 1.21, 5.0])
def test_the_bracket_of_the_ppo_clip_is_the_distance_from_its_region(ratio):
    logratio = torch.tensor([[ratio]], dtype=torch.float64).log()
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).reshape(2, 1, 1)
    bracket = make_surrogate("ppo_clip")(logratio, signs, torch.ones(1, 1, dtype=torch.bool)).objective_CBT.sum().item()
    assert bracket == pytest.approx(-max(0.0, 0.8 - ratio, ratio - 1.2), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, spec=st.sampled_from(["hdpo", "hdpo:w_tool=0.7", "gdpo", "coupled:alpha=0.3"]))
def test_what_a_design_says_is_joined_and_unscored_episodes_are_left_out(seed, spec):
    random = np.random.default_rng(seed)
    groups = random_groups(random)
    design = rewards.make(spec)
    one = joined(design, outcomes_of(groups))
    flat = [rollout for group in groups for rollout in group]
    scored = np.array([rollout.outcome.scored for rollout in flat])
    assert np.array_equal(one.is_scored_N, scored)
    assert np.array_equal(np.isnan(one.hinge_N), ~scored)
    batch = compute_channels(groups, rewards.make(spec))
    if not batch.channels:
        assert not scored.any()
        return
    total = sum(channel.weight * channel.advantages for channel in batch.channels)
    assert one.total_N[scored] == pytest.approx(total, abs=1e-12)
    assert (one.hinge_N[scored] >= 0).all()
    kept = [group for group in ([r.outcome for r in group if r.outcome.scored] for group in groups) if group]
    assert np.array_equal(joined(rewards.make(spec), kept).total_N, one.total_N[scored])  # as if they had never been


@pytest.mark.parametrize("denominator", ["qualifying", "signal"])
def test_fewer_divide_with_the_tokens_of_the_model(denominator):
    # C with one and two calls, C without and W: A_tool of the correct, T = (1, 2, 0): r = (1/2, 1/3, 1).
    group = [
        Outcome(task_id="t", answer_score=score, format_score=1.0, tool_calls=calls)
        for score, calls in ((1.0, 1), (1.0, 2), (1.0, 0), (0.0, 3))
    ]
    config = LossConfig(denominator=denominator)
    design = rewards.make("hdpo:w_tool=0.15")
    with pytest.raises(ConfigError, match="Expect `tokens` with denominator"):
        joined(design, [group], config=config)
    one = joined(design, [group], config=config, tokens=[[10, 20, 30, 40]])
    accuracy, efficiency = (channel.advantages for channel in design.channels([group]))
    assert one.total_N == pytest.approx(accuracy + 0.15 * efficiency * 100 / 60)


def test_numbers_of_tokens_that_fit_no_group_are_refused():
    group = [Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=0)] * 2
    with pytest.raises(ConfigError, match=r"\[2\] in the groups, actually: \[1\]"):
        joined(rewards.make("hdpo"), [group], tokens=[[3]])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, spec=st.sampled_from(["hdpo", "gdpo", "coupled:alpha=0.3", "diet"]))
def test_group_normalised_advantages_sum_to_zero(seed, spec):
    groups = outcomes_of(random_groups(np.random.default_rng(seed)))
    design = rewards.make(spec)
    ends = np.cumsum([0, *map(len, groups)])
    places = [np.arange(*pair) for pair in itertools.pairwise(ends)]
    check_sums(joined(design, groups).total_N, places, design)


def test_advantages_that_a_subtracted_mean_would_change_are_refused():
    design = rewards.make("hdpo")
    with pytest.raises(ConfigError, match="sum to 0 over each group"):
        check_sums(np.array([1.0, -1.0, 0.5, np.nan]), [np.arange(2), np.arange(2, 4)], design)


def test_a_negative_weight_cannot_be_put_into_an_advantage():
    channel = Channel(name="cost", weight=-0.5, advantages=np.array([1.0, -1.0]), members=np.ones(2, dtype=np.bool_))
    with pytest.raises(ConfigError, match="Expect weights of at least 0"):
        join([channel], everyone_counts(Count(2, 2), 1), LossConfig())
