"""Designs that join advantages instead of rewards, and the one that learns a price."""

import math

import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch
from metis_gym.rewards.decoupled import MoGrpo
from metis_gym.rewards.statistics import Scale


def episode(right=True, calls=0, **more):
    return Outcome(task_id="t", answer_score=float(right), format_score=1.0, tool_calls=calls, **more)


def advantages(design, *group):
    (channel,) = design.channels([group])
    return channel.advantages


PAIRS = Batch.of([[episode(), episode()], [episode(), episode()]])
FIRST, SECOND = np.array([0.0, 1, 0, 1]), np.array([0.0, 0, 0, 1])  # groups {(0,0), (1,0)} and {(0,0), (1,1)}


def test_sum_of_rewards_cannot_tell_one_success_from_two():
    # GN of (0, 1) and of (0, 2) are both ±.7071.
    summed = (FIRST + SECOND).reshape(2, 2)
    normalised = (summed - summed.mean(1, keepdims=True)) / summed.std(1, ddof=1, keepdims=True)
    np.testing.assert_allclose(normalised, [[-(0.5**0.5), 0.5**0.5]] * 2, rtol=1e-12)


def test_sum_of_advantages_can():
    joined = MoGrpo(eps=0.0).joined(FIRST, SECOND, PAIRS)
    np.testing.assert_allclose(joined, [-(0.5**0.5), 0.5**0.5, -(2**0.5), 2**0.5], rtol=1e-12)


def test_gdpo_whitens_that_sum():
    # Squares ½, ½, 2, 2; std = sqrt(5/3) with ddof 1.
    whitened = rewards.make("gdpo", eps=0.0).joined(FIRST, SECOND, PAIRS)
    np.testing.assert_allclose(whitened, np.array([-(0.5**0.5), 0.5**0.5, -(2**0.5), 2**0.5]) / math.sqrt(5 / 3))
    assert rewards.make("gdpo").eps == 1e-4


def test_gdpo_keeps_tied_groups_at_exactly_zero():
    tied, mixed = [episode(calls=2)] * 5, [episode(), episode(False, 3), episode(calls=1)]
    (channel,) = rewards.make("gdpo").channels([tied, mixed])
    assert (channel.advantages[:5] == 0.0).all()
    assert (channel.advantages[5:] != 0.0).all()


def test_dvao():
    # σ = (.577350, .478714), w̃ = (.5467, .4533); A = w̃₁·GN(acc) + w̃₂·GN(tool).
    group = [episode(), episode(calls=1), episode(False), episode(False)]
    joined = advantages(rewards.make("dvao", eps=0.0, format_weight=0.0), *group)
    sigma = np.std([1, 1, 0, 0], ddof=1), np.std([1, 0.5, 0, 0], ddof=1)
    assert sigma[0] / sum(sigma) == pytest.approx(0.5467, abs=5e-5)
    np.testing.assert_allclose(joined, [1.065277, 0.591820, -0.828548, -0.828548], atol=5e-7)
    # σ̃ cancels in the sum: (deviations of acc + deviations of tool)/(σ₁ + σ₂).
    np.testing.assert_allclose(joined, np.array([1.125, 0.625, -0.875, -0.875]) / sum(sigma), rtol=1e-12)


def test_mo_grpo():
    # GN(acc) = ±.866025, GN(tool) = (1.305582, .261116, −.783349, −.783349).
    group = [episode(), episode(calls=1), episode(False), episode(False)]
    joined = advantages(rewards.make("mo_grpo", eps=0.0), *group)
    np.testing.assert_allclose(joined, [2.171607, 1.127141, -1.649374, -1.649374], atol=1e-6)


def test_sa_mrpo_weighs_by_what_is_left():
    # acc: mean .5 → weight .5^.5; tool: (1, .5, 0, 0), mean .375 → weight .625^.5; then whitened over the batch.
    group = [episode(), episode(calls=1), episode(False), episode(False)]
    design = rewards.make("sa_mrpo", eps=0.0, format_weight=0.0)
    gn = MoGrpo(eps=0.0, format_weight=0.0, w_tool=0.0), MoGrpo(eps=0.0, format_weight=0.0, w_acc=0.0)
    total = 0.5**0.5 * advantages(gn[0], *group) + 0.625**0.5 * advantages(gn[1], *group)
    np.testing.assert_allclose(advantages(design, *group), total / total.std(ddof=1), rtol=1e-12)


