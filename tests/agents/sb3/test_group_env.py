"""The group-aware vector environment: who plays which task as which member, here and in worker processes."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor

from metis_agents.sb3 import GroupVecEnv
from metis_gym.errors import ConfigError, InvalidActionError
from metis_gym.wrappers import Timing

ENV = "MetisVQA-Discrete-v0"
ANSWER, CROP = 0, 4


def make(**kwargs):
    return GroupVecEnv(**{"env": ENV, "tasks": 2, "group_size": 3, **kwargs})


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def tasks_of(env):
    return [info["task_id"] for info in env.reset_infos]


def test_a_group_shares_its_task_and_others_have_their_own():
    env = make()
    observations = env.reset()
    assert observations["image"].shape == (6, 64, 64, 3)
    assert tasks_of(env) == [env.task_id(0)] * 3 + [env.task_id(1)] * 3
    assert env.task_id(0) != env.task_id(1)
    for start in (0, 3):
        assert all(
            (observations["image"][start] == observations["image"][sub_env]).all()
            for sub_env in range(start, start + 3)
        )


def test_rounds_go_on_in_the_stream_of_tasks():
    env = make()
    env.begin(5)
    assert tasks_of(env) == [env.task_id(10)] * 3 + [env.task_id(11)] * 3


def test_the_stream_depends_on_the_seed_alone():
    one, other = make(seed=7), make(seed=7, tasks=3, group_size=1)
    assert [one.task_id(n) for n in range(6)] == [other.task_id(n) for n in range(6)]
    assert make(seed=8).task_id(0) != one.task_id(0)
    other.seed(8)
    assert other.task_id(0) == make(seed=8).task_id(0)


def test_members_and_rounds_key_the_noise():
    def verdicts(round_number, seed=3, **kwargs):
        env = make(tasks=1, group_size=40, seed=seed, grader_noise=0.5, **kwargs)
        env.begin(round_number)
        infos = env.play(np.arange(40), np.zeros(40, dtype=int)).infos
        return [info["answer_score"] != info["true_answer_score"] for info in infos]

    first = verdicts(0)
    assert 8 <= sum(first) <= 32  # of 40 fair draws: four standard errors are 12.6
    assert first == verdicts(0)
    assert first != verdicts(1)
    assert first != verdicts(0, seed=4)


def test_a_seed_changes_the_noise_unless_its_key_was_given():
    free, fixed = make(seed=3), make(seed=3, noise_key=11)
    assert {noise.key for noise in free.get_attr("noise")} == {3}
    free.seed(5)
    fixed.seed(5)
    assert {noise.key for noise in free.get_attr("noise")} == {5}
    assert {noise.key for noise in fixed.get_attr("noise")} == {11}


def test_it_is_a_vec_env_that_starts_the_next_round_by_itself():
    env = make()
    env.reset()
    observations, rewards, dones, infos = env.step(np.array([ANSWER, CROP, ANSWER, CROP, CROP, CROP]))
    assert dones.tolist() == [True, False, True, False, False, False]
    assert infos[0]["terminal_observation"]["image"].shape == (64, 64, 3)
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[0]["episode"]["l"] == 1
    assert infos[0]["episode"]["r"] == rewards[0]
    assert "episode" not in infos[1]
    assert tasks_of(env) == [env.task_id(n) for n in (2, 0, 2, 1, 1, 1)]
    assert observations["tool_counts"].ravel().tolist() == [0, 1, 0, 1, 1, 1]
    for _ in range(3):
        _, _, dones, infos = env.step(np.full(6, CROP))
    assert dones[1]
    assert infos[1]["TimeLimit.truncated"] is True  # three crops, and a fourth that is refused


def test_seats_that_are_done_wait_for_the_next_round():
    env = make()
    env.begin(0)
    returned = env.play(np.array([4, 1]), np.array([ANSWER, CROP]))
    assert returned.terminated.tolist() == [True, False]
    assert returned.observations["image"].shape[0] == 2
    with pytest.raises(gym.error.ResetNeeded):
        env.play(np.array([4]), np.array([ANSWER]))
    env.begin(1)
    env.play(np.array([4]), np.array([ANSWER]))


@pytest.mark.parametrize(
    "workers", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(5, marks=pytest.mark.slow)]
)
def test_workers_change_nothing(workers):
    here, there = make(tasks=3, grader_noise=0.3), make(tasks=3, grader_noise=0.3, workers=workers)
    owners = there._sub_envs._owners.reshape(3, -1)
    assert (owners == owners[:, :1]).all(), "a group stays in one worker"
    assert set(owners[:, 0]) == set(range(min(workers, 3)))
    assert same(here.begin(1), there.begin(1))
    sub_envs, actions = np.array([8, 0, 4, 5]), np.array([CROP, ANSWER, CROP + 7, 1])
    one, other = here.play(sub_envs, actions), there.play(sub_envs, actions)
    assert same(one.observations, other.observations)
    assert one.rewards.tolist() == other.rewards.tolist()
    assert one.terminated.tolist() == other.terminated.tolist()
    without_clock = [
        [{key: value for key, value in info.items() if key != "episode"} for info in returned.infos]
        for returned in (one, other)
    ]
    assert without_clock[0] == without_clock[1]
    assert there.get_attr("choices", [3, 1]) == [4, 4]
    there.close()
    there.close()


def test_errors_of_workers_arrive_here():
    env = make(workers=2)
    env.reset()
    with pytest.raises(InvalidActionError, match="a whole number in Discrete"):
        env.play(np.array([0]), np.array([99]))
    env.close()


def test_attributes_methods_and_wrappers():
    env = make()
    env.reset()
    env.set_attr("failure", "x", [1])
    assert env.get_attr("failure") == [None, "x", None, None, None, None]
    assert env.env_method("encode_action", {"answer": "B"}, indices=2) == [1]
    assert env.env_is_wrapped(Monitor) == [True] * 6
    assert env.env_is_wrapped(Timing) == [False] * 6
    assert env.render_mode is None


def test_images_of_all_sub_environments():
    env = make(tasks=1, group_size=2, render_mode="rgb_array")
    env.reset()
    assert env.render().ndim == 3


def test_an_environment_instead_of_an_id():
    made = gym.make(ENV, choices=2, grader_noise=0.1)
    env = GroupVecEnv(Timing(made), tasks=1, group_size=2)
    assert env.action_space.n == 2 + 16
    assert env.get_attr("choices") == [2, 2]
    assert env.env_is_wrapped(Timing) == [True, True]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"tasks": 0}, "`tasks` to be a whole number of at least 1, actually: 0"),
        ({"group_size": 1.5}, "`group_size` to be a whole number"),
        ({"workers": -1}, "`workers` to be a whole number of at least 0"),
        ({"seed": -1}, "`seed` to be a whole number of at least 0"),
        ({"env": "MetisVQA-v0"}, "Dict of boxes and Discrete actions"),
        ({"env": "Pendulum-v1"}, "Discrete or MultiDiscrete actions"),
        ({"grader_nose": 0.1}, "Did you mean 'grader_noise'"),
    ],
)
def test_wrong_arguments_raise(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        make(**kwargs)
