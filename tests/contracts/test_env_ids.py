"""What holds for every environment id."""

import json
import os
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from metis_agents.evaluate import evaluate
from metis_agents.scripted import OracleAgent
from metis_gym import ENV_IDS, Outcome
from metis_gym.registration import FAMILY_IDS, NUMERIC_IDS

# Small sources: the checkers reset many times, and what they check does not depend on the size.
SMALL = {"max_source": 1792}
SMALL_NUMERIC = {"max_source": 1024}


def make(env_id, **kwargs):
    small = SMALL_NUMERIC if env_id in NUMERIC_IDS else SMALL
    return gym.make(env_id, **{**small, **kwargs})


def same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and bool(np.array_equal(first, second))


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_gymnasiums_checker_finds_nothing(env_id):
    check_env(make(env_id, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("env_id", NUMERIC_IDS)
def test_stable_baselines_checker_finds_nothing(env_id):
    check_env_for_sb3(make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_same_seed_same_episode(env_id):
    first, second = make(env_id), make(env_id)
    assert same(first.reset(seed=11), second.reset(seed=11))
    assert not same(first.reset(seed=12)[0], second.reset(seed=11)[0])


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_task_id_pins_the_task_whatever_the_seed(env_id):
    env = make(env_id)
    observation, info = env.reset(seed=1)
    again, again_info = env.reset(seed=2, options={"task_id": info["task_id"]})
    assert same(observation, again)
    assert info == again_info


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_pickled_environment_plays_the_same(env_id):
    env = make(env_id).unwrapped
    env.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    assert same(copy.reset(seed=4), env.reset(seed=4))


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_spec_survives_json(env_id):
    env = make(env_id, reward="hdpo")
    spec = EnvSpec.from_json(env.spec.to_json())
    assert same(gym.make(spec).reset(seed=5), env.reset(seed=5))


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_infos_are_flat_and_keep_their_keys(env_id):
    env = make(env_id, render_mode="ansi")
    _, start = env.reset(seed=6)
    action = 0 if env_id in NUMERIC_IDS else {"answer": "A"}
    _, _, terminated, truncated, end = env.step(action)
    assert terminated
    assert truncated is False
    assert start.keys() == end.keys()
    for info in (start, end):
        assert {type(value) for value in info.values()} <= {float, bool, str}
        assert all(np.isfinite(value) for value in info.values() if isinstance(value, float))
    assert Outcome.from_info(end) == env.unwrapped.outcome
    with pytest.raises(gym.error.ResetNeeded):
        env.step(action)


PREFIXED = """
import json, os, sys
import gymnasium
for env_id, kwargs in json.loads(sys.argv[1]).items():
    if os.fork() == 0:  # each process knows gymnasium only
        print(gymnasium.make(f"metis_gym:{env_id}", **kwargs).reset(seed=0)[1]["task_id"], flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, env_id
"""


def test_the_module_prefix_makes_it_without_an_import():
    small = {env_id: SMALL_NUMERIC if env_id in NUMERIC_IDS else SMALL for env_id in ENV_IDS}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PREFIXED, json.dumps(small)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [make(env_id).reset(seed=0)[1]["task_id"] for env_id in ENV_IDS]


@pytest.mark.parametrize("episodes", [6, pytest.param(24, marks=pytest.mark.slow)])
@pytest.mark.parametrize("env_id", [*NUMERIC_IDS, *FAMILY_IDS])
def test_the_oracle_is_right_and_never_calls_in_vain(env_id, episodes, sandbox_kwargs):
    small = SMALL_NUMERIC if env_id in NUMERIC_IDS else {**SMALL, **sandbox_kwargs}
    report = evaluate(OracleAgent(), env_id, episodes, seed=0, progress=False, **small)
    assert report.metrics["accuracy"].mean == 1.0
    redundant = report.metrics["redundant_rate"]
    assert redundant.mean == 0.0 or redundant.n == 0, "of ledgers nobody knows what they need"
    assert report.metrics["tool_errors"].mean == 0.0
    assert report.metrics["unscored"].mean == 0.0
    needed = report.metrics["tool_recall"]
    assert needed.n == 0 or needed.mean == 1.0
