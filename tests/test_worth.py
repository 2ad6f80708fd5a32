"""What tool calls are worth: plans under noise, prices, regret, the frontier; nothing of it reaches a design."""

import itertools
import math

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_agents.rl.batch import _compare
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.frontier import accuracy_at, agent_point, optimal_frontier
from metis_gym.metrics import means, metrics_at, regret_curve, summarise
from metis_gym.records import GoldAnswer, Necessity, Outcome, Plan, PricedPlan, Task
from metis_gym.worth import best_plan, noisy_plans, offered_plans, optimal_value, regret

BLIND, LOOK, TWO = (
    PricedPlan(calls=calls, cost=cost, accuracy=accuracy)
    for calls, cost, accuracy in ((0, 0, 0.25), (1, 2, 0.5), (2, 3, 1))
)


def task(n, accuracy):
    plans = (Plan(calls={}, accuracy=1 / n), Plan(calls={"python": 1}, accuracy=accuracy))
    letters = tuple("ABCDEFGH"[:n])
    gold = GoldAnswer(value="A")
    return Task(
        task_id="t",
        family="f",
        question="?",
        images=(),
        gold=gold,
        alternatives=letters,
        blind_accuracy=1 / n,
        plans=plans,
    )


def outcome(correct, calls, plans=(BLIND, LOOK, TWO), **fields):
    fields = {"tool_cost": float(calls), "necessity": Necessity.REQUIRED, **fields}
    return Outcome(
        task_id="t", answer_score=float(correct), format_score=1.0, tool_calls=calls, plans=tuple(plans), **fields
    )


def enumerated(classes, h):
    """The best reply's accuracy, by going through every truth, every draw and every reply."""
    n = len(classes)
    joint = {}
    for truth in range(n):
        for shown in range(n):
            chance = (1 - h if shown == truth else h / (n - 1)) / n
            joint[classes[shown], truth] = joint.get((classes[shown], truth), 0.0) + chance
    seen = set(classes)
    return sum(max(joint[one, truth] for truth in range(n)) for one in seen)


@given(st.integers(2, 6).flatmap(lambda n: st.lists(st.integers(0, n - 1), min_size=n, max_size=n)), st.floats(0, 1))
def test_a_noisy_plan_is_as_accurate_as_enumeration_says(classes, h):
    n, told = len(classes), len(set(classes))
    noisy = noisy_plans(task(n, told / n), h)
    assert noisy[0].accuracy == 1 / n, "an answer at once asks no tool"
    assert noisy[1].accuracy == pytest.approx(enumerated(classes, h), abs=1e-12)


@pytest.mark.parametrize(("n", "h", "accuracy"), [(4, 0.2, 0.8), (2, 0.2, 0.8), (2, 0.9, 0.9), (4, 1.0, 1 / 3)])
def test_a_plan_that_tells_all_answers(n, h, accuracy):
    # max(1 - h, h / (n - 1)): what is shown, or else one of the others.
    assert noisy_plans(task(n, 1.0), h)[1].accuracy == pytest.approx(accuracy)


def test_one_answer_left_is_not_touched_by_noise():
    assert noisy_plans(task(1, 1.0), 0.5) == task(1, 1.0).plans


def test_an_environment_offers_what_its_tools_and_turns_allow():
    plans = [Plan(calls=calls, accuracy=1.0) for calls in ({}, {"python": 1}, {"python": 1, "text_search": 2})]
    prices = {"python": 0.5, "text_search": 2.0}
    offered = offered_plans(plans, prices, prices, 3)
    assert [(plan.calls, plan.cost) for plan in offered] == [(0, 0.0), (1, 0.5), (3, 4.5)]
    assert len(offered_plans(plans, prices, prices, 2)) == 2
    assert len(offered_plans(plans, prices, ["text_search"], 9)) == 1


@pytest.mark.parametrize(("lam", "best"), [(0.0, TWO), (0.2, TWO), (0.249, TWO), (0.26, BLIND), (9.0, BLIND)])
def test_the_best_plan_depends_on_the_price(lam, best):
    # TWO: 1 - 3 λ; LOOK: .5 - 2 λ; BLIND: .25. LOOK is never best: at λ = .125 it is .25, and TWO .625.
    assert best_plan([BLIND, LOOK, TWO], lam) == best
    assert optimal_value([BLIND, LOOK, TWO], lam) == pytest.approx(best.accuracy - lam * best.cost)


def test_of_equal_plans_the_shortest_is_best():
    even = PricedPlan(calls=1, cost=1.0, accuracy=0.35)
    assert best_plan([even, BLIND], 0.1) == BLIND  # .35 - .1 = .25


def test_regret_excess_and_missing_calls():
    rows = [outcome(True, 2, tool_cost=3.0), outcome(False, 5, tool_cost=5.0), outcome(True, 0)]
    found = means(rows, ["regret", "excess_calls", "missing_calls"])
    # V*(.1) = 1 - .3 = .7. Utilities: 1 - .3, 0 - .5, 1. Regrets: 0, 1.2, -.3.
    assert found == pytest.approx({"regret": 0.3, "excess_calls": 1.0, "missing_calls": 2 / 3})
    # At λ = .3 it is best to answer at once: V* = .25, utilities .1, -1.5, 1.
    at = means(rows, ["regret", "excess_calls", "missing_calls"], lam=0.3)
    assert at == pytest.approx({"regret": (0.15 + 1.75 - 0.75) / 3, "excess_calls": 7 / 3, "missing_calls": 0.0})
    assert summarise(rows, lam=0.3)["regret"].mean == pytest.approx(at["regret"])
    curve = regret_curve(rows, [0.1, 0.3])
    assert [curve[lam].mean for lam in (0.1, 0.3)] == pytest.approx([found["regret"], at["regret"]])


