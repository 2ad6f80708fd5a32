"""The surrogates: against their printed formulas, and all the same on the first update."""

import math

import pytest
import torch

from metis_agents.rl import SURROGATES, make_surrogate
from metis_gym.errors import ConfigError

EVERY = [*SURROGATES.names(), "ppo_clip:dual_clip=3"]


def evaluate(spec, ratios, advantage):
    """Objective and gradient with respect to log π of one episode with these ratios."""
    logratio_BT = torch.tensor([ratios], dtype=torch.float64).log().requires_grad_()
    mask_BT = torch.ones_like(logratio_BT, dtype=torch.bool)
    advantages_CB1 = torch.tensor([[[advantage]]], dtype=torch.float64)
    objective, clipped = make_surrogate(spec)(logratio_BT, advantages_CB1, mask_BT)
    objective.sum().backward()
    return objective[0, 0].tolist(), logratio_BT.grad[0].tolist(), clipped[0, 0].tolist()


def test_ppo_clip():
    # A > 0: min(r, 1.2)·A; A < 0: max(r, .8)·A. Outside, the gradient is 0.
    objective, slope, clipped = evaluate("ppo_clip", [0.5, 1.1, 1.5], 2.0)
    assert objective == pytest.approx([1.0, 2.2, 2.4])
    assert slope == pytest.approx([1.0, 2.2, 0.0])
    assert clipped == [False, False, True]
    objective, slope, clipped = evaluate("ppo_clip", [0.5, 0.9, 5.0], -2.0)
    assert objective == pytest.approx([-1.6, -1.8, -10.0])
    assert slope == pytest.approx([0.0, -1.8, -10.0])
    assert clipped == [True, False, False]


def test_dual_clip_bounds_what_a_bad_token_can_do():
    # max(min(r·A, …), c·A) for A < 0, c = 3; nothing changes for A > 0.
    objective, slope, clipped = evaluate("ppo_clip:dual_clip=3", [2.0, 5.0], -2.0)
    assert objective == pytest.approx([-4.0, -6.0])
    assert slope == pytest.approx([-4.0, 0.0])
    assert clipped == [False, True]
    for advantage in (2.0, 0.5, 0.0):
        ratios = [0.5, 5.0]
        assert evaluate("ppo_clip:dual_clip=3", ratios, advantage) == evaluate("ppo_clip", ratios, advantage)


def test_dapo_has_more_room_upwards():
    assert evaluate("dapo", [1.25, 1.5], 1.0)[0] == pytest.approx([1.25, 1.28])
    assert evaluate("dapo", [0.5], -1.0)[0] == pytest.approx([-0.8])


def test_gspo():
    # s = (1.2·.8333…)^(1/2) = 1: inside; each of two tokens gets half of s·A as its slope, twice (once per token).
    objective, slope, clipped = evaluate("gspo", [1.2, 1 / 1.2], 3.0)
    assert objective == pytest.approx([3.0, 3.0])
    assert slope == pytest.approx([3.0, 3.0])
    assert clipped == [False, False]
    objective, slope, clipped = evaluate("gspo", [1.01, 1.01], 3.0)  # s = 1.01 > 1 + 4e-4
    assert objective == pytest.approx([3.0012, 3.0012])
    assert slope == [0.0, 0.0]
    assert clipped == [True, True]


@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_gmpo_against_the_printed_formula(advantage):
    ratios, sign = [0.3, 0.9, 1.2, 3.0], math.copysign(1, advantage)
    low, high = math.exp(-0.4), math.exp(0.4)
    clip = [min(max(r**sign, low), high) for r in ratios]
    kept = [min(r**sign, clipped) ** sign for r, clipped in zip(ratios, clip, strict=True)]
    objective, _, clipped = evaluate("gmpo", ratios, advantage)
    assert objective == pytest.approx([advantage * math.prod(kept) ** 0.25] * 4)
    assert clipped == ([False, False, False, True] if advantage > 0 else [True, False, False, False])


def test_cispo_clips_the_weight_and_keeps_every_gradient():
    objective, slope, clipped = evaluate("cispo", [0.01, 1.0, 9.0], 2.0)
    assert slope == pytest.approx([0.02, 2.0, 10.0])  # 9 is clipped to 5
    assert objective == pytest.approx([0.02 * math.log(0.01), 0.0, 10.0 * math.log(9.0)])
    assert clipped == [False, False, True]


