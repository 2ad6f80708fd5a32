"""What the loss's options do to a token, by hand: importance cap, regularisers, divisors, no active channel."""

import math

import numpy as np
import pytest
import torch

from metis_agents.rl import Count, LossConfig, LossCounts, TokenLogprobs, channel_loss
from metis_agents.rl.surrogates import clamped
from metis_gym.errors import ConfigError, NonFiniteError
from metis_gym.rewards.contract import Channel


def column(*numbers):
    return torch.tensor([numbers], dtype=torch.float64)


def one_channel(advantage=2.0, weight=1.0, episodes=1):
    members = np.ones(episodes, dtype=bool)
    return Channel(name="a", weight=weight, advantages=np.full(episodes, advantage), members=members)


def slopes(lp_BT, tokens, config, counts, old=None):
    made = channel_loss(tokens, [one_channel()], counts, config, old_logprobs_BT=old)
    return torch.autograd.grad(made.loss, lp_BT)[0][0].tolist()


def test_the_importance_cap_weighs_each_token_by_what_the_engine_gave_it():
    # π_acting = (.5, .5, .5), π_engine = (.25, .4, .5): ratios 2, 1.25, 1; the cap is 1.5. On the first update the
    # slope of each token at log π is −A·weight/3, with A = 2.
    lp_BT = column(*[math.log(0.5)] * 3).requires_grad_()
    sampled_BT = column(math.log(0.25), math.log(0.4), math.log(0.5))
    tokens = TokenLogprobs(lp_BT, torch.ones(1, 3, dtype=torch.bool), sampled_logprobs_BT=sampled_BT)
    counts = LossCounts(Count(3, 1), (Count(3, 1),))
    found = slopes(lp_BT, tokens, LossConfig(importance_cap=1.5), counts)
    assert found == pytest.approx([-2 * weight / 3 for weight in (1.5, 1.25, 1.0)])
    assert slopes(lp_BT, tokens, LossConfig(), counts) == pytest.approx([-2 / 3] * 3)


def test_the_importance_weight_is_of_the_acting_policy_not_of_the_learning_one():
    # The policy moved to π = .55 (ratio 1.1, inside the clip); acting .5, engine .4: the weight is .5/.4 = 1.25.
    lp_BT = column(math.log(0.55)).requires_grad_()
    mask = torch.ones(1, 1, dtype=torch.bool)
    tokens = TokenLogprobs(lp_BT, mask, sampled_logprobs_BT=column(math.log(0.4)))
    counts = LossCounts(Count(1, 1), (Count(1, 1),))
    found = slopes(lp_BT, tokens, LossConfig(importance_cap=10.0), counts, old=column(math.log(0.5)))
    assert found == pytest.approx([-2 * 1.1 * 1.25])


def test_without_the_engines_probabilities_a_cap_is_refused_and_no_cap_weighs_nothing():
    lp_BT = column(-1.0).requires_grad_()
    tokens = TokenLogprobs(lp_BT, torch.ones(1, 1, dtype=torch.bool))
    counts = LossCounts(Count(1, 1), (Count(1, 1),))
    assert slopes(lp_BT, tokens, LossConfig(), counts) == [-2.0]
    with pytest.raises(ConfigError, match=r"sampled_logprobs_BT with an importance cap of 2\.0"):
        channel_loss(tokens, [one_channel()], counts, LossConfig(importance_cap=2.0))


@pytest.mark.parametrize("option", ["entropy_coef", "kl_coef"])
def test_a_small_regulariser_is_one(option):
    assert LossConfig(**{option: 0.5}).regularised
    assert not LossConfig().regularised


def test_a_single_episode_divides_by_one():
    lp_BT = column(-1.0, -1.0).requires_grad_()
    tokens = TokenLogprobs(lp_BT, torch.ones(1, 2, dtype=torch.bool))
    counts = LossCounts(Count(2, 1), (Count(2, 1),))
    assert slopes(lp_BT, tokens, LossConfig(aggregation="sequence-mean"), counts) == pytest.approx([-1.0, -1.0])
    constant = LossConfig(aggregation="constant-length", constant_length=4)
    assert slopes(lp_BT, tokens, constant, counts) == pytest.approx([-0.5, -0.5])


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean"])
def test_a_count_of_nobody_divides_by_one(aggregation):
    tokens = TokenLogprobs(column(-1.0), torch.ones(1, 1, dtype=torch.bool))
    made = channel_loss(tokens, [one_channel()], LossCounts(Count(), (Count(),)), LossConfig(aggregation=aggregation))
    assert made.loss.item() == -2.0


def test_channels_of_weight_0_leave_the_regularisers_alone():
    mask, entropy_BT = torch.ones(2, 3, dtype=torch.bool), torch.full((2, 3), 0.6, dtype=torch.float64)
    tokens = TokenLogprobs(torch.full((2, 3), -1.0, dtype=torch.float64), mask, entropy_BT=entropy_BT)
    counts = LossCounts(Count(6, 2), (Count(6, 2),))
    made = channel_loss(tokens, [one_channel(weight=0.0, episodes=2)], counts, LossConfig(entropy_coef=0.5))
    assert made.loss.item() == pytest.approx(-0.5 * 0.6)
    assert made.stats.sums.tolist() == pytest.approx([6, 6, 0, 6])


def test_episodes_without_a_token_cost_nothing():
    tokens = TokenLogprobs(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool))
    made = channel_loss(tokens, [one_channel(episodes=2)], LossCounts(Count(0, 2), (Count(0, 2),)), LossConfig())
    assert (made.loss.item(), made.stats.largest_ratio.item()) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["old_logprobs_BT", "entropy_BT", "reference_logprobs_BT", "sampled_logprobs_BT"])
def test_each_input_is_named_where_its_shape_or_a_number_is_wrong(name):
    mask, counts = torch.ones(1, 2, dtype=torch.bool), LossCounts(Count(2, 1), (Count(2, 1),))

    def loss(given):
        more = {} if name == "old_logprobs_BT" else {name: given}
        old_BT = given if name == "old_logprobs_BT" else None
        tokens = TokenLogprobs(column(-1.0, -1.0), mask, **more)
        return channel_loss(tokens, [one_channel()], counts, LossConfig(), old_logprobs_BT=old_BT)

    with pytest.raises(ConfigError, match=rf"Expect {name} to have the shape .*\(1, 2\), actually: \(1, 3\)"):
        loss(torch.zeros(1, 3))
    with pytest.raises(NonFiniteError, match=rf"^{name} is not finite at 1 model tokens .*\(0, 1\) .*nan"):
        loss(column(-1.0, math.nan))


def test_an_advantage_that_is_not_finite_is_an_episodes():
    with pytest.raises(NonFiniteError, match=r"^advantages is not finite at 1 episodes"):
        channel_loss(
            TokenLogprobs(column(-1.0), torch.ones(1, 1, dtype=torch.bool)),
            [one_channel(advantage=math.inf)],
            LossCounts(Count(1, 1), (Count(1, 1),)),
            LossConfig(),
        )


def test_log_ratios_are_clamped_on_both_sides():
    given = torch.tensor([-25.0, -20.0, 0.5, 20.0, 25.0], requires_grad=True)
    held = clamped(given)
    held.sum().backward()
    assert held.tolist() == [-20.0, -20.0, 0.5, 20.0, 20.0]
    assert given.grad[0] == given.grad[-1] == 0.0
    assert given.grad[2] == 1.0