def test_sa_mrpo_with_everything_solved_is_silent():
    assert (advantages(rewards.make("sa_mrpo"), episode(), episode()) == 0.0).all()


def test_diet():
    # T = (0, 2, 1) right and T = 1 wrong: mean 1, std = sqrt(2/3). Cost scores (1, −1, 0, 0)/sqrt(2/3); their GN is
    # (1, −1, 0, 0)/std((1, −1, 0, 0)) = (1, −1, 0, 0)/sqrt(2/3). acc = 3/4, w = .5.
    group = [episode(), episode(calls=2), episode(calls=1), episode(False, 1)]
    joined = advantages(rewards.make("diet", eps=0.0), *group)
    accuracy = np.array([0.5, 0.5, 0.5, -1.5])  # deviations (.25, .25, .25, −.75) / std .5
    cost = np.array([1.0, -1.0, 0.0, 0.0]) / math.sqrt(2 / 3)
    np.testing.assert_allclose(joined, accuracy + 0.5 * 0.75 * cost, rtol=1e-12)


def test_diet_leaves_hopeless_tasks_alone():
    assert (advantages(rewards.make("diet"), episode(False, 0), episode(False, 5)) == 0.0).all()


def test_lagrangian_starts_at_one():
    design = rewards.make("lagrangian")
    assert design.state_dict()["theta"] == pytest.approx(math.log(math.e - 1), rel=1e-12)
    assert design.state_dict()["theta"] == pytest.approx(0.541325, abs=5e-7)
    assert design.multiplier == pytest.approx(1.0, rel=1e-12)


def test_lagrangian_step():
    # θ = .541325 + .05·1, softplus = log(1 + e^.591325) = 1.031895
    design = rewards.make("lagrangian", limit=0.2)
    design.update(1.2)
    assert design.multiplier == pytest.approx(1.031895, abs=5e-7)


def test_lagrangian_steps_once_a_batch_and_before_the_advantages():
    # Mean T of the batch is 1.2: T = (0, 2.4 on average …): calls 0, 1, 2, 3, 0 → mean 6/5.
    group = [episode(), episode(calls=1), episode(False, 2), episode(calls=3), episode(False)]
    design = rewards.make("lagrangian", eps=0.0)
    joined = advantages(design, *group)
    price = math.log1p(math.exp(math.log(math.e - 1) + 0.05))
    right, calls = np.array([1.0, 1, 0, 1, 0]), np.array([0.0, 1, 2, 3, 0])
    expected = ((right - 0.6) / right.std(ddof=1) - price * (calls - 1.2)) / (1 + price)
    np.testing.assert_allclose(joined, expected, rtol=1e-12)
    assert design.multiplier == pytest.approx(price, rel=1e-12)


@pytest.mark.parametrize("lambda0", [1e-12, 0.3, 50.0, 1e4])
def test_lagrangian_starts_where_it_is_told(lambda0):
    assert rewards.make("lagrangian", lambda0=lambda0).multiplier == pytest.approx(lambda0, rel=1e-9)


def test_lagrangian_price_stays_positive_and_finite():
    design = rewards.make("lagrangian", eta=1e5)
    for mean_calls in (0.0, 0.0, 10.0, 10.0):
        design.update(mean_calls)
        assert 0.0 <= design.multiplier < math.inf


def test_lagrangian_learns_nothing_from_broken_episodes():
    design = rewards.make("lagrangian")
    before = design.state_dict()
    design.channels([[episode(calls=9, scored=False)]])
    assert design.state_dict() == before


def test_ddof_and_floor_reach_every_decoupled_design():
    group = [episode(), episode(calls=1), episode(False)]
    for name in ("hdpo", "mo_grpo", "gdpo", "dvao", "sa_mrpo", "diet", "lagrangian"):
        plain, other, floored = (
            np.concatenate([c.advantages for c in rewards.make(name, **p).channels([group])])
            for p in ({}, {"ddof": 0}, {"std_floor": 10.0})
        )
        assert not np.allclose(plain, other) or name in ("gdpo", "sa_mrpo")  # whitening undoes ddof, mostly
        assert np.abs(floored).sum() < np.abs(plain).sum()


def test_scale_is_one_record():
    assert rewards.make("hdpo", ddof=0, eps=0.1, std_floor=0.2).scale == Scale(ddof=0, eps=0.1, std_floor=0.2)
