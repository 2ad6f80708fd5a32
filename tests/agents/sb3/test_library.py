"""What users of stable-baselines3 bring along: callbacks, vector environments, wrappers, extractors, schedules."""

import contextlib

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import (
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    LogEveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor, load_results
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from metis_agents.rl import LossConfig
from metis_agents.sb3 import HDPO, GroupVecEnv, SFTConfig, StopAfterBatches, cold_start, play
from metis_gym.errors import ConfigError
from tests.agents.sb3 import hint_env

ENV, HINT = "MetisVQA-Discrete-v0", "TestsOwnHint-v0"


def make(env=HINT, **kwargs):
    groups = {"tasks": 2, "group_size": 4} if isinstance(env, str | gym.Env) else {}
    return HDPO("MultiInputPolicy", env, **{"seed": 0, "learning_rate": 1e-3, **groups, **kwargs})


def weights(model):
    return torch.cat([values.flatten() for values in model.policy.state_dict().values()])


# -- callbacks ------------------------------------------------------------------------------------------------------


def test_so_many_episodes_and_no_more_batches():
    model = make()
    model.learn(10**6, callback=StopTrainingOnMaxEpisodes(max_episodes=3))
    assert model.batches_done == 3  # three episodes of each of eight environments


def test_logs_every_so_many_timesteps(tmp_path):
    model = make()
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(80, callback=LogEveryNTimesteps(n_steps=20), log_interval=0)
    model.logger.close()
    names, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert 2 <= len(rows) <= model.num_timesteps // 20
    assert {"rollout/ep_rew_mean", "time/total_timesteps"} <= set(names.split(","))


def test_all_other_callbacks_at_once(tmp_path):
    checkpoints = EveryNTimesteps(4, CheckpointCallback(1, str(tmp_path), name_prefix="every"))
    stops = StopTrainingOnRewardThreshold(reward_threshold=0.0)
    evaluation = EvalCallback(
        GroupVecEnv(HINT, tasks=1, group_size=2),
        callback_on_new_best=stops,
        callback_after_eval=StopTrainingOnNoModelImprovement(max_no_improvement_evals=1),
        n_eval_episodes=2,
        eval_freq=4,
        verbose=0,
    )
    model = make()
    model.learn(10**6, callback=CallbackList([checkpoints, evaluation]))
    assert model.batches_done >= 1  # the reward that stops is reached by every policy
    assert list(tmp_path.glob("every_*_steps.zip"))


# -- vector environments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", [HINT, ENV])
def test_environments_of_make_vec_env_say_which_environment_is_meant(name, count):
    with contextlib.closing(make_vec_env(name, n_envs=count)) as given:
        model = HDPO("MultiInputPolicy", given, tasks=2, group_size=4, seed=0)
    assert isinstance(model.get_env(), GroupVecEnv)
    assert (model.tasks, model.group_size, model.n_envs) == (2, 4, 8)
    same = make(name, learning_rate=5e-4)
    for one in (model, same):
        one.learn(1)
    assert torch.equal(weights(model), weights(same))


def test_the_number_of_given_environments_is_that_of_the_groups():
    def groups(count, **sizes):
        with contextlib.closing(make_vec_env(HINT, n_envs=count)) as given:
            model = HDPO("MultiInputPolicy", given, **sizes)
        return model.tasks, model.group_size

    assert groups(32) == (2, 16)
    assert groups(12, tasks=3) == (3, 4)
    assert groups(12, group_size=6) == (2, 6)
    assert groups(1) == (16, 16)
    with pytest.raises(ConfigError, match=r"2 × 16 = 32, actually: 33"):
        groups(33)


@pytest.mark.slow
def test_processes_stay_processes():
    given = make_vec_env(f"metis_gym:{ENV}", n_envs=4, vec_env_cls=SubprocVecEnv)
    model = HDPO("MultiInputPolicy", given, tasks=2, group_size=2, seed=0)
    given.close()
    model.learn(1)
    here = HDPO("MultiInputPolicy", ENV, tasks=2, group_size=2, seed=0).learn(1)
    model.get_env().close()
    assert torch.equal(weights(model), weights(here))


def test_monitors_write_their_files_and_change_nothing(tmp_path):
    with pytest.warns(UserWarning, match="already wrapped"):  # the library: episodes are reported without it, too
        watched = VecMonitor(GroupVecEnv(HINT, tasks=2, group_size=4, seed=0), str(tmp_path / "run"))
    model = make(watched).learn(1)
    watched.results_writer.close()
    episodes = load_results(str(tmp_path))
    assert len(episodes) == 8
    assert set(episodes["r"]) <= {0.0, 1.0}
    assert torch.equal(weights(model), weights(make(Monitor(gym.make(HINT))).learn(1)))


def test_images_may_be_turned():
    turned = VecTransposeImage(GroupVecEnv(ENV, tasks=1, group_size=2, seed=0))
    assert HDPO("MultiInputPolicy", turned).get_env().observation_space["image"].shape == (64, 64, 3)


@pytest.mark.parametrize("wrap", [VecNormalize, lambda env: VecFrameStack(env, 2)])
def test_wrappers_that_change_what_is_seen_are_refused(wrap):
    env = wrap(make_vec_env("CartPole-v1", n_envs=2))
    with pytest.raises(ConfigError, match="would pass over what Vec"):
        make(env)


def test_environments_that_cannot_be_made_again_are_refused():
    class Plain(gym.ObservationWrapper):
        def observation(self, observation):
            return observation

    with pytest.raises(ConfigError, match=r"not made by `gymnasium\.make`"):
        make(DummyVecEnv([hint_env.HintEnv]))
    with pytest.raises(ConfigError, match="wrapper Plain does not say how it was made"):
        make(Plain(gym.make(HINT)))


def test_wrappers_of_the_entry_point_need_not_say_how_they_were_made():
    class Plain(gym.ObservationWrapper):
        def observation(self, observation):
            return observation

    gym.register("TestsOwnPlain-v0", lambda: Plain(hint_env.HintEnv()))
    try:
        assert make("TestsOwnPlain-v0").learn(1).batches_done == 1
        assert make(gym.wrappers.TimeLimit(gym.make("TestsOwnPlain-v0"), 5)).learn(1).batches_done == 1
    finally:
        gym.registry.pop("TestsOwnPlain-v0", None)


@pytest.mark.parametrize("sizes", [(2, 4), (3, 4), (1, 8), (4, 2)])
def test_another_environment_may_have_other_groups(sizes):
    model = make().learn(1)
    tasks, group_size = sizes
    model.set_env(GroupVecEnv(HINT, tasks=tasks, group_size=group_size))
    model.learn(1, reset_num_timesteps=False)
    assert (model.tasks, model.group_size, model.batches_done) == (tasks, group_size, 2)
    model.set_env(HINT)
    assert model.n_envs == tasks * group_size
    with pytest.raises(ConfigError, match="must be divisible by minibatches"):
        make(minibatches=2).set_env(GroupVecEnv(HINT, tasks=3, group_size=4))


# -- extractors, schedules, regularisers ----------------------------------------------------------------------------


def test_the_librarys_extractor_reads_the_numeric_view():
    model = make(ENV, policy_kwargs={"features_extractor_class": CombinedExtractor})
    assert isinstance(model.policy.features_extractor, CombinedExtractor)
    before = weights(model)
    assert not torch.equal(weights(model.learn(1)), before)


def test_schedules_are_asked_for_what_is_left_of_training():
    asked = []
    model = make(learning_rate=lambda left: asked.append(left) or 1e-3 * left)
    model.learn(30)
    assert asked[0] == 1.0
    assert all(0.0 <= left <= 1.0 for left in asked)
    assert asked == sorted(asked, reverse=True)


def distribution(model):
    """The probabilities of all actions where a digit is shown, shape (5,)."""
    flat = {"digit": np.ones(1, np.float32), "hinted": np.eye(2, dtype=np.float32)[0]}
    tensors, _ = model.policy.obs_to_tensor(flat)
    return model.policy.get_distribution(tensors).distribution.probs[0].detach()


def learned(loss, batches=8):
    """A model after so many batches; and the probabilities with which it began."""
    model = make(learning_rate=1e-2, loss=loss)
    with torch.no_grad():  # as after a cold start
        model.policy.action_net.bias[0] += 2.0
    began = distribution(model)
    return model.learn(10**6, callback=StopAfterBatches(batches)), began


def test_an_entropy_bonus_spreads_what_is_done():
    def entropy(coefficient):
        probabilities = distribution(learned(LossConfig(entropy_coef=coefficient))[0])
        return float(-(probabilities * probabilities.log()).sum())

    assert entropy(5.0) > entropy(0.0) + 0.2


def test_a_penalty_holds_on_to_the_policy_as_it_was_when_learning_began():
    (free, began), (held, _) = learned(LossConfig(), 30), learned(LossConfig(kl_coef=3.0), 30)
    assert (distribution(held) - began).abs().sum() < 0.5 * (distribution(free) - began).abs().sum()
    with torch.no_grad():
        held.policy.load_state_dict(held.adapter.reference.state_dict())
    assert torch.equal(distribution(held), began)


def test_a_run_with_a_penalty_is_resumed_exactly(tmp_path):
    model, _ = learned(LossConfig(kl_coef=0.1), 2)
    model.save(tmp_path / "held.zip")
    resumed = HDPO.load(tmp_path / "held.zip", HINT)
    for one in (model, resumed):
        one.learn(1, reset_num_timesteps=False)
    assert torch.equal(weights(model), weights(resumed))


# -- the library's own algorithms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PPO, A2C])
def test_stock_algorithms_start_cold_and_are_played(kind):
    """They turn the axes of images, and their extractor is the library's."""
    model = kind("MultiInputPolicy", gym.make(ENV), n_steps=64, seed=0)
    before = weights(model)
    cold_start(model.policy, ENV, SFTConfig(tasks=4, epochs=1, batch_size=4))
    assert not torch.equal(weights(model), before)
    outcomes = play(model.policy, ENV, tasks=2, episodes_per_task=2)
    assert len(outcomes) == 4
    assert isinstance(model.observation_space["image"], spaces.Box)
