"""The base estimators against REWARDS' numbers and against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.errors import UnknownNameError
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch
from metis_gym.rewards.estimators import ESTIMATORS, dr_grpo, grpo, opo, reinforce_pp, rloo
from metis_gym.rewards.statistics import Scale

EXACT = Scale(eps=0.0)
RIGHT_RIGHT_WRONG_WRONG = np.array([1.0, 1.0, 0.0, 0.0])


def batch_of(*sizes, tokens=None, unscored=()):
    tokens = tokens or [7] * sum(sizes)
    everyone = [
        Outcome(
            task_id="t", answer_score=1.0, format_score=1.0, tool_calls=0, tokens=tokens[i], scored=i not in unscored
        )
        for i in range(sum(sizes))
    ]
    ends = np.cumsum(sizes)
    return Batch.of([everyone[end - size : end] for size, end in zip(sizes, ends, strict=True)])


def estimate(estimator, scores, batch, scale=EXACT):
    return estimator(np.asarray(scores, dtype=float), batch.scored_N, batch, scale)


def test_numbers_on_two_right_two_wrong():
    # mean .5, deviations ±.5; std = .57735 (ddof 1) or .5 (ddof 0); G/(G − 1) = 4/3.
    batch = batch_of(4)
    for estimator, scale, value in (
        (grpo, EXACT, 0.8660254037844387),
        (grpo, Scale(ddof=0, eps=0.0), 1.0),
        (dr_grpo, EXACT, 0.5),
        (rloo, EXACT, 2 / 3),
        (opo, EXACT, 0.5),
        (reinforce_pp, EXACT, 0.8660254037844387),
    ):
        advantages = estimate(estimator, RIGHT_RIGHT_WRONG_WRONG, batch, scale)
        np.testing.assert_allclose(advantages, [value, value, -value, -value], rtol=1e-14)


def test_published_eps_is_a_millionth():
    # .5 / (.5773502… + 1e-6)
    advantages = estimate(grpo, RIGHT_RIGHT_WRONG_WRONG, batch_of(4), Scale())
    assert advantages[0] == pytest.approx(0.5 / (np.sqrt(1 / 3) + 1e-6), rel=1e-14)


def test_opo_weighs_the_baseline_by_length():
    # baseline = (10·1 + 30·0)/(10 + 30) = .25
    advantages = estimate(opo, [1.0, 0.0], batch_of(2, tokens=[10, 30]))
    np.testing.assert_allclose(advantages, [0.75, -0.25], rtol=1e-14)


def test_opo_without_lengths_is_the_plain_mean():
    np.testing.assert_allclose(estimate(opo, [1.0, 0.0], batch_of(2, tokens=[0, 0])), [0.5, -0.5], rtol=1e-14)


@given(scores=st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_rloo_is_the_mean_of_the_others(scores):
    advantages = estimate(rloo, scores, batch_of(len(scores)))
    for i, score in enumerate(scores):
        others = scores[:i] + scores[i + 1 :]
        assert advantages[i] == pytest.approx(score - sum(others) / len(others), abs=1e-12)


def test_groups_are_compared_within_themselves_only():
    advantages = estimate(grpo, [1.0, 0.0, 5.0, 5.0, 9.0], batch_of(2, 2, 1))
    np.testing.assert_allclose(advantages, [0.5**0.5, -(0.5**0.5), 0, 0, 0], rtol=1e-14)


def test_reinforce_pp_whitens_over_the_batch():
    # mean 2.5, deviations −1.5 … 1.5, std (ddof 1) = sqrt(5/3)
    advantages = estimate(reinforce_pp, [1.0, 2.0, 3.0, 4.0], batch_of(2, 2))
    np.testing.assert_allclose(advantages, np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(5 / 3), rtol=1e-14)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_every_estimator_ignores_ties_singletons_and_strangers(name):
    estimator = ESTIMATORS.get(name)
    assert (estimate(estimator, [1 / 3] * 7, batch_of(7)) == 0.0).all()
    assert estimate(estimator, [1.0], batch_of(1)).tolist() == [0.0]
    batch = batch_of(3, unscored={1})
    advantages = estimate(estimator, [1.0, 1000.0, 0.0], batch)
    assert advantages[1] == 0.0
    np.testing.assert_allclose(advantages[[0, 2]], estimate(estimator, [1.0, 0.0], batch_of(2)), rtol=0)


def test_unknown_estimator_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'rloo'"):
        ESTIMATORS.get("rlo")
