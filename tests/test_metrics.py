"""Metrics: definitions, intervals, what is left out."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.errors import ConfigError
from metis_gym.metrics import METRICS, by_family, summarise
from metis_gym.records import Necessity, Outcome


def outcome(correct=True, calls=0, necessity=Necessity.NONE, **fields):
    return Outcome(
        task_id="t", answer_score=float(correct), format_score=1.0, tool_calls=calls, necessity=necessity, **fields
    )


NONE, NEEDED = Necessity.NONE, Necessity.REQUIRED
EPISODES = [
    outcome(True, 0, NONE),
    outcome(True, 2, NONE),
    outcome(False, 0, NONE),
    outcome(True, 1, NEEDED),
    outcome(False, 0, NEEDED),
    outcome(True, 1, Necessity.UNKNOWN),
]


def test_definitions():
    found = summarise(EPISODES)
    expected = {
        "accuracy": 4 / 6,
        "accuracy_none": 2 / 3,
        "accuracy_required": 1 / 2,
        "tool_rate": 3 / 6,
        "redundant_rate": 1 / 3,  # one of three that need none
        "tool_recall": 1 / 2,  # one of two that need one
        "tool_precision": 1 / 2,  # of two with a call and a known necessity, one needed it
        "tool_calls": 4 / 6,
        "tool_productivity": 4 / (6 + 4),  # right answers over episodes + calls
        "unscored": 0.0,
    }
    assert {name: found[name].mean for name in expected} == pytest.approx(expected)


def test_unscored_episodes_only_count_as_unscored():
    lost = [outcome(False, 9, NONE, scored=False)] * 6
    with_lost, without = summarise([*EPISODES, *lost]), summarise(EPISODES)
    assert with_lost["unscored"].mean == 0.5
    assert all(with_lost[name] == without[name] for name in METRICS)


def test_the_true_verdict_counts():
    noisy = dataclasses.replace(outcome(True), true_answer_score=0.0)
    assert summarise([noisy])["accuracy"].mean == 0.0


def test_what_nothing_speaks_for_is_no_number():
    recall = summarise([outcome()])["tool_recall"]
    assert recall.n == 0
    assert math.isnan(recall.mean)
    assert str(recall) == "–"


def test_shares_have_wilsons_interval():
    # Wilson 1927 for 8 of 10 at 95 %: (0.490, 0.943), as tables give it.
    estimate = summarise([outcome(True)] * 8 + [outcome(False)] * 2)["accuracy"]
    assert (estimate.low, estimate.high) == (pytest.approx(0.490, abs=5e-4), pytest.approx(0.943, abs=5e-4))
    certain = summarise([outcome(True)] * 20)["accuracy"]
    assert certain.high == 1.0
    assert certain.low < 0.9, "twenty of twenty is no proof of always"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from(list(Necessity))), min_size=1, max_size=30))
def test_every_mean_lies_in_its_interval(rows):
    for estimate in summarise([outcome(*row) for row in rows]).values():
        assert estimate.n == 0 or estimate.low - 1e-9 <= estimate.mean <= estimate.high + 1e-9


def test_reports_are_reproducible():
    assert repr(summarise(EPISODES)) == repr(summarise(EPISODES))


def test_families_are_apart():
    rows = [dataclasses.replace(outcome(True), family="b"), dataclasses.replace(outcome(False), family="a")]
    assert {family: row["accuracy"].mean for family, row in by_family(rows).items()} == {"a": 0.0, "b": 1.0}


@pytest.mark.parametrize(("outcomes", "confidence"), [([], 0.95), (EPISODES, 1.0), (EPISODES, 0.0)])
def test_wrong_arguments_raise(outcomes, confidence):
    with pytest.raises(ConfigError):
        summarise(outcomes, confidence=confidence)
