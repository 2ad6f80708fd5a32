"""Budgets: a number of calls is asked for, and missing it costs."""

from dataclasses import dataclass
from typing import ClassVar

from metis_gym.parameters import choice, number
from metis_gym.records import Outcome
from metis_gym.rewards.design import Card, CountsCalls, Evidence, SingleReward

__all__ = ["L1Budget"]


@dataclass(kw_only=True, eq=False)
class L1Budget(CountsCalls, SingleReward):
    """L1 (arXiv 2503.04697, released code) with calls in place of tokens.

    `exact`: `c − α·|T − B|`, too few costs as much as too many, right or wrong.
    `max`: `c·(clip(α(B − T), −1, 1) + 1)/2`, the fewer the better, if right.

    Args:
        budget: B, the calls asked for.
        alpha: α, the price of one call off the budget.
        mode: "exact" or "max".
    """

    name = "l1_budget"
    card: ClassVar[Card] = Card(
        kind="budget",
        source="L1, arXiv 2503.04697",
        formula="exact: c − α·|T − B|; max: c·(clip(α(B − T), −1, 1) + 1)/2",
        evidence=Evidence.CODE,
    )

    budget: float = number(1.0, low=0)
    alpha: float = number(0.5, low=0)
    mode: str = choice("exact", "exact", "max")

    def score(self, outcome: Outcome) -> float:
        """Correctness against the distance from the budget."""
        correct, left = float(outcome.correct), self.budget - self.spent(outcome)
        if self.mode == "exact":
            return correct - self.alpha * abs(left)
        return correct * (min(max(self.alpha * left, -1.0), 1.0) + 1.0) / 2.0
