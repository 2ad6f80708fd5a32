"""The numeric view."""

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_envs.families.patches import PATTERNS
from metis_gym.errors import ConfigError, InvalidActionError
from metis_gym.records import Necessity


def make(**kwargs):
    return gym.make("MetisVQA-Discrete-v0", **kwargs)


def text_of(observation):
    return bytes(observation["text"]).rstrip(b"\0").decode()


def reset_until(env, necessity):
    for seed in range(100):
        observation, info = env.reset(seed=seed)
        if info["necessity"] == necessity:
            return observation
    raise AssertionError(f"no task of necessity {necessity} among 100")


def test_spaces():
    env = make()
    assert env.action_space.n == 4 + 16
    assert {key: space.shape for key, space in env.observation_space.spaces.items()} == {
        "image": (64, 64, 3),
        "returned": (64, 64, 3),
        "text": (512,),
        "tool_counts": (1,),
        "turns_left": (1,),
    }


def pattern_in(pixels):
    """Which pattern fills an area in which each block of a period is one pixel? Dark is what is below the mean."""
    marks = pixels.astype(float).sum(axis=2)[:4, :4]
    is_dark = marks < marks.mean()
    return [name for name, rows in PATTERNS.items() if (is_dark == [[m == "1" for m in row] for row in rows]).all()]


def patch_of(env, observation):
    left, top, right, bottom = (edge // 16 for edge in env.unwrapped.episode.task.region)
    return observation["image"][top:bottom, left:right]


def test_a_coarse_pattern_is_answered_from_the_view():
    env = make()
    observation = reset_until(env, "none")
    found = pattern_in(patch_of(env, observation))
    assert found == [env.unwrapped.episode.task.options["ABCD".index(env.unwrapped.episode.task.gold.value)]]
    index = env.unwrapped.episode.task.options.index(found[0])
    _, reward, terminated, _, info = env.step(index)
    assert terminated and info["correct"] and reward == 1.0


def test_a_fine_pattern_shows_in_the_crop_of_its_cell_only():
    env = make()
    observation = reset_until(env, "required")
    patch = patch_of(env, observation)
    assert patch.std(axis=(0, 1)).max() < 2, "its own colour in the view, but for the grain"
    assert len(set(patch.mean(axis=(0, 1)).round())) > 1, "not grey"
    assert not observation["returned"].any()
    action = env.unwrapped.encode_action({"name": "python", "arguments": {"code": "…"}})
    observation, reward, terminated, _, info = env.step(action)
    assert not terminated and reward == 0.0
    assert (info["tool_calls"], info["tool_calls_by/python"], observation["tool_counts"][0]) == (1.0, 1.0, 1)
    # Each of the 4 × 4 blocks of a period is one pixel of the crop: the pattern can be read off.
    task = env.unwrapped.episode.task
    assert pattern_in(observation["returned"]) == [task.options["ABCD".index(task.gold.value)]]


def test_the_text_is_the_question_with_its_options():
    env = make()
    observation = reset_until(env, "none")
    lines = text_of(observation).split("\n")
    assert "black" in lines[0]
    assert lines[1:] == [f"{letter}. {name}" for letter, name in zip("ABCD", PATTERNS, strict=False)]


def test_crops_run_out():
    env = make(max_turns=2)
    observation, _ = env.reset(seed=0)
    assert observation["turns_left"][0] == 2
    env.step(4)
    observation, *_ = env.step(4)
    assert observation["turns_left"][0] == 0
    assert env.step(4)[3] is True


@pytest.mark.parametrize("action", [-1, 20, 1.5, "A", None, [1]])
def test_wrong_actions_raise(action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="a whole number in Discrete"):
        env.step(action)


@pytest.mark.parametrize("choices", [2, 3, 8])
def test_the_number_of_choices_is_an_option(choices):
    env = make(choices=choices)
    env.reset(seed=0)
    assert env.action_space.n == choices + 16
    assert len(env.unwrapped.episode.task.options) == choices
    with pytest.raises(InvalidActionError, match="letter from A to"):
        env.unwrapped.encode_action({"answer": "I"})


@pytest.mark.parametrize(("share", "necessity"), [(0.0, Necessity.NONE), (1.0, Necessity.REQUIRED)])
def test_the_share_of_tasks_that_need_a_tool_is_an_option(share, necessity):
    env = make(required_share=share)
    assert {env.reset(seed=seed)[1]["necessity"] for seed in range(10)} == {necessity}


def test_other_families_fit_in():
    env = make(taskset="spotting", view_size=448, max_source=1792)
    observation, _ = env.reset(seed=1)
    assert observation["image"].shape == (448, 448, 3)
    assert observation in env.observation_space
    corner = observation["image"][0, 0].tolist()
    assert corner == [128] * 3 or env.unwrapped.episode.task.images[0].view.shape == (448, 448, 3)


@pytest.mark.parametrize("name", ["tools", "dialect", "answers", "sandbox", "calls_per_turn"])
def test_arguments_of_the_text_view_are_refused(name):
    with pytest.raises(ConfigError, match="the numeric view has no argument"):
        make(**{name: "x"})


def test_wrong_arguments_raise():
    with pytest.raises(ConfigError, match="crop_grid"):
        make(crop_grid=0)
    with pytest.raises(ConfigError, match="Did you mean 'taskset'"):
        make(tasket="x")


def test_observations_are_arrays_of_their_own():
    env = make()
    first, _ = env.reset(seed=0)
    first["image"][:] = 0
    assert env.reset(seed=0)[0]["image"].any()
    assert np.shares_memory(first["image"], env.step(4)[0]["image"]) is False
