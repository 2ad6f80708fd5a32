"""Every number that HDPO's analysis derives, with its derivation. ddof 1; ε → 0 by `eps=0`."""

import math

import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.records import Outcome

HALF = 0.5**0.5


def episode(answer, calls=0, fmt=1.0, **more):
    return Outcome(task_id="t", answer_score=float(answer), format_score=fmt, tool_calls=calls, **more)


def C(calls):
    return episode(1, calls)


def W(calls):
    return episode(0, calls)


def advantages(design, *group):
    return [channel.advantages for channel in design.channels([group])]


def hdpo(**parameters):
    return rewards.make("hdpo", eps=0.0, **parameters)


def only(design, *group):
    (channel,) = design.channels([group])
    return channel.advantages


AMBIGUOUS = (C(2), W(0), C(0), W(2))
FOUR_RIGHT = (C(0), C(1), C(1), C(3))
SWAMPED = (*FOUR_RIGHT, W(0), W(0), W(0), W(0))
GATING = (C(0), C(1), W(0), W(3))


def test_semantic_ambiguity_coupled():
    # r = c − .5·T = [0, 0, 1, −1], mean 0, std = sqrt(2/3): ±1/sqrt(2/3) = ±1.224745; right and wrong tie at 0.
    coupled = only(rewards.make("linear_cost", lam=0.5, eps=0.0), *AMBIGUOUS)
    np.testing.assert_allclose(coupled, [0, 0, 1.5**0.5, -(1.5**0.5)], atol=1e-15)
    assert coupled[2] == pytest.approx(1.224745, abs=5e-7)


def test_semantic_ambiguity_hdpo():
    # A_acc: two of four right → ±.5/.577350. A_tool on Q = {C2, C0}: (1/3, 1) → ±1/√2.
    accuracy, efficiency = advantages(hdpo(), *AMBIGUOUS)
    np.testing.assert_allclose(accuracy, np.array([1, -1, 1, -1]) * 0.75**0.5, rtol=1e-14)
    np.testing.assert_allclose(efficiency, [-HALF, 0, HALF, 0], rtol=1e-14)


@pytest.mark.parametrize(("alpha", "gap"), [(0.01, 0.013953), (0.1, 0.132752), (0.15, 0.193817), (1.0, 0.871884)])
def test_swamping_coupled(alpha, gap):
    # r = c + α·c/(T + 1): the gap is α·(1 − 1/4)/std over all eight.
    scores = np.array([1 + alpha * x for x in (1, 1 / 2, 1 / 2, 1 / 4)] + [0.0] * 4)
    coupled = only(rewards.make("coupled", alpha=alpha, format_weight=0.0, eps=0.0), *SWAMPED)
    assert coupled[0] - coupled[3] == pytest.approx(0.75 * alpha / np.std(scores, ddof=1), rel=1e-12)
    assert coupled[0] - coupled[3] == pytest.approx(gap, abs=5e-7)


def test_swamping_hdpo():
    # On Q r_tool = (1, 1/2, 1/2, 1/4): mean 9/16, deviations (7, −1, −1, −5)/16, std = sqrt(76/3)/16.
    _, efficiency = advantages(hdpo(), *SWAMPED)
    np.testing.assert_allclose(efficiency[:4], np.array([7, -1, -1, -5]) / math.sqrt(76 / 3), rtol=1e-14)
    np.testing.assert_allclose(efficiency[:4], [1.390759, -0.198680, -0.198680, -0.993399], atol=5e-7)
    assert (efficiency[4:] == 0.0).all()
    assert efficiency[0] - efficiency[3] == pytest.approx(2.384158, abs=5e-7)
    assert 0.15 * (efficiency[0] - efficiency[3]) == pytest.approx(0.357624, abs=5e-7)


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 0.15, 1.0, 1e6])
def test_all_correct_coupled_is_hdpos_efficiency(alpha):
    # c is constant, so r is an affine map of r_tool.
    _, efficiency = advantages(hdpo(), *FOUR_RIGHT)
    coupled = only(rewards.make("coupled", alpha=alpha, eps=0.0), *FOUR_RIGHT)
    np.testing.assert_allclose(coupled, efficiency, rtol=1e-8)


def test_all_correct_accuracy_only_is_silent():
    assert (only(rewards.make("accuracy"), *FOUR_RIGHT) == 0.0).all()


def test_gating_ungated_praises_a_cheap_mistake():
    # r = 1/(T + 1) = (1, 1/2, 1, 1/4): mean 11/16, deviations (5, −3, 5, −7)/16, std = sqrt(108/3)/16 = 6/16.
    values = np.array([1, 0.5, 1, 0.25])
    by_hand = (values - values.mean()) / values.std(ddof=1)
    np.testing.assert_allclose(by_hand, [5 / 6, -1 / 2, 5 / 6, -7 / 6], rtol=1e-14)
    # The shipped design with this term: ungated `coupled`; at α = 1e9 accuracy is below the rounding of the rest.
    only_thrift = rewards.make("coupled", alpha=1e9, gated=False, eps=0.0)
    np.testing.assert_allclose(only(only_thrift, *GATING), [0.833333, -0.5, 0.833333, -1.166667], atol=5e-7)


