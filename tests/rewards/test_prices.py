"""`cost="price"`: what a tool costs reaches advantages, and so learning; counts stay the default."""

import dataclasses

import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity, Outcome
from metis_gym.rewards import CountsCalls

PRICED = [name for name in rewards.available() if isinstance(rewards.make(name), CountsCalls)]
COUNTS_NO_CALLS = ["accuracy", "deepeyes", "mmsearch_r1", "retool"]
NOTHING_FREE = {"l1_budget": {"budget": 0}, "pixel_reasoner": {"max_calls": 0, "alpha": 0}}
ARMS = ("none", "cheap", "dear")


def episode(arm, right=True, prices=(0.0, 0.5, 2.0)):
    return Outcome(
        task_id="t",
        answer_score=float(right),
        format_score=1.0,
        tool_calls=int(arm > 0),
        tool_cost=prices[arm],
        turns=1 + (arm > 0),
        tokens=10,
        tool_benefit=-0.5,
        necessity=Necessity.NONE,
    )


def design(name, **parameters):
    return rewards.make(name, **NOTHING_FREE.get(name, {}), **parameters)


def total(made, outcomes):
    return sum(channel.weight * channel.advantages for channel in made.channels([outcomes]))


def bandit(made, prices=(0.0, 0.5, 2.0), batches=60, size=48, seed=0):
    """A softmax over three arms that are all right, trained by policy gradient; its rates after each batch."""
    random, logits, rates = np.random.default_rng(seed), np.array([0.0, 1.0, 1.0]), []
    for _ in range(batches):
        policy = np.exp(logits) / np.exp(logits).sum()
        rates.append(policy)
        arms = random.choice(3, size, p=policy)
        advantages = total(made, [episode(arm, prices=prices) for arm in arms])
        for arm, advantage in zip(arms, advantages, strict=True):
            logits = logits + 1.0 / size * advantage * (np.eye(3)[arm] - policy)
    return np.array(rates)


def test_every_design_that_counts_calls_can_count_prices():
    assert sorted([*PRICED, *COUNTS_NO_CALLS]) == list(rewards.available())


@pytest.mark.parametrize("name", PRICED)
def test_with_a_price_of_one_nothing_changes(name):
    group = [
        dataclasses.replace(episode(0, right), tool_calls=calls, tool_cost=float(calls))
        for right in (True, False)
        for calls in (0, 1, 2, 5)
    ]
    assert total(rewards.make(name), group).tobytes() == total(rewards.make(name, cost="price"), group).tobytes()


@pytest.mark.parametrize("name", PRICED)
def test_counting_ignores_prices_and_pricing_does_not(name):
    group = [episode(arm) for arm in (0, 1, 2, 1, 2)]
    free = [dataclasses.replace(outcome, tool_cost=0.0) for outcome in group]
    assert total(design(name), group).tobytes() == total(design(name), free).tobytes()
    assert total(design(name, cost="price"), group).tobytes() != total(design(name, cost="price"), free).tobytes()


@pytest.mark.parametrize("name", PRICED)
def test_the_dear_tool_of_two_has_the_lower_advantage(name):
    none, cheap, dear = total(design(name, cost="price"), [episode(0), episode(1), episode(2)])
    assert none > cheap > dear


@pytest.mark.parametrize("name", PRICED)
def test_a_dear_tool_is_given_up_before_a_cheap_one(name):
    rates = bandit(design(name, cost="price"))
    assert rates[0, 1] == rates[0, 2]
    played = dict(zip(ARMS, rates.sum(0), strict=True))
    assert played["dear"] < 0.6 * played["cheap"], played


@pytest.mark.parametrize("name", PRICED)
def test_weights_change_with_prices_only_if_prices_are_asked_for(name):
    first, second = (0.0, 0.5, 2.0), (0.0, 2.0, 0.5)
    counted = [bandit(design(name), prices, batches=5)[-1] for prices in (first, second)]
    priced = [bandit(design(name, cost="price"), prices, batches=5)[-1] for prices in (first, second)]
    assert counted[0].tobytes() == counted[1].tobytes()
    assert priced[0].tobytes() != priced[1].tobytes()


def test_the_scalar_reward_counts_prices():
    # 1 + .15/(1 + 2)
    assert rewards.make("coupled:cost=price").reward(episode(2)) == pytest.approx(1.05)
    assert rewards.make("hdpo:cost=price").components(episode(2))["efficiency"] == pytest.approx(1 / 3)


def test_otc_keeps_the_least_price():
    made = rewards.make("otc:cost=price")
    made.reward(episode(2))
    made.reward(episode(1))
    resumed = rewards.make("otc:cost=price")
    resumed.load_state_dict(made.state_dict())
    assert resumed.state_dict() == {"fewest": {"t": 0.5}}
    with pytest.raises(ConfigError, match="a count of calls"):
        rewards.make("otc").load_state_dict(made.state_dict())


def test_what_cannot_be_a_price_is_refused():
    with pytest.raises(ConfigError, match=r"`tool_cost`.*actually: -1"):
        rewards.make("hdpo:cost=price").channels([[episode(1, prices=(0, -1.0, 0))]])
    with pytest.raises(ConfigError, match=r"`cost` to be one of these, actually: 'prise'.*'price'"):
        rewards.make("hdpo:cost=prise")
