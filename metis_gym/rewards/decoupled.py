"""Decoupled designs: correctness and cost are compared apart and only then added, as advantages.

They differ in the weights of the sum. All of them compare cost over *all* episodes of a group, wrong ones with
r_tool = 0 included, so that efficiency praises being right a second time; `hdpo` compares it among the correct only.
Axes: N is the number of episodes of the batch, n the members of one group.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch
from metis_gym.rewards.contract import Floats
from metis_gym.rewards.design import Card, Evidence, ScoredApart
from metis_gym.rewards.estimators import grpo
from metis_gym.rewards.statistics import Scale, mean, rescale, spread, standardise

__all__ = ["Diet", "Dvao", "Gdpo", "MoGrpo", "SaMrpo", "dvao_advantages", "whitened"]


def whitened(advantages_N: Floats, batch: Batch, scale: Scale) -> Floats:
    """Divide by the standard deviation over the scored episodes of the batch.

    Group-centred advantages have mean 0 over the batch already; not subtracting its rounding error keeps a group with
    nothing to compare at exactly 0.
    """
    white_N = np.zeros_like(advantages_N)
    white_N[batch.scored_N] = rescale(advantages_N[batch.scored_N], scale)
    return white_N


@dataclass(kw_only=True, eq=False)
class MoGrpo(ScoredApart):
    """`GN(r_acc) + GN(r_tool)`: MO-GRPO (arXiv 2509.22047). Both pull equally hard in every group.

    Args:
        w_acc: Weight of correctness.
        w_tool: Weight of efficiency.
    """

    name = "mo_grpo"
    card: ClassVar[Card] = Card(
        kind="decoupled",
        source="MO-GRPO, arXiv 2509.22047",
        formula="A = Σ w_k·GN(r_k), r = (r_acc, r_tool)",
        evidence=Evidence.PAPER,
    )

    w_acc: float = number(1.0, low=0)
    w_tool: float = number(1.0, low=0)

    def joined(self, accuracy_N: Floats, efficiency_N: Floats, batch: Batch) -> Floats:
        """The weighted sum of the two group-normalised scores."""
        normalised = [grpo(scores_N, batch.scored_N, batch, self.scale) for scores_N in (accuracy_N, efficiency_N)]
        return self.w_acc * normalised[0] + self.w_tool * normalised[1]


@dataclass(kw_only=True, eq=False)
class Gdpo(MoGrpo):
    """`Σ w_k·GN(r_k)` with ε = 1e-4, then whitened over the batch: GDPO (arXiv 2601.05242, released code).

    Args:
        w_acc: Weight of correctness.
        w_tool: Weight of efficiency.
    """

    name = "gdpo"
    card: ClassVar[Card] = Card(
        kind="decoupled",
        source="GDPO, arXiv 2601.05242",
        formula="A = whitened(Σ w_k·GN(r_k))",
        evidence=Evidence.CODE,
    )

    eps: float = number(1e-4, low=0)

    def joined(self, accuracy_N: Floats, efficiency_N: Floats, batch: Batch) -> Floats:
        """The weighted sum, on one scale for the whole batch."""
        return whitened(super().joined(accuracy_N, efficiency_N, batch), batch, self.scale)


def dvao_advantages(accuracy_n: Floats, efficiency_n: Floats, w_acc: float, w_tool: float, scale: Scale) -> Floats:
    """`Σ w̃_k·GN(r_k)` of one group, `w̃_k = w_k·σ_k / Σ w·σ` (arXiv 2605.25604).

    >>> dvao_advantages(np.array([1.0, 1, 0, 0]), np.array([1.0, 0.5, 0, 0]), 1.0, 1.0, Scale(eps=0.0)).round(6)
    array([ 1.065277,  0.59182 , -0.828548, -0.828548])
    """
    pulls = w_acc * spread(accuracy_n, scale.ddof), w_tool * spread(efficiency_n, scale.ddof)
    if sum(pulls) == 0.0:
        return np.zeros_like(accuracy_n)
    shares = [pull / sum(pulls) for pull in pulls]
    return shares[0] * standardise(accuracy_n, scale) + shares[1] * standardise(efficiency_n, scale)


@dataclass(kw_only=True, eq=False)
class Dvao(ScoredApart):
    """`Σ w̃_k·GN(r_k)`, weights by spread: DVAO (arXiv 2605.25604, second-hand). What varies more in a group pulls more.

    Args:
        w_acc: Weight of correctness.
        w_tool: Weight of efficiency.
    """

    name = "dvao"
    card: ClassVar[Card] = Card(
        kind="decoupled",
        source="DVAO, arXiv 2605.25604",
        formula="A = Σ w̃_k·GN(r_k), w̃_k = w_k·σ_k / Σ w·σ",
        evidence=Evidence.SECOND_HAND,
    )

    w_acc: float = number(1.0, low=0)
    w_tool: float = number(1.0, low=0)

    def joined(self, accuracy_N: Floats, efficiency_N: Floats, batch: Batch) -> Floats:
        """The sum, weighted anew in every group."""
        advantages_N = np.zeros_like(accuracy_N)
        for members_n in batch.members(batch.scored_N):
            advantages_N[members_n] = dvao_advantages(
                accuracy_N[members_n], efficiency_N[members_n], self.w_acc, self.w_tool, self.scale
            )
        return advantages_N


@dataclass(kw_only=True, eq=False)
class SaMrpo(MoGrpo):
    """`Σ w_k·(1 − s_k)^γ·GN(r_k)`, whitened: SA-MRPO (arXiv 2608.16072, second-hand).

    s_k is the batch mean of r_k as a share of its range, which is [0, 1] for both: what is nearly solved pulls less.

    Args:
        gamma: γ, how fast a saturated score loses its pull.
    """

    name = "sa_mrpo"
    card: ClassVar[Card] = Card(
        kind="decoupled",
        source="SA-MRPO, arXiv 2608.16072",
        formula="A = whitened(Σ w_k·(1 − s_k)^γ·GN(r_k)), s_k = batch mean of r_k",
        evidence=Evidence.SECOND_HAND,
    )

    gamma: float = number(0.5, low=0)

    def joined(self, accuracy_N: Floats, efficiency_N: Floats, batch: Batch) -> Floats:
        """The sum, weighted by what is left to gain, on one scale for the whole batch."""
        total_N = np.zeros_like(accuracy_N)
        for weight, scores_N in ((self.w_acc, accuracy_N), (self.w_tool, efficiency_N)):
            left = max(1.0 - mean(scores_N[batch.scored_N]), 0.0)
            total_N += weight * left**self.gamma * grpo(scores_N, batch.scored_N, batch, self.scale)
        return whitened(total_N, batch, self.scale)


@dataclass(kw_only=True, eq=False)
class Diet(ScoredApart):
    """`GN(r_acc) + w·acc·GN(cost score)`: DIET's advantage weighting (arXiv 2505.19217, released code).

    The cost score is `−(T − mean)/std` over the group, 0 if wrong; acc is the group's accuracy, so that hard tasks are
    not pressed. The release also anneals w by a cosine over training; here w is constant. The raw efficiency of one
    episode is −T if correct.

    Args:
        w: Weight of the cost.
    """

    name = "diet"
    card: ClassVar[Card] = Card(
        kind="decoupled",
        source="DIET, arXiv 2505.19217",
        formula="A = GN(r_acc) + w·acc·GN(−c·(T − mean)/std), w constant (the release anneals it)",
        evidence=Evidence.CODE,
    )

    w: float = number(0.5, low=0)

    def efficiency(self, outcome: Outcome) -> float:
        """Minus the number of calls if the answer is right, otherwise 0."""
        return -self.spent(outcome) if outcome.correct else 0.0

    def joined(self, accuracy_N: Floats, efficiency_N: Floats, batch: Batch) -> Floats:
        """Accuracy plus the cost, weighted by the group's accuracy; the raw efficiency is replaced by the z-score."""
        calls_N = batch.each(self.spent)
        cost_N, ease_N = np.zeros_like(efficiency_N), np.zeros_like(efficiency_N)
        for members_n in batch.members(batch.scored_N):
            cost_N[members_n] = -standardise(calls_N[members_n], self.scale) * batch.correct_N[members_n]
            ease_N[members_n] = mean(batch.correct_N[members_n].astype(np.float64))
        pull_N = grpo(cost_N, batch.scored_N, batch, self.scale)
        return grpo(accuracy_N, batch.scored_N, batch, self.scale) + self.w * ease_N * pull_N
