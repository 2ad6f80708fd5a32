"""Coupled designs: correctness and cost are added up first and compared afterwards, so each can drown the other."""

import math
from dataclasses import dataclass
from typing import ClassVar

from metis_gym.errors import ConfigError
from metis_gym.parameters import flag, number
from metis_gym.records import Outcome
from metis_gym.rewards.design import Card, CountsCalls, Evidence, SingleReward, accuracy_score

__all__ = ["AdaToolerGrpo", "Coupled", "LinearCost"]


@dataclass(kw_only=True, eq=False)
class LinearCost(CountsCalls, SingleReward):
    """`c − λ·T`: every call costs the same, right or wrong. Folklore.

    A correct episode with two calls at λ = .5 is worth what a wrong one without calls is (arXiv 2604.08545 calls this
    *semantic ambiguity*).

    Args:
        lam: λ, what one unit of T costs.
    """

    name = "linear_cost"
    card: ClassVar[Card] = Card(kind="coupled", source="folklore", formula="c − λ·T", evidence=Evidence.FOLKLORE)

    lam: float = number(0.1, low=0)

    def score(self, outcome: Outcome) -> float:
        """Correctness less the price of the calls."""
        return float(outcome.correct) - self.lam * self.spent(outcome)


@dataclass(kw_only=True, eq=False)
class Coupled(CountsCalls, SingleReward):
    """`r_acc + α·c/(T + 1)`: HDPO's two rewards added up, the strawman of arXiv 2604.08545.

    Args:
        alpha: α, the weight of efficiency.
        gated: Whether only correct episodes earn efficiency; False pays `α/(T + 1)` to wrong ones too.
        format_weight: Share of the format in r_acc.
    """

    name = "coupled"
    card: ClassVar[Card] = Card(
        kind="coupled",
        source="strawman of arXiv 2604.08545",
        formula="r_acc + α·c/(T + 1); not gated: r_acc + α/(T + 1)",
        evidence=Evidence.PAPER,
    )

    alpha: float = number(0.15, low=0)
    gated: bool = flag(True)
    format_weight: float = number(0.1, low=0, high=1)

    def score(self, outcome: Outcome) -> float:
        """Accuracy plus weighted efficiency."""
        thrift = 1.0 / (self.spent(outcome) + 1) if outcome.correct or not self.gated else 0.0
        return accuracy_score(outcome, self.format_weight) + self.alpha * thrift


@dataclass(kw_only=True, eq=False)
class AdaToolerGrpo(CountsCalls, SingleReward):
    """`r_acc + α·ΔS·exp(−2·((T − n)/n)²)`: AdaTooler-V's AT-GRPO (arXiv 2512.16918, released code).

    ΔS is the measured gain of tools on this task, `Outcome.tool_benefit`: where it is positive, about n calls are
    rewarded, where it is negative they are punished. Right and wrong episodes alike: the bonus is not gated.

    Args:
        alpha: α, the weight of the bonus.
        peak: n, the number of calls with the largest bonus.
        format_weight: Share of the format in r_acc.
    """

    name = "at_grpo"
    card: ClassVar[Card] = Card(
        kind="coupled, per task",
        source="AdaTooler-V, arXiv 2512.16918",
        formula="r_acc + α·ΔS·exp(−2·((T − n)/n)²)",
        evidence=Evidence.CODE,
    )

    alpha: float = number(0.6, low=0)
    peak: float = number(6.0, above=0)
    format_weight: float = number(0.1, low=0, high=1)

    def score(self, outcome: Outcome) -> float:
        """Accuracy plus the bonus for as many calls as the task deserves.

        Raises:
            ConfigError: The benefit of tools on this task was not measured.
        """
        if outcome.tool_benefit is None:
            raise ConfigError(
                f"the reward design 'at_grpo' needs the measured benefit of tools, but `tool_benefit` of task "
                f"{outcome.task_id!r} is None; use tasks that carry it, or another design"
            )
        distance = (self.spent(outcome) - self.peak) / self.peak
        bonus = self.alpha * outcome.tool_benefit * math.exp(-2.0 * distance**2)
        return accuracy_score(outcome, self.format_weight) + bonus
