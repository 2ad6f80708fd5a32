"""Reward designs: groups of outcomes → advantage channels."""

from collections.abc import Mapping
from typing import Any

from metis_gym.records import Outcome
from metis_gym.rewards.contract import Channel, Groups, RewardDesign


class Accuracy:
    """Interim."""

    name = "accuracy"

    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """Interim."""
        return {"accuracy": 0.9 * outcome.answer_score + 0.1 * outcome.format_score}

    def reward(self, outcome: Outcome) -> float:
        """Interim."""
        return self.components(outcome)["accuracy"]

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """Interim."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """Interim."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Interim."""


def make(name: str, **kwargs: Any) -> RewardDesign:
    """Interim."""
    return Accuracy(**kwargs)