def test_regret_is_by_the_true_verdict():
    assert regret(outcome(True, 0, true_answer_score=0.0), 0.1) == pytest.approx(0.7)


def test_tasks_whose_plans_are_unknown_have_no_regret():
    rows = [outcome(True, 3, plans=()), outcome(True, 2, tool_cost=3.0), outcome(False, 0, scored=False)]
    found = summarise(rows)["regret"]
    assert (found.n, found.mean) == (1, pytest.approx(0.0))
    assert math.isnan(means(rows[:1], ["regret"])["regret"])


def test_partial_tasks_count_in_regret_alone():
    partial = outcome(True, 2, necessity=Necessity.PARTIAL)
    found = summarise([partial])
    counted = {
        name for name in ("redundant_rate", "tool_recall", "tool_precision", "accuracy_partial") if found[name].n
    }
    assert counted == {"accuracy_partial"}
    assert found["regret"].n == 1


@given(st.floats(0, 3), st.integers(0, 2))
def test_no_policy_has_a_negative_expected_regret(lam, choice):
    """An agent that follows any plan, right as often as the plan says, loses 0 or more on average."""
    plan = (BLIND, LOOK, TWO)[choice]
    lost = [regret(outcome(right, plan.calls, tool_cost=plan.cost), lam) for right in (True, False)]
    assert plan.accuracy * lost[0] + (1 - plan.accuracy) * lost[1] >= -1e-9


@pytest.mark.parametrize("lam", [-0.1, math.inf, math.nan, True, "0.1"])
def test_a_lam_that_cannot_be_right(lam):
    with pytest.raises(ConfigError, match="lam, the accuracy that a unit of price is worth"):
        metrics_at(lam)


def test_the_frontier_holds_every_best_policy():
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(12):
        extra = [
            PricedPlan(calls=k, cost=float(k * rng.uniform(0.5, 2)), accuracy=float(rng.uniform(0.3, 1)))
            for k in (1, 2, 3)
        ]
        rows.append(outcome(True, 1, plans=[BLIND, *extra]))
    frontier = optimal_frontier(rows)
    reached = {
        (round(sum(plan.cost for plan in best) / 12, 9), round(sum(plan.accuracy for plan in best) / 12, 9))
        for best in ([best_plan(row.plans, lam) for row in rows] for lam in np.geomspace(1e-4, 1e4, 4_000))
    }
    corners = {(round(point.cost, 9), round(point.accuracy, 9)) for point in frontier}
    assert reached <= corners
    assert all(one.cost >= two.cost and one.accuracy >= two.accuracy for one, two in itertools.pairwise(frontier))
    middle = (frontier[0].cost + frontier[1].cost) / 2
    assert accuracy_at(frontier, middle) == pytest.approx((frontier[0].accuracy + frontier[1].accuracy) / 2)


def test_the_agents_point_stands_beside_it():
    point = agent_point([outcome(True, 2), outcome(False, 1), outcome(True, 9, plans=())])
    assert (point.calls, point.accuracy, point.lam) == (1.5, 0.5, None)
    assert agent_point([outcome(True, 9, plans=())]) is None
    assert optimal_frontier([]) == ()


class Spy(type(rewards.make("accuracy"))):
    """A design that notes what it is shown."""

    name = "spy"
    seen: list = []

    def reward(self, outcome):
        self.seen.append(outcome)
        return super().reward(outcome)

    def components(self, outcome):
        self.seen.append(outcome)
        return super().components(outcome)

    def channels(self, groups):
        self.seen.extend(outcome for group in groups for outcome in group)
        return super().channels(groups)


def test_no_design_is_shown_what_tools_are_worth():
    Spy.seen.clear()
    env = gym.make("MetisVQA-Discrete-v0", reward=f"{__name__}:Spy", disable_env_checker=True)
    env.reset(seed=1)
    *_, info = env.step(0)
    _compare(Spy(), [[Outcome.from_info(info), Outcome.from_info(info)]])
    assert len(Spy.seen) >= 4
    assert info["blind_accuracy_known"]
    assert info["plans"]
    assert all(outcome == outcome.for_designs for outcome in Spy.seen)


@pytest.mark.parametrize("name", rewards.available())
def test_no_design_reads_what_tools_are_worth(name):
    told = [outcome(right, calls, tool_benefit=0.1, blind_accuracy=0.25) for right in (1, 0) for calls in (0, 1, 3)]
    plain = [row.for_designs for row in told]
    one, other = (rewards.make(name).channels([rows]) for rows in (told, plain))
    for ours, theirs in zip(one, other, strict=True):
        assert np.array_equal(ours.advantages, theirs.advantages)


def test_an_info_says_what_tools_are_worth():
    env = gym.make("MetisVQA-Discrete-v0", prices={"python": 2.0}, required_share=1.0, tool_noise=0.2)
    _, info = env.reset(seed=1)
    assert (info["blind_accuracy"], info["min_calls"], info["tool_accuracy"]) == (0.25, 1.0, pytest.approx(0.8))
    assert Outcome.from_info(info).plans == (
        PricedPlan(calls=0, cost=0.0, accuracy=0.25),
        PricedPlan(calls=1, cost=2.0, accuracy=pytest.approx(0.8)),
    )
    env = gym.make("MetisVQA-Discrete-v0", required_share=1.0, max_turns=0)
    _, info = env.reset(seed=1)
    assert (info["min_calls"], info["tool_accuracy"]) == (0.0, 0.25), "who may not call has no plan with a call"
