"""What tool calls are worth: the plans of a task at an environment's prices and noise, and the best of them.

A plan is a number of calls with the accuracy of the best reply after them. The utility of an episode is
correct − λ · tool_cost, so the best policy follows the plan with the largest accuracy − λ · cost; λ is the accuracy
that one unit of price is worth.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome, Plan, PricedPlan, Task

__all__ = [
    "DEFAULT_LAM",
    "best_plan",
    "checked_lam",
    "noisy_plans",
    "offered_plans",
    "optimal_value",
    "regret",
    "worth_fields",
]

DEFAULT_LAM = 0.1
"""Accuracy that one unit of price is worth, unless something else is asked for."""

_DIGITS = 12
"""Utilities are compared at so many digits, so that ties are ties."""


def noisy_plans(task: Task, noise: float) -> tuple[Plan, ...]:
    """The plans of a task whose tools are wrong with probability h = `noise`.

    A wrong tool works on another of the n answers that the view leaves, each with probability 1 / (n − 1). Where a plan
    tells all n apart, its best reply is what the tool shows, right with probability 1 − h, or else any other answer,
    right with h / (n − 1). A plan of accuracy m / n tells m classes apart; the answer lies in the class that is shown
    with probability 1 − h + h · (others in it) / (n − 1). Summed over the classes, with one reply for each, that is
    ((1 − h) · m + h · (n − m) / (n − 1)) / n, whatever their sizes.

    The tools of a plan are wrong independently of each other, but only one of them tells the answers apart: at each
    strict prefix of a plan all answers give the same result, or the prefix is itself a plan (`Task.plans`).

    >>> from metis_gym.records import GoldAnswer
    >>> plans = (Plan(calls={}, accuracy=0.25), Plan(calls={"python": 1}, accuracy=1.0))
    >>> task = Task(task_id="t", family="f", question="?", images=(), gold=GoldAnswer(value="A"),
    ...             alternatives=tuple("ABCD"), blind_accuracy=0.25, plans=plans)
    >>> [plan.accuracy for plan in noisy_plans(task, 0.1)]
    [0.25, 0.9]
    """
    n, blind = len(task.alternatives), task.blind_accuracy
    if noise == 0 or n < 2 or blind is None:
        return task.plans
    return tuple(Plan(calls=plan.calls, accuracy=_noisy(plan, blind, n, noise)) for plan in task.plans)


def _noisy(plan: Plan, blind: float, n: int, h: float) -> float:
    if plan.length == 0 or plan.accuracy <= blind:
        return plan.accuracy
    other = h / (n - 1)
    return max(blind, plan.accuracy * (1 - h) + (1 - plan.accuracy) * other, other)


def offered_plans(
    plans: Sequence[Plan], prices: Mapping[str, float], tools: Collection[str], max_calls: int
) -> tuple[PricedPlan, ...]:
    """The plans that an environment offers, at its prices.

    Args:
        plans: The plans of a task.
        prices: Tool → price of a call.
        tools: The tools that there are; plans with others are left out.
        max_calls: Turns that may call; longer plans are left out, for each call of a plan needs the result before it.
    """
    return tuple(
        PricedPlan(
            calls=plan.length,
            cost=float(sum(prices[name] * count for name, count in plan.calls.items())),
            accuracy=float(plan.accuracy),
        )
        for plan in plans
        if plan.length <= max_calls and all(name in tools for name in plan.calls)
    )


def worth_fields(task: Task, plans: tuple[PricedPlan, ...]) -> dict[str, Any]:
    """What an `Outcome` says of the worth of tools on a task with these plans."""
    best = best_plan(plans, 0.0) if plans else None
    return {
        "blind_accuracy": task.blind_accuracy,
        "min_calls": None if best is None else float(best.calls),
        "tool_accuracy": None if best is None else best.accuracy,
        "plans": plans,
    }


def best_plan(plans: Sequence[PricedPlan], lam: float) -> PricedPlan:
    """The plan with the largest accuracy − λ · cost, and of several such the shortest.

    Args:
        plans: At least one.
        lam: Accuracy that one unit of price is worth. At 0 this is the most accurate plan.
    """
    return max(plans, key=lambda plan: (round(_value(plan, lam), _DIGITS), -plan.calls, -plan.cost))


def optimal_value(plans: Sequence[PricedPlan], lam: float = DEFAULT_LAM) -> float:
    """V*(λ): the largest accuracy − λ · cost of any plan.

    >>> plans = [PricedPlan(calls=0, cost=0.0, accuracy=0.25), PricedPlan(calls=1, cost=1.0, accuracy=1.0)]
    >>> optimal_value(plans, 0.1), optimal_value(plans, 2.0)
    (0.9, 0.25)
    """
    return _value(best_plan(plans, lam), lam)


def regret(outcome: Outcome, lam: float = DEFAULT_LAM) -> float:
    """V*(λ) of the task minus the utility of an episode, by the true verdict; its plans must be known.

    A lucky guess has a negative regret; the expectation over episodes is never below 0.
    """
    return optimal_value(outcome.plans, lam) - (float(outcome.truly_correct) - lam * outcome.tool_cost)


def checked_lam(lam: float) -> float:
    """λ, if it can be one.

    Raises:
        ConfigError: It is not a number of 0 or more.
    """
    if isinstance(lam, bool) or not isinstance(lam, int | float) or not 0 <= lam < math.inf:
        raise ConfigError(f"lam, the accuracy that a unit of price is worth, must be 0 or more, actually: {lam!r}")
    return float(lam)


def _value(plan: PricedPlan, lam: float) -> float:
    return plan.accuracy - lam * plan.cost
