"""A reward design with a parameter: `reward="halved:base=3"`."""

from dataclasses import dataclass

from metis_gym.records import Outcome
from metis_gym.rewards import SingleReward, number


@dataclass(kw_only=True, eq=False)
class Halved(SingleReward):
    """Each call divides what a right answer earns."""

    name = "halved"
    base: float = number(2.0, above=1.0)

    def score(self, outcome: Outcome) -> float:
        """`c / base^T`."""
        return outcome.correct / self.base**outcome.tool_calls
