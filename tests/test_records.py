"""Records: the outcome and its info."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from metis_gym.backstage import visible_info
from metis_gym.records import Message, Necessity, Outcome, PricedPlan, Role

SCORES = st.floats(0, 1, allow_nan=False)
COUNTS = st.integers(0, 50)
PLANS = st.builds(PricedPlan, calls=COUNTS, cost=st.floats(0, 100, allow_nan=False), accuracy=SCORES)
OUTCOMES = st.builds(
    Outcome,
    task_id=st.text(max_size=20),
    family=st.text(max_size=10),
    answer_score=SCORES,
    format_score=SCORES,
    tool_calls=COUNTS,
    tool_cost=st.floats(0, 100, allow_nan=False),
    tool_errors=COUNTS,
    turns=COUNTS,
    tokens=COUNTS,
    truncated=st.booleans(),
    scored=st.booleans(),
    necessity=st.sampled_from(Necessity),
    tool_calls_by=st.dictionaries(st.sampled_from(["python", "text_search", "invalid"]), COUNTS),
    tool_benefit=st.none() | st.floats(-1, 1, allow_nan=False),
    true_answer_score=st.none() | SCORES,
    blind_accuracy=st.none() | SCORES,
    min_calls=st.none() | st.integers(0, 50).map(float),
    tool_accuracy=st.none() | SCORES,
    plans=st.lists(PLANS, max_size=4).map(tuple),
)


@given(OUTCOMES)
def test_an_info_loses_nothing(outcome):
    info = outcome.to_info()
    assert Outcome.from_info(info) == outcome
    assert {type(value) for value in info.values()} <= {float, bool, str}


@given(OUTCOMES)
def test_designs_and_agents_see_no_worth(outcome):
    hidden = {"true_answer_score": None, "blind_accuracy": None, "min_calls": None, "tool_accuracy": None, "plans": ()}
    hidden["necessity"] = Necessity.UNKNOWN
    seen = outcome.for_designs
    assert {name: getattr(seen, name) for name in hidden} == hidden
    assert dataclasses.replace(outcome, **hidden) == seen, "and all else as it is"
    assert not [key for key in visible_info(outcome.to_info()) for name in hidden if key.startswith(name)]


@given(OUTCOMES)
def test_correctness_is_any_credit(outcome):
    assert outcome.correct == (outcome.answer_score > 0) == outcome.to_info()["correct"]


def test_redundant_calls_are_those_where_none_is_needed():
    kinds = {
        necessity: Outcome(task_id="", answer_score=0, format_score=0, tool_calls=3, necessity=necessity)
        for necessity in Necessity
    }
    redundant = {necessity: outcome.to_info()["redundant_tool_calls"] for necessity, outcome in kinds.items()}
    assert redundant == {Necessity.NONE: 3.0, Necessity.PARTIAL: 0.0, Necessity.REQUIRED: 0.0, Necessity.UNKNOWN: 0.0}


def test_roles_are_those_of_chat_models():
    assert [str(Message(role=role, text="").role) for role in Role] == ["system", "user", "assistant"]
