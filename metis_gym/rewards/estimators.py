"""From scores to advantages: the base estimators, by name.

An estimator compares the *members* of each group with each other and gives everyone else exactly 0; so does a group
with fewer than two members, or with nothing to compare. Dividing by the length of an episode is no business of an
advantage: that is the loss's aggregation (`token-mean`, `sequence-mean`, `constant-length`).

Axes: N is the number of episodes of the batch, n the members of one group.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from metis_gym.registries import Registry
from metis_gym.rewards.batch import Batch, Positions
from metis_gym.rewards.contract import Bools, Floats
from metis_gym.rewards.statistics import Scale, deviations, standardise, tied

__all__ = [
    "ESTIMATORS",
    "Estimator",
    "dr_grpo",
    "grpo",
    "opo",
    "reinforce_pp",
    "rloo",
]

Estimator: TypeAlias = Callable[[Floats, Bools, Batch, Scale], Floats]
"""(scores_N, members_N, batch, scale) → advantages_N."""


def grpo(scores_N: Floats, members_N: Bools, batch: Batch, scale: Scale) -> Floats:
    """`(r − mean) / (std + ε)` over the members of each group (GRPO, arXiv 2402.03300, section 4.1.2)."""
    return _each_group(scores_N, members_N, batch, lambda members_n: standardise(scores_N[members_n], scale))


def dr_grpo(scores_N: Floats, members_N: Bools, batch: Batch, _scale: Scale) -> Floats:
    """`r − mean` (Dr. GRPO, arXiv 2503.20783).

    The paper's other half, a constant length instead of |o_i| as the divisor, is the loss's `constant-length`.
    """
    return _each_group(scores_N, members_N, batch, lambda members_n: deviations(scores_N[members_n]))


def rloo(scores_N: Floats, members_N: Bools, batch: Batch, _scale: Scale) -> Floats:
    """`r − mean of the others = n/(n − 1) · (r − mean)` (RLOO, arXiv 2402.14740)."""

    def leave_one_out(members_n: Positions) -> Floats:
        return deviations(scores_N[members_n]) * (members_n.size / max(members_n.size - 1, 1))

    return _each_group(scores_N, members_N, batch, leave_one_out)


def opo(scores_N: Floats, members_N: Bools, batch: Batch, _scale: Scale) -> Floats:
    """`r − Σ l·r / Σ l`, l the episode's tokens (OPO, arXiv 2505.23585): longer episodes weigh more in the baseline.

    `Outcome.tokens` is the length; where no episode of a group has any, they weigh the same.
    """
    tokens_N = batch.each(lambda outcome: float(outcome.tokens))

    def from_weighted_baseline(members_n: Positions) -> Floats:
        scores_n, tokens_n = scores_N[members_n], tokens_N[members_n]
        if tied(scores_n):
            return np.zeros_like(scores_n)
        return scores_n - np.average(scores_n, weights=tokens_n if tokens_n.any() else None)

    return _each_group(scores_N, members_N, batch, from_weighted_baseline)


def reinforce_pp(scores_N: Floats, members_N: Bools, _batch: Batch, scale: Scale) -> Floats:
    """`(r − mean) / (std + ε)` over the whole batch, groups ignored (REINFORCE++, arXiv 2501.03262).

    The paper whitens over tokens; episodes are whitened here, which is the same where all have one length.
    """
    advantages_N = np.zeros_like(scores_N)
    advantages_N[members_N] = standardise(scores_N[members_N], scale)
    return advantages_N


ESTIMATORS: Registry[Floats] = Registry(
    "advantage estimator",
    {name: f"{__name__}:{name}" for name in ("grpo", "dr_grpo", "rloo", "opo", "reinforce_pp")},
    group="estimators",
)
"""The estimators by name; `ESTIMATORS.register("mine")` adds one's own."""


def _each_group(
    scores_N: Floats,
    members_N: Bools,
    batch: Batch,
    compare: Callable[[Positions], Floats],
) -> Floats:
    advantages_N = np.zeros_like(scores_N)
    for members_n in batch.members(members_N):
        advantages_N[members_n] = compare(members_n)
    return advantages_N
