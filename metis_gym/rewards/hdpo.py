"""HDPO: correctness over everyone, efficiency among the correct, joined only in the loss (arXiv 2604.08545)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch, check_outcome
from metis_gym.rewards.contract import Channel, Groups
from metis_gym.rewards.design import (
    Card,
    CountsCalls,
    Design,
    Evidence,
    accuracy_score,
    efficiency_score,
    scores_apart,
)
from metis_gym.rewards.estimators import grpo

__all__ = ["Hdpo"]


@dataclass(kw_only=True, eq=False)
class Hdpo(CountsCalls, Design):
    """Two channels: `A_acc` over all G episodes and `A_tool` over the correct ones (arXiv 2604.08545, released code).

    `A_acc = (r_acc − mean_G)/(std_G + ε)`. `A_tool = (r_tool − mean_Q)/(std_Q + ε)` on `Q = {i : correct}` when
    |Q| ≥ 2, else 0, with `r_tool = 1/(T + 1)`. `L = w_acc·L_clip(A_acc) + w_tool·L_clip(A_tool)`.

    T = 0 belongs to Q. The members of the second channel are Q, also where |Q| = 1 leaves nothing to compare. With
    `w_tool=0` this is GRPO to the last bit.

    Args:
        w_acc: Weight of the accuracy channel.
        w_tool: Weight of the efficiency channel; the paper's .15.
        format_weight: Share of the format in r_acc.
    """

    name = "hdpo"
    card: ClassVar[Card] = Card(
        kind="conditional, decoupled",
        source="HDPO, arXiv 2604.08545",
        formula="A_acc = GN(r_acc) over G; A_tool = GN(1/(T + 1)) over the correct only; summed in the loss",
        evidence=Evidence.CODE,
    )

    w_acc: float = number(1.0, low=0)
    w_tool: float = number(0.15, low=0)
    format_weight: float = number(0.1, low=0, high=1)

    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """`reward`, the scalar; `accuracy`, `format` and `efficiency`, unmixed."""
        if not outcome.scored:
            return scores_apart(outcome, 0.0, efficiency=0.0)
        check_outcome(outcome)
        reward = accuracy_score(outcome, self.format_weight)
        return scores_apart(outcome, reward, efficiency=self._efficiency(outcome))

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """The two channels, each with its own members."""
        batch = Batch.of(groups)
        accuracy_N = batch.each(lambda outcome: accuracy_score(outcome, self.format_weight))
        efficiency_N = batch.each(self._efficiency)
        return (
            Channel(
                name="accuracy",
                weight=self.w_acc,
                advantages=grpo(accuracy_N, batch.scored_N, batch, self.scale),
                members=batch.scored_N,
            ),
            Channel(
                name="efficiency",
                weight=self.w_tool,
                advantages=grpo(efficiency_N, batch.correct_N, batch, self.scale),
                members=batch.correct_N,
            ),
        )

    def _efficiency(self, outcome: Outcome) -> float:
        return efficiency_score(outcome, self.cost)