def test_gating_gated_but_over_everyone_repeats_accuracy():
    # r_tool = (1, 1/2, 0, 0): mean 3/8, deviations (5, 1, −3, −3)/8, std = sqrt(44/3)/8.
    # Correlation with A_acc ∝ (1, 1, −1, −1): (5 + 1 + 3 + 3)/(sqrt(44)·2) = .904534.
    gated = only(rewards.make("mo_grpo", w_acc=0.0, eps=0.0), *GATING)
    np.testing.assert_allclose(gated, np.array([5, 1, -3, -3]) / math.sqrt(44 / 3), rtol=1e-14)
    np.testing.assert_allclose(gated, [1.305582, 0.261116, -0.783349, -0.783349], atol=5e-7)
    accuracy, _ = advantages(hdpo(), *GATING)
    assert np.corrcoef(gated, accuracy)[0, 1] == pytest.approx(12 / (2 * math.sqrt(44)), rel=1e-12)
    assert np.corrcoef(gated, accuracy)[0, 1] == pytest.approx(0.904534, abs=5e-7)


def test_gating_hdpo_is_orthogonal():
    accuracy, efficiency = advantages(hdpo(), *GATING)
    np.testing.assert_allclose(efficiency, [HALF, -HALF, 0, 0], rtol=1e-14)
    assert (accuracy * efficiency).sum() == 0.0  # not `@`, whose fused multiply-add keeps a rounding error


@pytest.mark.parametrize("group", [(W(0), W(1), W(2)), (C(1), W(0), W(3))])
def test_fewer_than_two_correct_have_no_efficiency(group):
    _, efficiency = advantages(hdpo(), *group)
    assert (efficiency == 0.0).all()


def test_the_middle_of_three_is_exactly_zero_and_still_a_member():
    # r_tool = (1/2, 1/3, 1/6): mean 1/3, deviations ±1/6, std = 1/6.
    _, efficiency = hdpo().channels([(C(1), C(2), C(5))])
    np.testing.assert_allclose(efficiency.advantages, [1, 0, -1], rtol=1e-15)
    assert efficiency.advantages[1] == 0.0
    assert efficiency.members.tolist() == [True, True, True]


def test_sign_reversal_of_eight():
    # r_tool = .1 once and 1 seven times: deviation −.9·7/8, std = .9/sqrt(8): −7/sqrt(8) = −2.474874.
    accuracy, efficiency = advantages(hdpo(), C(9), *[C(0)] * 7)
    assert (accuracy == 0.0).all()
    assert efficiency[0] == pytest.approx(-7 / math.sqrt(8), rel=1e-12)
    assert 0.15 * efficiency[0] == pytest.approx(-0.371231, abs=5e-7)


def test_sign_reversal_of_sixteen():
    # A_acc of 15 right, 1 wrong: (1/16)/sqrt(15/16/15) = .25. A_tool(C9) = −(14/15)·sqrt(15) = −3.614784.
    accuracy, efficiency = advantages(hdpo(), *[C(0)] * 14, C(9), W(0))
    assert accuracy[14] == pytest.approx(0.25, rel=1e-12)
    assert efficiency[14] == pytest.approx(-14 / math.sqrt(15), rel=1e-12)
    assert efficiency[14] == pytest.approx(-3.614784, abs=5e-7)
    assert accuracy[14] + 0.15 * efficiency[14] == pytest.approx(-0.292218, abs=5e-7)
    assert accuracy[14] / -efficiency[14] == pytest.approx(0.069160, abs=5e-7)


def test_format_leak():
    # r_acc = (1, .9, .1, .1): mean .525, std = sqrt(.7275/3 …); the format tells Q's members apart in A_acc as well.
    group = (episode(1, 0), episode(1, 1, fmt=0.0), W(0), W(1))
    accuracy, efficiency = advantages(hdpo(), *group)
    values = np.array([1, 0.9, 0.1, 0.1])
    expected = 0.1 * HALF / values.std(ddof=1)  # (1 − .9)/std · 1/√2: the means cancel
    assert float(accuracy @ efficiency) == pytest.approx(expected, rel=1e-12)
    assert float(accuracy @ efficiency) == pytest.approx(0.143592, abs=5e-7)


def test_weight_zero_is_grpo_to_the_last_bit():
    groups = [AMBIGUOUS, SWAMPED, GATING, (episode(0.3, 2), episode(0.7, 1, fmt=0.0), C(4))]
    accuracy, efficiency = rewards.make("hdpo", w_tool=0.0).channels(groups)
    (grpo,) = rewards.make("accuracy").channels(groups)
    assert efficiency.weight == 0.0
    assert (accuracy.name, accuracy.weight) == (grpo.name, grpo.weight)
    assert accuracy.advantages.tobytes() == grpo.advantages.tobytes()
    assert accuracy.members.tobytes() == grpo.members.tobytes()


def test_two_episodes_are_always_707_with_ddof_1():
    for calls in ((0, 9), (9, 10)):
        _, efficiency = advantages(hdpo(), *map(C, calls))
        np.testing.assert_allclose(np.abs(efficiency), HALF, rtol=1e-12)


def test_tool_use_is_not_needed_to_qualify():
    _, efficiency = hdpo().channels([(C(0), C(3), W(3))])
    assert efficiency.members.tolist() == [True, True, False]


def test_published_defaults():
    design = rewards.make("hdpo")
    assert (design.w_acc, design.w_tool, design.ddof, design.eps, design.format_weight) == (1.0, 0.15, 1, 1e-6, 0.1)
    assert design.components(episode(1, 3, fmt=0.0)) == {
        "reward": 0.9,
        "accuracy": 1.0,
        "format": 0.0,
        "efficiency": 0.25,
    }
    assert design.components(W(0)) == {"reward": 0.1, "accuracy": 0.0, "format": 1.0, "efficiency": 0.0}
