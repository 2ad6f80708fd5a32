"""Groups laid end to end: whose positions are whose, who is scored, and what an outcome cannot be."""

import numpy as np
import pytest

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch, check_outcome


def episode(right=1.0, calls=0, task="t", **more):
    return Outcome(**{"task_id": task, "answer_score": right, "format_score": 1.0, "tool_calls": calls} | more)


def test_groups_of_any_sizes_keep_their_own_positions():
    sizes = (2, 1, 4, 3)
    groups = [[episode(calls=10 * number + i, task=str(number)) for i in range(n)] for number, n in enumerate(sizes)]
    batch = Batch.of(groups)
    assert [one.tool_calls for one in batch.outcomes] == [0, 1, 10, 20, 21, 22, 23, 30, 31, 32]
    assert [batch.outcomes[group] for group in batch.slices] == [tuple(group) for group in groups]
    everyone = np.ones(10, dtype=np.bool_)
    assert [members.tolist() for members in batch.members(everyone)] == [[0, 1], [2], [3, 4, 5, 6], [7, 8, 9]]
    assert [members.tolist() for members in batch.members(np.arange(10) % 3 == 0)] == [[0], [], [3, 6], [9]]


def test_unscored_episodes_are_not_asked_and_have_0():
    batch = Batch.of([[episode(calls=3), episode(calls=5, scored=False)], [episode(calls=7, right=0.0)]])
    assert batch.scored_N.tolist() == [True, False, True]
    assert batch.correct_N.tolist() == [True, False, False]
    asked = []

    def score(outcome):
        asked.append(outcome.tool_calls)
        return outcome.tool_calls

    assert batch.each(score).tolist() == [3.0, 0.0, 7.0]
    assert asked == [3, 7]
    assert batch.by_group(lambda outcomes: np.array([one.tool_calls + 1.0 for one in outcomes])).tolist() == [4, 0, 8]
    assert batch.each(score).dtype == np.float64
    assert batch.scored_N.dtype == batch.correct_N.dtype == np.bool_


@pytest.mark.parametrize(
    ("field", "least", "largest"),
    [
        ("answer_score", 0.0, 1.0),
        ("format_score", 0.0, 1.0),
        ("tool_calls", 0, 10**9),
        ("tool_cost", 0.0, 1e300),
        ("turns", 0, 10**9),
        ("tokens", 0, 10**9),
    ],
)
def test_what_numbers_may_be_is_exact_and_said(field, least, largest):
    for value in (least, largest):
        check_outcome(episode(**{field: value}))
    share = largest == 1.0
    limit = "from 0 to 1" if share else "of at least 0"
    wrong = [np.nextafter(least, -1), float("inf"), float("nan"), *([np.nextafter(1.0, 2.0)] if share else [])]
    for value in wrong:
        with pytest.raises(ConfigError, match=f"`{field}` of task 't' to be a number {limit}"):
            check_outcome(episode(**{field: value}))
    Batch.of([[episode(**{field: -1, "scored": False})]])  # of what failed nothing is asked