def test_cispo_may_have_a_lower_bound():
    objective, slope, clipped = evaluate("cispo:eps_low=0.5", [0.01, 0.6], 2.0)
    assert slope == pytest.approx([1.0, 1.2])  # .01 is raised to .5
    assert objective == pytest.approx([1.0 * math.log(0.01), 1.2 * math.log(0.6)])
    assert clipped == [True, False]


@pytest.mark.parametrize(("advantage", "tau"), [(2.0, 1.0), (0.5, 1.0), (-2.0, 1.05), (-0.5, 1.05)])
def test_sapo_against_the_printed_formula(advantage, tau):
    ratios = [0.2, 1.0, 3.0]
    gates = [1 / (1 + math.exp(-tau * (r - 1))) for r in ratios]
    objective, slope, _ = evaluate("sapo", ratios, advantage)
    assert objective == pytest.approx([advantage * 4 / tau * gate for gate in gates], rel=1e-14)
    # d/d log r = r·d/dr: 4·gate·(1 − gate)·r·A
    expected = [advantage * 4 * gate * (1 - gate) * r for gate, r in zip(gates, ratios, strict=True)]
    assert slope == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize("advantage", [1.7, -0.3, 0.0])
def test_on_the_first_update_all_are_the_same(spec, advantage):
    # With every ratio 1 the slope is A at every token, summed over an episode.
    _, slope, clipped = evaluate(spec, [1.0] * 5, advantage)
    assert slope == pytest.approx([advantage] * 5, rel=1e-14)
    assert not any(clipped)


@pytest.mark.parametrize("spec", EVERY)
def test_channels_do_not_see_each_other(spec):
    logratio_BT = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask_BT = torch.ones_like(logratio_BT, dtype=torch.bool)
    advantages_CB1 = torch.tensor([[1.0, -2.0, 0.0], [-0.5, 3.0, 1.0]], dtype=torch.float64).unsqueeze(-1)
    surrogate = make_surrogate(spec)
    both = surrogate(logratio_BT, advantages_CB1, mask_BT)
    for channel in (0, 1):
        alone = surrogate(logratio_BT, advantages_CB1[channel : channel + 1], mask_BT)
        assert both.objective_CBT.shape == both.is_clipped_CBT.shape == (2, 3, 4)
        assert torch.equal(both.objective_CBT[channel], alone.objective_CBT[0])
        assert torch.equal(both.is_clipped_CBT[channel], alone.is_clipped_CBT[0])


@pytest.mark.parametrize("spec", ["gspo", "gmpo"])
def test_sequence_ratios_leave_out_tool_output(spec):
    mask_BT = torch.tensor([[True, False, True]])
    advantages_CB1 = torch.ones(1, 1, 1, dtype=torch.float64)
    surrogate = make_surrogate(spec)
    one, other = (
        surrogate(torch.tensor([[1e-4, noise, 2e-4]], dtype=torch.float64), advantages_CB1, mask_BT)
        for noise in (0.0, 50.0)
    )
    if spec == "gspo":
        assert torch.equal(one.objective_CBT, other.objective_CBT)
    assert one.objective_CBT[0, 0, 0] == other.objective_CBT[0, 0, 0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ppo", "unknown surrogate 'ppo'"),
        ("sapoo", "Did you mean 'sapo'"),
        ("ppo_clip:eps=0.2", "no parameter 'eps'. Did you mean 'eps_low'"),
        ("ppo_clip:eps_low=1.5", "`eps_low` to be a finite number from 0 to 1, actually: 1.5"),
        ("ppo_clip:dual_clip=1", "`dual_clip` to be none or a finite number above 1, actually: 1"),
    ],
)
def test_mistakes_are_explained(spec, message):
    with pytest.raises(ConfigError, match=message):
        make_surrogate(spec)


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize("logratio", [-300.0, 89.0, 300.0])
@pytest.mark.parametrize("advantage", [1.7, -0.3])
def test_gradients_are_finite_in_single_precision(spec, logratio, advantage):
    logratio_BT = torch.tensor([[0.1, logratio]], requires_grad=True)
    objective, _ = make_surrogate(spec)(logratio_BT, torch.tensor([[[advantage]]]), torch.ones(1, 2, dtype=torch.bool))
    objective.sum().backward()
    assert torch.isfinite(objective).all()
    assert torch.isfinite(logratio_BT.grad).all()
