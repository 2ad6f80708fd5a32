"""The cold start: what is demonstrated, what is learned from it, and the effect that it makes visible."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from metis_agents.compare import Plan, Settings, compare
from metis_agents.sb3 import HDPO, GroupVecEnv, SFTConfig, cold_start, play
from metis_agents.sb3.play import play_with_and_without
from metis_agents.sb3.rollouts import action_logprobs
from metis_agents.sb3.sft import clone, demonstrate
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity

ENV = "MetisVQA-Discrete-v0"


@pytest.fixture(scope="module")
def shown():
    env = gym.make(ENV, disable_env_checker=True)
    yield demonstrate(env, 48, seed=3)
    env.close()


def new_policy(seed=0):
    env = GroupVecEnv(ENV, tasks=1, group_size=2)
    policy = HDPO("MultiInputPolicy", env, seed=seed).policy
    env.close()
    return policy


@pytest.fixture
def policy(small_start):
    policy = new_policy()
    policy.load_state_dict(small_start)
    return policy


def test_both_kinds_of_task_are_demonstrated_with_both_ways_to_play(shown):
    assert 0.2 < shown.needs_tool.mean() < 0.8
    assert (shown.calls >= 4).all(), "calls come after the four answers"
    assert (shown.answers < 4).all()
    # Where no tool is needed, the direct answer is the right one; elsewhere any of four, and nothing that was drawn.
    right = np.eye(4)[shown.answers]
    assert (shown.direct == np.where(shown.needs_tool[:, None], 0.25, right)).all()


def test_where_a_guess_is_left_only_what_the_view_leaves_is_guessed():
    """A partial view of four patterns leaves two: the clone's guess has no chance on the others."""
    env = gym.make(ENV, disable_env_checker=True, partial_share=1.0, required_share=0.0)
    direct = demonstrate(env, 8, seed=3).direct
    env.close()
    assert (np.sort(direct) == [0.0, 0.0, 0.5, 0.5]).all()


def test_observations_before_and_after_the_call(shown):
    assert shown.before["image"].shape == shown.after["image"].shape == (48, 64, 64, 3)
    assert not shown.before["returned"].any()
    assert shown.after["returned"].any(axis=(1, 2, 3)).all()
    assert set(shown.after["tool_counts"].ravel()) == {1}


def test_demonstrations_follow_from_the_seed(shown):
    env = gym.make(ENV, disable_env_checker=True)
    again, other = demonstrate(env, 48, seed=3), demonstrate(env, 48, seed=4)
    env.close()
    assert (again.before["image"] == shown.before["image"]).all()
    assert (again.direct == shown.direct).all()
    assert not (other.before["image"] == shown.before["image"]).all()


@pytest.mark.parametrize(("none", "required"), [(0.97, 0.99), (0.5, 0.5)])
def test_tool_rates_are_those_that_were_asked_for(none, required, shown):
    """On what was demonstrated; that they carry over to new tasks is the slow test's business."""
    policy = new_policy()
    clone(policy, shown, 4, SFTConfig(epochs=20, batch_size=16, rate_none=none, rate_required=required))
    with torch.no_grad():
        rates = action_logprobs(policy, shown.before)[:, 4:].exp().sum(1).numpy()
    for wanted, rate in ((none, rates[~shown.needs_tool].mean()), (required, rates[shown.needs_tool].mean())):
        assert rate == pytest.approx(wanted, abs=0.08)


def test_the_same_seed_is_the_same_policy():
    first, second = new_policy(), new_policy()
    for policy in (first, second):
        cold_start(policy, ENV, SFTConfig(tasks=16, epochs=1))
    ours, theirs = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("name", "value"), [("rate_none", 1.2), ("tasks", 0), ("lr", 0.0)])
def test_wrong_settings_raise(name, value):
    with pytest.raises(ConfigError, match=name):
        SFTConfig(**{name: value})


def test_playing_is_on_the_test_split_and_follows_the_seed(policy):
    first, again, other = (play(policy, tasks=5, episodes_per_task=3, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 15
    assert len({outcome.task_id for outcome in first}) == 5
    assert all("/test/" in outcome.task_id for outcome in first)


def test_without_tools_none_is_called(policy):
    outcomes = play(policy, tasks=6, episodes_per_task=4, answers_only=True)
    assert {outcome.tool_calls for outcome in outcomes} == {0}


def test_several_policies_play_as_each_would_alone(policy):
    other = new_policy(seed=1)
    together = play_with_and_without([policy, other], tasks=3, episodes_per_task=2, seed=4)
    for player, (with_tools, without) in zip((policy, other), together, strict=True):
        assert with_tools == play(player, tasks=3, episodes_per_task=2, seed=4)
        assert without == play(player, tasks=3, episodes_per_task=2, seed=4, answers_only=True)


def test_there_must_be_something_to_play(policy):
    with pytest.raises(ConfigError, match="at least 1, actually: 0, 4"):
        play(policy, tasks=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hdpo_learns_when_to_call_beside_accuracy_only(tmp_path):
    """The effect of the paper, on the shipped environment with a grader that is wrong 30 % of the time."""
    settings = Settings(env={"grader_noise": 0.3, "choices": 4})
    comparison = compare(Plan(designs=("accuracy", "hdpo"), seeds=(0,), settings=settings), tmp_path, progress=False)
    start, figures = comparison.start(), comparison.estimates()
    # 512 episodes of a kind: four standard errors of a rate of .97 are 3 points, of .99 1.8 points.
    assert start["redundant_rate"].mean == pytest.approx(0.97, abs=0.03)
    assert start["tool_recall"].mean == pytest.approx(0.99, abs=0.018)
    assert start["without_tools_none"].mean >= 0.95
    assert figures["accuracy"]["redundant_rate"].mean >= 0.7
    assert figures["hdpo"]["redundant_rate"].mean <= 0.05
    assert figures["hdpo"]["tool_recall"].mean >= 0.95
    assert figures["hdpo"]["accuracy"].mean >= figures["accuracy"]["accuracy"].mean - 0.02
    assert Necessity.NONE.value in comparison.results[0].final.necessity
