"""The outcome alone: what a tool costs is not looked at. The reference that every other design is compared with."""

from dataclasses import dataclass
from typing import ClassVar

from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.design import Card, Evidence, SingleReward, accuracy_score

__all__ = ["Accuracy"]


@dataclass(kw_only=True, eq=False)
class Accuracy(SingleReward):
    """`r_acc = .9·r_ans + .1·f`, group-normalised: GRPO (arXiv 2402.03300) with the reward of arXiv 2604.08545.

    Args:
        format_weight: Share of the format in the reward.
    """

    name = "accuracy"
    channel_name: ClassVar[str] = "accuracy"
    card: ClassVar[Card] = Card(
        kind="outcome", source="GRPO, arXiv 2402.03300", formula=".9·r_ans + .1·f", evidence=Evidence.CODE
    )

    format_weight: float = number(0.1, low=0, high=1)

    def score(self, outcome: Outcome) -> float:
        """The reward of arXiv 2604.08545's accuracy channel."""
        return accuracy_score(outcome, self.format_weight)
