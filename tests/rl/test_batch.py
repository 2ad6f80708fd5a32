"""Judging a batch: who is dropped, who is compared, who is skipped, who is counted; and cutting it into pieces."""

import dataclasses

import numpy as np
import pytest
from hdpo_toys import toy_groups, toy_rollout
from hypothesis import given
from hypothesis import strategies as st

from metis_agents.rl import (
    Count,
    Denominator,
    Rollout,
    check_groups,
    compute_channels,
    group_by_task,
    micro_batches,
    select,
    signal,
)
from metis_agents.rl.diagnostics import cosine, reversal_share
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity, Outcome
from metis_gym.rewards.contract import Channel

HDPO = rewards.make("hdpo")


def rollout(right, calls, task="t", tokens=3, scored=True):
    outcome = Outcome(task_id=task, answer_score=float(right), format_score=1.0, tool_calls=calls, scored=scored)
    return Rollout(outcome=outcome, model_tokens=tokens, payload=None)


def test_unscored_episodes_leave_before_anything_is_compared():
    groups = [
        [rollout(1, 0), rollout(1, 1), rollout(0, 9, scored=False)],
        [rollout(0, 0, "broken", scored=False)] * 2,
        [rollout(1, 2, "u"), rollout(0, 2, "u")],
    ]
    batch = compute_channels(groups, HDPO)
    assert [r.outcome.scored for r in batch.rollouts] == [True] * 4
    assert [group.tolist() for group in batch.groups] == [[0, 1], [2, 3]]
    assert (batch.diagnostics.scored, batch.diagnostics.unscored) == (4, 3)
    kept = [[r.outcome for r in groups[0][:2]], [r.outcome for r in groups[2]]]
    for ours, plain in zip(batch.channels, HDPO.channels(kept), strict=True):
        np.testing.assert_array_equal(ours.advantages, plain.advantages)


@pytest.mark.parametrize(("necessity", "is_told_apart"), [("none", True), ("required", False)])
def test_a_design_sees_what_it_asks_for_and_no_other_does(necessity, is_told_apart):
    group = [
        dataclasses.replace(one, outcome=dataclasses.replace(one.outcome, necessity=Necessity(necessity)))
        for one in (rollout(1, 0), rollout(1, 2))
    ]
    assert compute_channels([group], rewards.make("necessity_oracle")).channels[0].advantages.any() == is_told_apart
    blind = Sighted()
    compute_channels([group], blind)
    assert blind.seen == [Necessity.UNKNOWN] * 2


class Sighted(rewards.SingleReward):
    """Remembers what it was shown."""

    name = "sighted"

    def score(self, outcome):
        self.seen = [*getattr(self, "seen", []), outcome.necessity]
        return 0.0


def test_a_batch_without_a_scored_episode_is_empty():
    class Untouched(type(HDPO)):
        def channels(self, groups):
            raise AssertionError("nothing to compare")

    batch = compute_channels([[rollout(1, 0, scored=False)]], Untouched())
    assert (batch.rollouts, batch.groups, batch.channels) == ((), (), ())
    assert batch.needing_forward(np.arange(2)).size == 0
    assert batch.diagnostics.scored == batch.diagnostics.accuracy == 0


def test_signal_looks_at_channels_of_non_zero_weight_only():
    # All right, different calls: only efficiency has a signal. All wrong: none has.
    groups = [[rollout(1, 0), rollout(1, 1)], [rollout(0, 0, "u"), rollout(0, 5, "u")]]
    everyone = np.arange(4)
    assert compute_channels(groups, HDPO).needing_forward(everyone).tolist() == [0, 1]
    assert compute_channels(groups, rewards.make("hdpo:w_tool=0")).needing_forward(everyone).size == 0
    assert compute_channels(groups, rewards.make("accuracy")).needing_forward(everyone).size == 0


def test_an_episode_without_a_token_needs_no_forward_pass():
    batch = compute_channels([[rollout(1, 0, tokens=0), rollout(0, 1)]], HDPO)
    assert batch.needing_forward(np.arange(2)).tolist() == [1]
    assert batch.needing_forward(np.arange(2), regularised=True).tolist() == [1]


def test_counts_come_before_skipping():
    groups = [[rollout(1, 0, tokens=5), rollout(1, 1, tokens=7)], [rollout(0, 0, "u", tokens=11)] * 2]
    batch = compute_channels(groups, HDPO)
    counts = batch.counts(np.arange(4), Denominator.QUALIFYING)
    assert (counts.everyone, counts.by_channel) == (Count(34, 4), (Count(34, 4), Count(12, 2)))
    assert batch.counts(np.array([0, 2]), Denominator.ALL).by_channel == (Count(16, 2), Count(16, 2))
    assert (counts + counts).by_channel[1] == Count(24, 4)


@given(seed=st.integers(0, 2**32 - 1))
def test_counts_add_up_over_any_split(seed):
    random = np.random.default_rng(seed)
    batch = compute_channels(toy_groups(random, unscored=0.0), HDPO)
    order = random.permutation(len(batch.rollouts))
    cut = random.integers(0, len(order) + 1)
    for denominator in Denominator:
        whole = batch.counts(order, denominator)
        assert batch.counts(order[:cut], denominator) + batch.counts(order[cut:], denominator) == whole


