"""HDPO on environments that are not of this project."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import hint_env

from metis_agents.sb3 import HDPO, GroupVecEnv, ToolTasks
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome


@pytest.mark.parametrize("name", ["Hint", "Pair"])
def test_members_of_a_group_play_the_same_task(name):
    env = GroupVecEnv(f"TestsOwn{name}-v0", tasks=6, group_size=3, seed=1)
    first, again, other = env.begin(0), env.begin(0), env.begin(1)
    digits = first["digit"].reshape(6, 3)
    assert (digits == digits[:, :1]).all()
    assert len(np.unique(digits[:, 0])) > 1
    assert (first["digit"] == again["digit"]).all()
    assert (first["digit"] != other["digit"]).any()


def test_tasks_by_name_are_reset_by_name():
    env = ToolTasks(gym.make("TestsOwnNamed-v0"), task_ids=("0", "3"))
    groups = GroupVecEnv(env, tasks=4, group_size=2)
    groups.begin(0)
    assert {groups.task_id(number) for number in range(16)} == {"0", "3"}
    assert [int(groups.task_id(index // 2)) for index in range(8)] == groups.get_attr("digit")


def test_the_last_info_becomes_an_outcome():
    env = ToolTasks(gym.make("TestsOwnHint-v0", right="won", calls="hints"), correct="won", tool_calls="hints")
    env.reset(options={"task_id": "seed/5"})
    env.step(hint_env.HINT)
    *_, info = env.step(env.unwrapped.digit)
    outcome = Outcome.from_info(info)
    assert (outcome.task_id, outcome.correct, outcome.tool_calls, outcome.tool_cost) == ("seed/5", True, 1, 1.0)


def test_pairs_of_actions_are_counted_through():
    env = ToolTasks(gym.make("TestsOwnPair-v0"))
    env.reset(options={"task_id": "seed/5"})
    assert env.action_space.n == 8
    env.step(4)  # (1, 0): asks
    *_, terminated, _, info = env.step(env.unwrapped.digit)  # (0, digit): answers
    assert (terminated, info["correct"], info["tool_calls"]) == (True, True, 1.0)


def test_an_info_without_the_names_is_explained():
    env = ToolTasks(gym.make("TestsOwnHint-v0", right="won"))
    env.reset(seed=1)
    with pytest.raises(ConfigError, match=r"'correct' or 'is_success' and 'tool_calls', actually: .*'won'.*correct="):
        env.step(0)


def test_what_cannot_be_played_is_refused():
    with pytest.raises(ConfigError, match="Discrete or MultiDiscrete actions"):
        ToolTasks(gym.make("Pendulum-v1"))


def test_hdpo_learns_to_ask_where_nothing_is_shown():
    env = GroupVecEnv("TestsOwnPair-v0", tasks=16, group_size=16, seed=0)
    model = HDPO("MultiInputPolicy", env, learning_rate=5e-3, seed=0, stats_window_size=512, device="cpu")
    model.learn(60_000)
    # Without asking at most .5 + .5/4 = .625 of the answers are right.
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > 0.75
    observations = env.begin(10_000)
    actions, _ = model.predict(observations, deterministic=True)
    hidden = observations["digit"][:, 0] < 0
    assert (actions >= hint_env.HINT)[hidden].mean() > 0.9
    assert (actions >= hint_env.HINT)[~hidden].mean() < 0.9


def test_a_model_is_saved_and_goes_on(tmp_path):
    env = GroupVecEnv("TestsOwnHint-v0", tasks=2, group_size=4)
    model = HDPO("MultiInputPolicy", env, seed=0, device="cpu")
    model.learn(40)
    assert model.num_timesteps > 40, "the last batch is finished"
    assert model._current_progress_remaining == 0.0, "which leaves nothing, and not less"
    model.save(tmp_path / "model.zip")
    resumed = HDPO.load(tmp_path / "model.zip", GroupVecEnv("TestsOwnHint-v0", tasks=2, group_size=4), device="cpu")
    assert resumed.batches_done == model.batches_done
    resumed.learn(40, reset_num_timesteps=False)
    assert resumed.batches_done > model.batches_done
