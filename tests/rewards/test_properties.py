"""What must hold for any groups at all."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_gym import rewards
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch
from metis_gym.rewards.estimators import ESTIMATORS
from metis_gym.rewards.statistics import Scale


@st.composite
def outcomes(draw, task_id="t", scored=None):
    return Outcome(
        task_id=task_id,
        answer_score=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0, 1.0])),
        format_score=draw(st.sampled_from([0.0, 1.0, 1.0])),
        tool_calls=draw(st.integers(0, 12)),
        turns=draw(st.integers(1, 13)),
        tokens=draw(st.integers(0, 5000)),
        scored=draw(st.sampled_from([True, True, True, False])) if scored is None else scored,
        tool_benefit=draw(st.floats(-1, 1)),
    )


@st.composite
def batches(draw, scored=None):
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    return [[draw(outcomes(f"task {i}", scored)) for _ in range(size)] for i, size in enumerate(sizes)]


NAMES = st.sampled_from(rewards.available())


@given(name=NAMES, groups=batches())
@settings(max_examples=300)
def test_channels_are_finite_and_leave_strangers_out(name, groups):
    everyone = [outcome for group in groups for outcome in group]
    scored = np.array([outcome.scored for outcome in everyone])
    for channel in rewards.make(name).channels(groups):
        assert channel.advantages.shape == channel.members.shape == (len(everyone),)
        assert (channel.advantages.dtype, channel.members.dtype) == (np.float64, np.bool_)
        assert np.isfinite(channel.advantages).all()
        assert (channel.advantages[~channel.members] == 0.0).all()
        assert not (channel.members & ~scored).any()


@given(name=NAMES, groups=batches())
@settings(max_examples=300)
def test_an_unscored_episode_changes_nothing(name, groups):
    without = [kept for group in groups if (kept := [outcome for outcome in group if outcome.scored])]
    scored = np.array([outcome.scored for group in groups for outcome in group])
    if not without:
        return
    for one, other in zip(rewards.make(name).channels(groups), rewards.make(name).channels(without), strict=True):
        np.testing.assert_array_equal(one.advantages[scored], other.advantages)


@given(name=NAMES, groups=batches(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_episodes_of_a_group_may_come_in_any_order(name, groups, seed):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(group)) for group in groups]
    shuffled = [[group[i] for i in order] for group, order in zip(groups, orders, strict=True)]
    starts = np.cumsum([0, *map(len, groups)])
    positions = np.concatenate([start + order for start, order in zip(starts, orders, strict=False)])
    for one, other in zip(rewards.make(name).channels(groups), rewards.make(name).channels(shuffled), strict=True):
        np.testing.assert_allclose(other.advantages, one.advantages[positions], rtol=1e-12, atol=1e-14)


@given(name=NAMES, one=outcomes(scored=True), size=st.integers(1, 16))
@settings(max_examples=200)
def test_identical_episodes_are_exactly_tied(name, one, size):
    for channel in rewards.make(name).channels([[one] * size]):
        assert (channel.advantages == 0.0).all()


@given(name=NAMES, one=outcomes(), groups=batches())
@settings(max_examples=200)
def test_a_saved_design_goes_on_as_if_nothing_had_happened(name, one, groups):
    design, resumed = rewards.make(name), rewards.make(name)
    design.channels(groups)
    resumed.load_state_dict(json.loads(json.dumps(design.state_dict())))
    assert resumed.state_dict() == design.state_dict()
    assert resumed.reward(one) == design.reward(one)
    for ours, theirs in zip(design.channels(groups), resumed.channels(groups), strict=True):
        assert ours.advantages.tobytes() == theirs.advantages.tobytes()
    assert resumed.state_dict() == design.state_dict()


@given(
    estimator=st.sampled_from(ESTIMATORS.names()),
    scores=st.lists(st.integers(-8, 8), min_size=1, max_size=12),
    slope=st.sampled_from([0.25, 0.5, 2.0, 3.0, 10.0]),
    shift=st.integers(-5, 5),
)
def test_affine_maps_of_the_scores(estimator, scores, slope, shift):
    # Normalised estimators do not see slope and shift; the others scale with the slope.
    one = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=0, tokens=5)
    batch, scores_N = Batch.of([[one] * len(scores)]), np.array(scores, dtype=float)
    compare = ESTIMATORS.get(estimator)
    plain = compare(scores_N, batch.scored_N, batch, Scale(eps=0.0))
    mapped = compare(slope * scores_N + shift, batch.scored_N, batch, Scale(eps=0.0))
    factor = 1.0 if estimator in ("grpo", "reinforce_pp") else slope
    np.testing.assert_allclose(mapped, factor * plain, rtol=1e-9, atol=1e-12)
    assert np.abs(plain.sum()) < 1e-12 * len(scores) * max(1.0, np.abs(plain).max())


@given(groups=batches())
@settings(max_examples=300)
def test_a_wrong_episode_never_gains_by_efficiency(groups):
    everyone = [outcome for group in groups for outcome in group]
    _, efficiency = rewards.make("hdpo").channels(groups)
    qualifying = np.array([outcome.scored and outcome.correct for outcome in everyone])
    assert (efficiency.advantages[~qualifying] == 0.0).all()
    assert (efficiency.members == qualifying).all()


@given(groups=batches())
@settings(max_examples=300)
def test_efficiency_prefers_fewer_calls_and_sums_to_nothing(groups):
    _, efficiency = rewards.make("hdpo").channels(groups)
    start = 0
    for group in groups:
        inside = slice(start, start + len(group))
        start += len(group)
        correct = [i for i, outcome in enumerate(group) if outcome.scored and outcome.correct]
        advantages_q = efficiency.advantages[inside][correct]
        assert abs(advantages_q.sum()) < 1e-12
        if len(correct) < 2:
            assert (efficiency.advantages[inside] == 0.0).all()
        for i, a in zip(correct, advantages_q, strict=True):
            for j, b in zip(correct, advantages_q, strict=True):
                assert (a > b) == (group[i].tool_calls < group[j].tool_calls)


@given(groups=batches(scored=True))
def test_without_a_format_leak_the_channels_are_orthogonal(groups):
    kept = [
        [dataclasses.replace(o, format_score=1.0, answer_score=float(o.correct)) for o in group] for group in groups
    ]
    accuracy, efficiency = rewards.make("hdpo").channels(kept)
    # A_acc is constant on Q, and A_tool sums to 0 there.
    assert abs((accuracy.advantages * efficiency.advantages).sum()) < 1e-12


@given(groups=batches(), w_tool=st.floats(0, 10))
def test_the_accuracy_channel_does_not_know_the_efficiency_weight(groups, w_tool):
    accuracy, _ = rewards.make("hdpo", w_tool=w_tool).channels(groups)
    (grpo,) = rewards.make("accuracy").channels(groups)
    assert accuracy.advantages.tobytes() == grpo.advantages.tobytes()


@pytest.mark.parametrize("name", rewards.available())
def test_groups_are_judged_apart_unless_the_design_says_otherwise(name):
    # Whitening, saturation and a learned price look at the batch; everything else at one group.
    def episode(task, right, calls):
        return Outcome(task_id=task, answer_score=right, format_score=1.0, tool_calls=calls, tool_benefit=0.1, tokens=9)

    one = [episode("a", 1.0, 0), episode("a", 1.0, 2), episode("a", 0.0, 1)]
    two = [episode("b", 1.0, 5), episode("b", 0.0, 0), episode("b", 0.0, 3), episode("b", 1.0, 1)]
    alone = rewards.make(name).channels([one])[0].advantages
    together = rewards.make(name).channels([one, two])[0].advantages[:3]
    assert (alone.tobytes() == together.tobytes()) == (name not in ("gdpo", "sa_mrpo", "lagrangian"))
