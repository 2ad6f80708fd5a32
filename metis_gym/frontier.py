"""The frontier of accuracy and calls: what the best policy reaches, for every price of a call."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metis_gym.records import Outcome, PricedPlan
from metis_gym.worth import best_plan

__all__ = ["FrontierPoint", "accuracy_at", "agent_point", "optimal_frontier"]


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """What a policy reaches on some episodes.

    Attributes:
        lam: For the optimum, a λ for which it is the best policy, the middle of all such; None for an agent.
        calls: Calls per episode.
        cost: Price of the calls per episode.
        accuracy: Share of right answers: for the optimum in expectation, for an agent as it was.
    """

    lam: float | None
    calls: float
    cost: float
    accuracy: float


def optimal_frontier(outcomes: Iterable[Outcome]) -> tuple[FrontierPoint, ...]:
    """The corners of the frontier over the tasks of some episodes, from the most accurate policy to the cheapest.

    The best policy changes at finitely many λ only. Between two corners lie the policies that mix them.

    Args:
        outcomes: Episodes; those without known plans and unscored ones are left out.

    >>> plans = PricedPlan(calls=0, cost=0.0, accuracy=0.25), PricedPlan(calls=1, cost=1.0, accuracy=1.0)
    >>> outcome = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=1, plans=plans)
    >>> [(point.calls, point.accuracy) for point in optimal_frontier([outcome])]
    [(1.0, 1.0), (0.0, 0.25)]
    """
    tasks = Counter(outcome.plans for outcome in _known(outcomes))
    if not tasks:
        return ()
    turns = sorted({slope for plans in tasks for slope in _slopes(plans)})
    between = [(low + high) / 2 for low, high in itertools.pairwise(turns)]
    lams = [turns[0] / 2, *between, 2 * turns[-1]] if turns else [0.0]
    points = [_point(tasks, lam) for lam in lams]
    return tuple(
        point for number, point in enumerate(points) if number == 0 or _place(point) != _place(points[number - 1])
    )


def agent_point(outcomes: Iterable[Outcome]) -> FrontierPoint | None:
    """What an agent reached on the episodes whose plans are known, by the true verdict; None if there are none."""
    known = _known(outcomes)
    if not known:
        return None
    rows = np.array([(outcome.tool_calls, outcome.tool_cost, outcome.truly_correct) for outcome in known], np.float64)
    calls, cost, accuracy = rows.mean(axis=0).tolist()
    return FrontierPoint(lam=None, calls=calls, cost=cost, accuracy=accuracy)


def accuracy_at(frontier: Sequence[FrontierPoint], cost: float) -> float:
    """The best accuracy at a price of calls per episode, between the corners by mixing.

    Args:
        frontier: As `optimal_frontier` gives it, with at least one point.
        cost: Price of the calls per episode.
    """
    rising = sorted(frontier, key=lambda point: point.cost)
    return float(np.interp(cost, [point.cost for point in rising], [point.accuracy for point in rising]))


def _known(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.scored and outcome.plans]


def _slopes(plans: Sequence[PricedPlan]) -> Iterable[float]:
    """The λ, above 0, at which two plans are worth the same."""
    for one in plans:
        for other in plans:
            if other.cost > one.cost and other.accuracy > one.accuracy:
                yield (other.accuracy - one.accuracy) / (other.cost - one.cost)


def _point(tasks: Mapping[tuple[PricedPlan, ...], int], lam: float) -> FrontierPoint:
    chosen = [(best_plan(plans, lam), count) for plans, count in tasks.items()]
    weights = np.array([count for _, count in chosen], np.float64)
    rows = np.array([(plan.calls, plan.cost, plan.accuracy) for plan, _ in chosen], np.float64)
    calls, cost, accuracy = (weights @ rows / weights.sum()).tolist()
    return FrontierPoint(lam=lam, calls=calls, cost=cost, accuracy=accuracy)


def _place(point: FrontierPoint) -> tuple[float, float]:
    return point.cost, point.accuracy
