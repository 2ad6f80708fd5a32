"""The oracle baseline: what a design could do that knew which tasks need a tool. No method, but a bound for methods."""

from dataclasses import dataclass
from typing import ClassVar

from metis_gym.parameters import number
from metis_gym.records import Necessity, Outcome
from metis_gym.rewards.design import Card, CountsCalls, Evidence, SingleReward, accuracy_score

__all__ = ["NecessityOracle"]


@dataclass(kw_only=True, eq=False)
class NecessityOracle(CountsCalls, SingleReward):
    """`r_acc − α·T/(T + 1)` on tasks that need no tool; `r_acc` on all others and where the need is not known.

    It is the only design that is shown `Outcome.necessity`, which no model and no other design knows: it bounds what a
    reward can teach, and is no rival of those that have to find it out.

    Args:
        alpha: α, what needless calls cost at most.
        format_weight: Share of the format in r_acc.
    """

    name = "necessity_oracle"
    sees: ClassVar[tuple[str, ...]] = ("necessity",)
    card: ClassVar[Card] = Card(
        kind="oracle",
        source="bound",
        formula="r_acc − α·T/(T + 1)·1[no tool needed]",
        evidence=Evidence.FOLKLORE,
    )

    alpha: float = number(0.5, low=0)
    format_weight: float = number(0.1, low=0, high=1)

    def score(self, outcome: Outcome) -> float:
        """Accuracy, less the cost of calls that the task does not need."""
        accuracy = accuracy_score(outcome, self.format_weight)
        if outcome.necessity is not Necessity.NONE:
            return accuracy
        spent = self.spent(outcome)
        return accuracy - self.alpha * spent / (spent + 1.0)
