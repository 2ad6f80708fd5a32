"""The reward of every design with one score, number by number."""

import itertools
import math

import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.encouraging import retool_failure
from metis_gym.rewards.gated import slimsearcher_gate
from metis_gym.rewards.otc import otc_tool_reward


def episode(right=True, calls=0, **more):
    fields = {"task_id": "t", "format_score": 1.0, "answer_score": float(right)}
    return Outcome(tool_calls=calls, **{**fields, **more})


def scalars(design, outcomes):
    return [rewards.make(design).reward(outcome) for outcome in outcomes]


def scores(design, *outcomes):
    return rewards.make(design).scores(outcomes)


def test_accuracy():
    # .9·r_ans + .1·f
    assert scalars("accuracy", [episode(), episode(0.5), episode(format_score=0.0)]) == [1.0, 0.55, 0.9]


def test_linear_cost():
    assert scalars("linear_cost", [episode(calls=2), episode(False, 1)]) == [0.8, -0.1]


def test_coupled():
    assert scalars("coupled:alpha=1", [episode(calls=1), episode(False, 0)]) == [1.5, 0.1]
    assert scalars("coupled:alpha=1,gated=false", [episode(False, 0), episode(False, 3)]) == [1.1, 0.35]


def test_deepeyes():
    outcomes = [episode(calls=3), episode(), episode(False, 2), episode(False, format_score=0.0)]
    np.testing.assert_allclose(scalars("deepeyes", outcomes), [2.0, 0.8, 0.0, -0.2], rtol=1e-15)


def test_pixel_reasoner():
    # One of four uses a tool: RaPR .25, curiosity .5·(.3 − .25) = .025; three calls are two too many: −.1.
    rare = scores("pixel_reasoner", episode(calls=3), episode(), episode(), episode(False))
    np.testing.assert_allclose(rare, [1 + 0.025 - 0.1, 1, 1, 0], rtol=1e-15)
    # Two of four: RaPR .5 > H, no curiosity; one call is free.
    common = scores("pixel_reasoner", episode(calls=1), episode(False, 2), episode(), episode(False))
    np.testing.assert_allclose(common, [1, -0.05, 1, 0], rtol=1e-15)


