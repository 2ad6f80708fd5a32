"""HDPO behind a gate: what opens and closes it, and that an open gate is HDPO to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome


def episode(answer, calls, task="t", **more):
    return Outcome(task_id=task, answer_score=float(answer), format_score=1.0, tool_calls=calls, **more)


def group(task, direct, called):
    """Episodes of a task, by their verdicts without and with a call."""
    return [episode(right, 0, task) for right in direct] + [episode(right, 1, task) for right in called]


def test_the_gap_by_hand():
    # Weights n_0·n_1/G: 1·3/4 and 2·2/4; gaps 0 − 2/3 and 1/2 − 1. The third group says nothing: all called.
    design = rewards.make("hdpo_gap")
    design.channels([group("a", [0], [1, 1, 0]), group("b", [1, 0], [1, 1]), group("c", [], [1, 0])])
    sums = 0.75 * (-2 / 3) + 1.0 * (-0.5)
    assert design.gap == pytest.approx(sums / (0.75 + 1.0 + 2.0), rel=1e-15)
    # A second batch: the sums of the first have decayed.
    design.channels([group("a", [1], [0])])
    assert design.gap == pytest.approx((0.97 * sums + 0.5) / (0.97 * 1.75 + 0.5 + 2.0), rel=1e-15)


def test_worse_direct_answers_close_the_gate_and_equal_ones_open_it_again():
    design = rewards.make("hdpo_gap", decay=0.5)
    bad = [group(f"bad {number}", [0, 0, 1, 0], [1, 1, 1, 0]) for number in range(8)]
    good = [group(f"good {number}", [1, 1, 0, 1], [1, 1, 1, 0]) for number in range(8)]
    _, efficiency = design.channels(bad)
    assert design.gap < -0.1
    assert not efficiency.advantages.any()
    assert efficiency.members.sum() == 32  # whom it compares does not depend on the gate
    for _ in range(4):
        accuracy, efficiency = design.channels(good)
    assert design.gap > -0.1
    ours, theirs = (accuracy, efficiency), rewards.make("hdpo").channels(good)
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.advantages, reference.advantages)


episodes = st.tuples(st.booleans(), st.integers(0, 3), st.booleans())


@given(st.lists(st.lists(episodes, min_size=1, max_size=6), min_size=1, max_size=5))
def test_with_the_widest_margin_it_is_hdpo(drawn):
    groups = [
        [episode(right, calls, f"task {number}", scored=scored) for right, calls, scored in members]
        for number, members in enumerate(drawn)
    ]
    design = rewards.make("hdpo_gap", margin=1)
    for mine, reference in zip(design.channels(groups), rewards.make("hdpo").channels(groups), strict=True):
        np.testing.assert_array_equal(mine.advantages, reference.advantages)
        np.testing.assert_array_equal(mine.members, reference.members)
    assert -1 <= design.gap <= 1


def test_what_infrastructure_failed_says_nothing():
    design = rewards.make("hdpo_gap")
    design.channels([[episode(0, 0, scored=False), episode(1, 1), episode(1, 2)]])
    assert design.state_dict() == {"gaps": 0.0, "weights": 0.0}


def test_its_state_goes_on_and_damaged_ones_are_refused():
    design, other = rewards.make("hdpo_gap"), rewards.make("hdpo_gap")
    design.channels([group("a", [0, 1], [1, 1])])
    other.load_state_dict(design.state_dict())
    assert other.gap == design.gap != 0
    for damaged in ({"gaps": float("nan"), "weights": 1.0}, {"gaps": 2.0, "weights": 1.0}, {"gaps": 0, "weights": "1"}):
        with pytest.raises(ConfigError, match="sums of gaps"):
            other.load_state_dict(damaged)
    assert other.gap == design.gap
