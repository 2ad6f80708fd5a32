"""Designs that pay for using tools: made for models that avoid them, and blind to calls that were not needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Floats
from metis_gym.rewards.design import Card, CountsCalls, Evidence, SingleReward

__all__ = ["DeepEyes", "PixelReasoner", "ReTool", "kept_format", "retool_failure"]


def kept_format(outcome: Outcome) -> bool:
    """Whether the format was kept entirely."""
    return outcome.format_score >= 1.0


@dataclass(kw_only=True, eq=False)
class DeepEyes(SingleReward):
    """`.8·c + .2·(0 if f else −1) + 1.2·c·1[T > 0]`: DeepEyes (arXiv 2505.14362, released code)."""

    name = "deepeyes"
    card: ClassVar[Card] = Card(
        kind="encourages tools, gated",
        source="DeepEyes, arXiv 2505.14362",
        formula=".8·c + .2·(0 if f else −1) + 1.2·c·1[T > 0]",
        evidence=Evidence.CODE,
    )

    def score(self, outcome: Outcome) -> float:
        """A correct answer with a tool is worth 2.5 times one without."""
        correct = float(outcome.correct)
        return 0.8 * correct - 0.2 * (not kept_format(outcome)) + 1.2 * correct * (outcome.tool_calls > 0)


@dataclass(kw_only=True, eq=False)
class PixelReasoner(CountsCalls, SingleReward):
    """`c + 1[T > 0]·(α·max(H − RaPR, 0) + β·min(N − T, 0))`: Pixel Reasoner (arXiv 2505.15966).

    The constants are second-hand, and the released code is said to differ: check before citing one. RaPR is the share
    of the group that uses a tool: below H, curiosity is paid. The scalar of a lone episode is that of a group of one:
    with a tool RaPR is 1, so nothing is paid and only calls beyond N cost.

    Args:
        alpha: α, the weight of curiosity.
        beta: β, the cost of one call too many.
        target_rate: H, the share of tool users aimed at.
        max_calls: N, the calls, or their price, that are free.
    """

    name = "pixel_reasoner"
    card: ClassVar[Card] = Card(
        kind="encourages tools, coupled",
        source="Pixel Reasoner, arXiv 2505.15966",
        formula="c + 1[T > 0]·(α·max(H − RaPR, 0) + β·min(N − T, 0))",
        evidence=Evidence.SECOND_HAND,
    )

    alpha: float = number(0.5, low=0)
    beta: float = number(0.05, low=0)
    target_rate: float = number(0.3, low=0, high=1)
    max_calls: float = number(1.0, low=0)

    def scores(self, outcomes: Sequence[Outcome]) -> Floats:
        """Correctness, plus curiosity while tools are rare, less the calls too many."""
        calls_n = np.array([outcome.tool_calls for outcome in outcomes], dtype=np.float64)
        correct_n = np.array([outcome.correct for outcome in outcomes], dtype=np.float64)
        rate = float(np.mean(calls_n > 0)) if outcomes else 0.0
        spent_n = np.array([self.spent(outcome) for outcome in outcomes], dtype=np.float64)
        curiosity = self.alpha * max(self.target_rate - rate, 0.0)
        return correct_n + (calls_n > 0) * (curiosity + self.beta * np.minimum(self.max_calls - spent_n, 0.0))


def retool_failure(messages: float) -> float:
    """The reward of a wrong answer, `min(−.6, −1 + .05·(messages − 2))` (verl's ReTool recipe).

    >>> [retool_failure(messages) for messages in (2, 4, 8, 10)]
    [-1.0, -0.9, -0.7, -0.6]
    """
    return min(-0.6, -1.0 + 0.05 * (messages - 2))


@dataclass(kw_only=True, eq=False)
class ReTool(SingleReward):
    """Right 1, wrong `min(−.6, −1 + .05·(messages − 2))`: ReTool (arXiv 2504.11536) as in verl's recipe.

    The recipe counts messages, two for each turn of the model; `Outcome.turns` counts the model's turns alone.
    """

    name = "retool"
    card: ClassVar[Card] = Card(
        kind="encourages tools on failure",
        source="ReTool, arXiv 2504.11536",
        formula="1 if c, else min(−.6, −1 + .05·(2·turns − 2))",
        evidence=Evidence.CODE,
    )

    def score(self, outcome: Outcome) -> float:
        """The longer a failure tried, the milder it is judged."""
        return 1.0 if outcome.correct else retool_failure(2 * outcome.turns)