def test_retool_counts_messages():
    np.testing.assert_allclose([retool_failure(m) for m in (2, 4, 8, 10)], [-1, -0.9, -0.7, -0.6], rtol=1e-15)
    # Two messages for each turn of the model; the −.6 is a ceiling.
    outcomes = [episode(False, turns=turns) for turns in (1, 2, 4, 5, 11)] + [episode(turns=9)]
    np.testing.assert_allclose(scalars("retool", outcomes), [-1, -0.9, -0.7, -0.6, -0.6, 1], rtol=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_at_grpo(sign):
    # .6·.5·exp(−2·((T − 6)/6)²) = .3·e^{−2}, .3·e^{−50/36}, .3·e^{−.5}, .3
    outcomes = [episode(False, calls, format_score=0.0, tool_benefit=sign * 0.5) for calls in (0, 1, 3, 6)]
    bonus = [0.3 * math.exp(-2 * ((calls - 6) / 6) ** 2) for calls in (0, 1, 3, 6)]
    np.testing.assert_allclose(scalars("at_grpo", outcomes), sign * np.array(bonus), rtol=1e-12)
    np.testing.assert_allclose(np.abs(scalars("at_grpo", outcomes)), [0.040601, 0.074806, 0.181959, 0.3], atol=5e-7)


def test_at_grpo_needs_the_benefit():
    with pytest.raises(ConfigError, match=r"at_grpo.*tool_benefit.*'t' is None"):
        rewards.make("at_grpo").reward(episode())


def test_kimi_decay_is_centred_only():
    # (.81 − .405) without a standard deviation
    (channel,) = rewards.make("kimi_decay").channels([[episode(calls=2), episode(False)]])
    np.testing.assert_allclose(channel.advantages, [0.405, -0.405], rtol=1e-15)


@pytest.mark.parametrize(
    ("calls", "fewest", "reward"),
    [
        (0, 0, 1.0),
        (1, 0, 0.5),  # cos(π/3)
        (2, 0, 0.309017),  # cos(2π/5)
        (0, 1, 0.0),
        (1, 1, 1.0),
        (2, 1, 0.866025),  # g = 4/3, sin(2π/3)
        (3, 1, 0.707107),  # g = 3/2, sin(3π/4)
        (1, 2, 0.866025),  # g = 4/3, sin(π/3)
    ],
)
def test_otc_numbers(calls, fewest, reward):
    assert otc_tool_reward(calls, fewest, k=1.0) == pytest.approx(reward, abs=5e-7)


@pytest.mark.parametrize(("calls", "fewest"), [(1, 1), (2, 1), (5, 3), (1, 4)])
def test_otc_against_the_printed_formula(calls, fewest):
    g = 2 * fewest * calls / (calls + fewest)
    assert otc_tool_reward(calls, fewest) == pytest.approx(math.sin(g * math.pi / (2 * fewest)), abs=1e-15)


def test_otc_remembers_the_fewest_calls_of_a_correct_episode():
    design = rewards.make("otc")
    assert design.reward(episode(calls=2)) == 1.0  # the first solution is the best so far
    assert design.reward(episode(False, calls=0)) == 0.0  # a cheap mistake is no record
    assert design.reward(episode(calls=1)) == 1.0
    assert design.reward(episode(calls=3)) == pytest.approx(math.sin(0.75 * math.pi), rel=1e-12)
    assert design.reward(episode(calls=3, task_id="other")) == 1.0
    assert design.components(episode(calls=0))["reward"] == 1.0  # looking teaches nothing
    assert design.state_dict() == {"fewest": {"t": 1, "other": 3}}


def test_otc_learns_from_the_batch_before_it_scores():
    # n = 0 within the group: (1, cos(π/3)) = (1, .5), so ±1/√2.
    (channel,) = rewards.make("otc", eps=0.0).channels([[episode(calls=1), episode(calls=0)]])
    np.testing.assert_allclose(channel.advantages, [-(0.5**0.5), 0.5**0.5], rtol=1e-12)


def test_mmsearch_r1():
    outcomes = [episode(), episode(calls=1), episode(False, 4), episode(format_score=0.0)]
    np.testing.assert_allclose(scalars("mmsearch_r1", outcomes), [1.0, 0.91, 0.1, 0.9], rtol=1e-15)


def test_ikea():
    right = [episode(calls=calls) for calls in (0, 1, 2, 3, 9)]
    np.testing.assert_allclose(scalars("ikea", right), [1.6, 1.4, 1.2, 1.0, 1.0], rtol=1e-15)
    assert scalars("ikea", [episode(False, 2), episode(False), episode(format_score=0.0)]) == [0.05, 0.0, -1.0]


def test_slimsearcher():
    gates = [slimsearcher_gate(x, 1.0) for x in (1, 2, 3)]
    np.testing.assert_allclose(gates, [1, 0.537883, 0.238406], atol=5e-7)
    # T + 1 = 1, 2, 3 against 1, tokens 10, 10, 20 against 10.
    group = [episode(calls=t, tokens=n) for t, n in ((0, 10), (1, 10), (2, 20))]
    np.testing.assert_allclose(scores("slimsearcher", *group), [1, gates[1], gates[2] * gates[1]], rtol=1e-12)


def test_eapo():
    # acc = 3/4, so d = .25 …
    easy = [episode(calls=t) for t in (1, 2, 3)] + [episode(False)]
    np.testing.assert_allclose(scores("eapo", *easy), [1, 0.525910, 0.351501, 0], atol=5e-7)
    # … and with 3 of 12 right d = .75.
    hard = [episode(calls=t) for t in (1, 2, 3)] + [episode(False)] * 9
    np.testing.assert_allclose(scores("eapo", *hard)[:3], [1, 0.841970, 0.783834], atol=5e-7)


def test_length_gated():
    # Calls 1, 2, 3 of the correct: mean 2, std 1 (ddof 1), so z = −1, 0, 1; the wrong one's 50 calls do not count.
    group = [episode(calls=t) for t in (1, 2, 3)] + [episode(False, 50)]
    gated = rewards.make("length_gated", eps=0.0).scores(group)
    np.testing.assert_allclose(gated, [0.946212, 0.9, 0.853788, 0], atol=5e-7)


def test_l1_budget():
    exact = [episode(calls=1), episode(), episode(calls=3), episode(False, 1)]
    assert scalars("l1_budget", exact) == [1.0, 0.5, 0.0, 0.0]
    # (clip(.5·(1 − T), −1, 1) + 1)/2 at T = 0, 1, 2, 5
    at_most = [episode(calls=t) for t in (0, 1, 2, 5)] + [episode(False)]
    assert scalars("l1_budget:mode=max", at_most) == [0.75, 0.5, 0.25, 0.0, 0.0]


def test_partial_credit_is_correct():
    # c is 1 for any credit: only r_ans itself is graded.
    assert rewards.make("linear_cost").reward(episode(0.2, 1)) == 0.9
    assert rewards.make("hdpo").components(episode(0.2, 1))["efficiency"] == 0.5


def test_designs_never_look_at_the_true_verdict():
    for name in rewards.available():
        honest, flipped = (
            [episode(tool_benefit=0.1, true_answer_score=true), episode(False, 1, tool_benefit=0.1)]
            for true in (None, 0.0)
        )
        for one, other in zip(
            rewards.make(name).channels([honest]), rewards.make(name).channels([flipped]), strict=True
        ):
            assert (one.advantages == other.advantages).all()


@pytest.mark.parametrize("name", rewards.available())
def test_components_show_answer_and_format_apart(name):
    """What an answer scored is not mixed with its format, nor either with the price of calls, in any design."""
    for right, kept, calls in itertools.product((0.0, 0.2, 1.0), (0.0, 1.0), (0, 3)):
        one = episode(right, calls, format_score=kept, tool_benefit=0.1)
        components = rewards.checked_components(rewards.make(name), one)
        assert (components["accuracy"], components["format"]) == (right, kept)
        assert next(iter(components.items())) == ("reward", rewards.checked_reward(rewards.make(name), one))
