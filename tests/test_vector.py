"""Vector environments: the same text in one process and in several, however they are started."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from metis_gym import make_vec
from metis_gym.errors import ConfigError
from metis_gym.wrappers import Timing

SIGNS = {"taskset": "signs:answers=choice,max_source=1792,required_share=0"}


def play(envs):
    """Texts, images and correctness of two steps in three environments."""
    observation, info = envs.reset(seed=[3, 4, 5])
    seen = [observation, info["task_id"].tolist()]
    for actions in (("Grüße, 世界", "", "x"), ('{"a": 1}', "<answer>A</answer>", "<answer>B</answer>")):
        observation, _, terminated, truncated, info = envs.step(actions)
        seen += [observation, terminated.tolist(), truncated.tolist(), info["correct"].tolist()]
    envs.close()
    return seen


def same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(same, first, second))
    return np.array_equal(first, second)


@pytest.fixture(scope="module")
def in_one_process():
    return play(make_vec("MetisVQA-v0", 3, **SIGNS))


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_several_processes_give_the_same_text(in_one_process, context):
    in_several = play(make_vec("MetisVQA-v0", 3, mode="async", context=context, **SIGNS))
    assert in_several[0]["text"] == in_one_process[0]["text"]
    assert all("Question:" in text for text in in_several[0]["text"])
    assert same(in_several, in_one_process)


def test_each_sub_environment_equals_one_alone(in_one_process):
    env = gym.make("MetisVQA-v0", **SIGNS)
    assert in_one_process[0]["text"][1] == env.reset(seed=4)[0]["text"]


def test_gymnasiums_own_async_vector_is_refused_while_it_shares_memory():
    with pytest.raises(ConfigError, match=r"metis_gym\.make_vec"):
        gym.make_vec("MetisVQA-v0", num_envs=2, vectorization_mode="async", **SIGNS)


def test_those_that_are_done_can_be_reset_alone():
    envs = make_vec("MetisVQA-v0", 2, **SIGNS)
    observation, _ = envs.reset(seed=[1, 2])
    envs.step(("<answer>A</answer>", "wait"))
    mask = np.array([True, False])
    again, _ = envs.reset(seed=[1, None], options={"reset_mask": mask})
    assert again["text"][0] == observation["text"][0]
    assert "neither" in again["text"][1]


def test_same_step_autoreset_keeps_the_last_info():
    envs = make_vec("MetisVQA-v0", 2, autoreset="same_step", **SIGNS)
    envs.reset(seed=[1, 2])
    observation, _, terminated, _, info = envs.step(("<answer>A</answer>", "wait"))
    assert terminated.tolist() == [True, False]
    assert "Question:" in observation["text"][0], "the next task is there already"
    assert info["final_info"]["turns"][0] == 1.0


def test_the_numeric_view_stacks_arrays():
    envs = make_vec("MetisVQA-Discrete-v0", 4, mode="async", context="spawn")
    observation, _ = envs.reset(seed=0)
    assert observation["image"].shape == (4, 64, 64, 3)
    assert envs.step(np.array([4, 5, 0, 1]))[0]["tool_counts"].ravel().tolist() == [1, 1, 0, 0]
    envs.close()


def test_wrappers_are_applied():
    envs = make_vec("MetisVQA-v0", 1, wrappers=[Timing], **SIGNS)
    assert envs.reset(seed=0)[1]["timing/step_seconds"][0] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "threads"}, "sync, async"),
        ({"autoreset": "next_step"}, "disabled, same_step"),
        ({"num_envs": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_name_the_valid_ones(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_vec("MetisVQA-v0", **{"num_envs": 1, **arguments})


def test_modes_are_told():
    assert make_vec("MetisVQA-v0", 1, **SIGNS).metadata["autoreset_mode"] is AutoresetMode.DISABLED