def test_diagnostics_of_the_sign_reversal_example():
    # 14×C0, one C9, one W: the C9's total is .25 − .15·3.614784 < 0, one of fifteen correct ones.
    group = [rollout(1, 0)] * 14 + [rollout(1, 9), rollout(0, 0)]
    diagnostics = compute_channels([group], HDPO).diagnostics
    assert diagnostics.accuracy == 15 / 16
    assert diagnostics.sign_reversal == 1 / 15
    assert diagnostics.tool_rate == 1 / 16
    assert diagnostics.tool_calls == 9 / 16
    assert diagnostics.signal == 1.0
    assert abs(diagnostics.cosine) < 1e-15  # no format leak, so the channels are orthogonal
    below = compute_channels([group], rewards.make("hdpo", w_tool=0.069)).diagnostics
    assert below.sign_reversal == 0.0


def test_a_format_leak_shows_in_the_cosine():
    # ⟨A_acc, A_tool⟩ = .143592 with norms √3 (ddof 1, G = 4) and 1: cosine .082903.
    group = [rollout(1, 0), rollout(1, 1), rollout(0, 0), rollout(0, 1)]
    group[1] = dataclasses.replace(group[1], outcome=dataclasses.replace(group[1].outcome, format_score=0.0))
    assert compute_channels([group], HDPO).diagnostics.cosine == pytest.approx(0.143592 / 3**0.5, abs=1e-6)


def test_shares_of_nothing_are_zero():
    assert reversal_share([], []) == 0.0
    assert cosine(np.zeros(3), np.ones(3)) == 0.0


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ((), r"channels of different names, actually: \[\]"),
        ((("a", 2), ("a", 2)), r"different names, actually: \['a', 'a'\]"),
        ((("a", 3),), r"shape \(2,\) in channel 'a' of 'broken', actually: \(3,\)"),
    ],
)
def test_designs_that_break_their_promise_are_named(channels, message):
    class Broken(type(HDPO)):
        name = "broken"

        def channels(self, groups):
            return tuple(
                Channel(name=name, weight=1.0, advantages=np.zeros(size), members=np.ones(size, dtype=bool))
                for name, size in channels
            )

    with pytest.raises(ConfigError, match=message):
        compute_channels([[rollout(1, 0), rollout(0, 0)]], Broken())


def test_designs_that_give_nan_are_named():
    class Broken(type(HDPO)):
        name = "broken"

        def channels(self, groups):
            return (Channel(name="a", weight=1.0, advantages=np.array([np.nan]), members=np.ones(1, dtype=bool)),)

    with pytest.raises(ConfigError, match="finite weight and advantages in channel 'a' of 'broken'"):
        compute_channels([[rollout(1, 0)]], Broken())


def test_select_and_signal():
    channels = HDPO.channels([[rollout(1, calls).outcome for calls in (0, 1, 1, 3)]])
    some = select(channels, np.array([3, 0]))
    assert some[1].advantages.tolist() == channels[1].advantages[[3, 0]].tolist()
    assert signal(some).tolist() == [True, True]


def test_grouping_by_task():
    played = [rollout(1, 0, task) for task in "abbaab"]
    groups = group_by_task(played, 3)
    assert [[r.outcome.task_id for r in group] for group in groups] == [["a"] * 3, ["b"] * 3]
    assert len(group_by_task(played * 2, 3)) == 4
    with pytest.raises(ConfigError, match=r"multiple of group_size \(2\), actually: 3 of task 'a'"):
        group_by_task(played, 2)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "Expect 1 groups from the collector, actually: 0"),
        ([[rollout(1, 0)]], r"group_size \(2\) episodes in group 0, actually: 1"),
        ([[rollout(1, 0, "a"), rollout(1, 0, "b")]], "one task in group 0, actually: 'a' and 'b'"),
    ],
)
def test_collectors_that_break_their_promise(groups, message):
    with pytest.raises(ConfigError, match=message):
        check_groups(groups, 1, 2)


def test_impossible_rollouts_are_refused():
    with pytest.raises(ConfigError, match="model_tokens 5, length 3"):
        dataclasses.replace(rollout(1, 0), model_tokens=5, length=3)
    with pytest.raises(ConfigError, match="model_tokens -1"):
        dataclasses.replace(rollout(1, 0), model_tokens=-1)


@given(
    lengths=st.lists(st.integers(0, 50), max_size=40),
    episodes=st.none() | st.integers(1, 7),
    tokens=st.none() | st.integers(1, 120),
)
def test_micro_batches_keep_their_limits_and_everyone(lengths, episodes, tokens):
    pieces = micro_batches(lengths, episodes, tokens)
    assert sorted(i for piece in pieces for i in piece) == list(range(len(lengths)))
    for piece in pieces:
        padded = len(piece) * max(lengths[i] for i in piece)
        assert episodes is None or len(piece) <= episodes
        assert tokens is None or padded <= tokens or len(piece) == 1
    if episodes is None and tokens is None:
        assert len(pieces) == min(1, len(lengths))


def test_toys_are_what_they_say():
    one = toy_rollout(np.random.default_rng(0), length=6)
    assert (one.cost, one.model_tokens) == (6, sum(one.payload["mask"]))
