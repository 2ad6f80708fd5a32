"""HDPO as a stable-baselines3 algorithm: learning, resuming, and the library's own tools."""

import io
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure

from metis_agents.rl import LossConfig
from metis_agents.sb3 import HDPO, GroupVecEnv, StopAfterBatches, ToolUsePolicy
from metis_agents.sb3.rollouts import PolicyAdapter, Seen, draw
from metis_gym.errors import ConfigError, UnknownNameError

ENV = "MetisVQA-Discrete-v0"


def make_env(**kwargs):
    return GroupVecEnv(**{"env": ENV, "tasks": 2, "group_size": 4, "grader_noise": 0.3, **kwargs})


def make(env=None, start=None, **kwargs):
    model = HDPO("MultiInputPolicy", env or make_env(), **{"seed": 0, "learning_rate": 1e-3, **kwargs})
    if start:
        model.policy.load_state_dict(start)
    return model


def learn(model, batches, **kwargs):
    callbacks = [StopAfterBatches(batches), *kwargs.pop("callbacks", [])]
    return model.learn(10**9, callback=callbacks, **kwargs)


def weights(model):
    return torch.cat([values.flatten() for values in model.policy.state_dict().values()])


class Batches(BaseCallback):
    """Keeps the groups of every batch."""

    def __init__(self):
        super().__init__()
        self.groups = []

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        self.groups.append(self.locals["groups"])


def test_learning_moves_the_policy_and_counts_environment_steps(small_start):
    kept = Batches()
    model = make(start=small_start)
    before = weights(model)
    learn(model, 3, callbacks=[kept])
    steps = sum(rollout.model_tokens for groups in kept.groups for group in groups for rollout in group)
    assert model.num_timesteps == steps
    assert model.batches_done == 3
    assert not torch.equal(weights(model), before)
    assert [[len(group) for group in groups] for groups in kept.groups] == [[4, 4]] * 3
    ids = [group[0].outcome.task_id for groups in kept.groups for group in groups]
    assert ids == [model.env.task_id(number) for number in range(6)]


def test_the_last_batch_is_finished(small_start):
    model = make(start=small_start)
    model.learn(1)
    assert model.batches_done == 1
    assert model.num_timesteps >= 8


def test_the_value_head_is_left_alone(small_start):
    model = learn(make(start=small_start), 2)
    assert torch.equal(model.policy.state_dict()["value_net.weight"], small_start["value_net.weight"])


@pytest.mark.parametrize("design", ["hdpo", "otc", "lagrangian"])
def test_resuming_is_exact(design, small_start, tmp_path):
    straight = learn(make(start=small_start, reward_design=design), 4)
    stopped = learn(make(start=small_start, reward_design=design), 2)
    stopped.save(tmp_path / "model.zip")
    resumed = HDPO.load(tmp_path / "model.zip", make_env())
    assert resumed.batches_done == 2
    assert resumed.num_timesteps == stopped.num_timesteps
    learn(resumed, 4, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(straight))
    assert resumed.num_timesteps == straight.num_timesteps
    assert resumed.reward_design.state_dict() == straight.reward_design.state_dict()


def test_resuming_after_a_save_in_the_middle_of_a_batch(small_start, tmp_path):
    straight = learn(make(start=small_start, epochs=2, minibatches=2), 3)
    # The third save is in the middle of the second batch: a batch takes at least two steps of all sub_envs.
    checkpoints = CheckpointCallback(save_freq=1, save_path=str(tmp_path), name_prefix="m")
    stopped = learn(make(start=small_start, epochs=2, minibatches=2), 2, callbacks=[checkpoints])
    last = max(tmp_path.glob("m_*_steps.zip"), key=lambda path: int(path.stem.split("_")[1]))
    resumed = HDPO.load(last, make_env())
    assert resumed.batches_done == 1
    assert resumed.num_timesteps < stopped.num_timesteps
    learn(resumed, 3, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(straight))


def test_a_saved_model_holds_no_observations(small_start):
    """256 sub_envs of them would be ten times the size of the policy and its optimiser."""
    model, buffer = learn(make(start=small_start), 1), io.BytesIO()
    model.save(buffer)
    assert len(buffer.getvalue()) < 3 * 4 * len(weights(model)) + 200_000  # weights and Adam's two moments, float32


def test_a_model_goes_through_memory_and_predicts_without_an_environment(small_start):
    model, buffer = make(start=small_start), io.BytesIO()
    model.save(buffer)
    buffer.seek(0)
    copy = HDPO.load(buffer)
    observation, _ = gym.make(ENV).reset(seed=1)
    action, _ = copy.predict(observation, deterministic=True)
    assert action == model.predict(observation, deterministic=True)[0]
    assert gym.make(ENV).action_space.contains(action)
    buffer.seek(0)
    assert HDPO.load(buffer, gym.make(ENV)).env.group_size == 4


def test_workers_change_nothing(small_start):
    here = learn(make(start=small_start), 2)
    env = make_env(workers=2)
    there = learn(make(env, start=small_start), 2)
    env.close()
    assert torch.equal(weights(here), weights(there))


def test_weight_zero_is_grpo_to_the_last_bit(small_start):
    one = learn(make(start=small_start, reward_design="hdpo:w_tool=0"), 3)
    other = learn(make(start=small_start, reward_design="accuracy"), 3)
    assert torch.equal(weights(one), weights(other))


def test_designs_see_the_same_tasks_and_noise(small_start):
    first = []
    for design in ("accuracy", "hdpo"):
        kept = Batches()
        learn(make(start=small_start, reward_design=design), 1, callbacks=[kept])
        first.append([rollout.outcome for group in kept.groups[0] for rollout in group])
    assert first[0] == first[1]


def test_evaluation_callbacks_logger_and_tensorboard(small_start, tmp_path):
    evaluation = EvalCallback(make_env(grader_noise=0.0, split="test"), eval_freq=2, n_eval_episodes=8, verbose=0)
    model = make(start=small_start, tensorboard_log=str(tmp_path))
    learn(model, 2, callbacks=[evaluation], tb_log_name="run")
    assert list(tmp_path.glob("run_1/events*"))
    assert math.isfinite(evaluation.best_mean_reward)
    for env in (make_env(split="test"), model.get_env()):
        mean, spread = evaluate_policy(model, env, n_eval_episodes=10)
        assert 0.0 <= mean <= 1.0
        assert spread >= 0.0


def test_what_is_logged(small_start, tmp_path):
    model = make(start=small_start)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    learn(model, 2)
    model.logger.close()
    names, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert len(rows) == 2
    expected = {
        "rollout/accuracy",
        "rollout/tool_rate",
        "rollout/ep_rew_mean",
        "rollout/sign_reversal",
        "train/grad_norm",
    }
    assert expected <= set(names.split(","))


def test_a_progress_bar(small_start, capfd):
    learn(make(start=small_start), 1, progress_bar=True)
    captured = capfd.readouterr()
    assert "%" in captured.out + captured.err


def test_learning_rates_follow_their_schedule(small_start):
    model = make(start=small_start, learning_rate=lambda remaining: 1e-3 * remaining)
    model.learn(40)
    assert model.policy.optimizer.param_groups[0]["lr"] < 1e-3


def test_the_loss_has_options(small_start):
    clipped = learn(make(start=small_start, loss=LossConfig(denominator="qualifying", surrogate="dapo"), epochs=2), 2)
    assert not torch.equal(weights(clipped), weights(learn(make(start=small_start), 2)))


def test_ids_environments_and_group_environments_are_taken():
    assert HDPO("MultiInputPolicy", ENV, tasks=1, group_size=2).env.num_envs == 2
    assert HDPO("MultiInputPolicy", gym.make(ENV, choices=2), tasks=1, group_size=3).env.num_envs == 3
    assert HDPO("MultiInputPolicy", make_env()).group_size == 4


def test_ppo_runs_on_the_same_environment():
    env = make_env(reward="coupled:alpha=0.1")
    model = PPO(ToolUsePolicy, env, n_steps=4, batch_size=16, n_epochs=1, seed=0)
    before = weights(model)
    model.learn(64)
    assert not torch.equal(weights(model), before)
    alone = PPO(ToolUsePolicy, gym.make(ENV), n_steps=16, batch_size=16, n_epochs=1).learn(16)
    assert alone.policy.features_extractor.channels_first  # the library turns the axes of a single environment


def test_unknown_designs_and_parameters_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'hdpo'"):
        make(reward_design="hpdo")
    with pytest.raises(ConfigError, match="Did you mean 'w_tool'"):
        make(reward_design="hdpo:w_tol=0.1")
    with pytest.raises(ConfigError, match=r"tasks \(2\) must be divisible by minibatches \(3\)"):
        make(minibatches=3)


def test_other_groups_than_the_environments_are_refused():
    with pytest.raises(ConfigError, match=r"Expect group_size \(8\) to be that of the environment \(4\)"):
        make(group_size=8)


def test_other_groups_after_a_load_are_refused(tmp_path):
    make().save(tmp_path / "model.zip")
    with pytest.raises(ConfigError, match=r"Expect tasks \(2\) to be that of the environment \(3\)"):
        HDPO.load(tmp_path / "model.zip", make_env(tasks=3))


def test_what_was_seen_is_kept_once():
    observations = {
        "image": np.array([[1], [2], [1]], dtype=np.uint8),
        "text": np.array([[5], [5], [5]], dtype=np.uint8),
    }
    seen = Seen()
    assert seen.add(observations).tolist() == [0, 1, 0]
    assert seen.add({key: rows[1:] for key, rows in observations.items()}).tolist() == [1, 0]
    assert seen.of(np.array([1, 0, 1]))["image"].tolist() == [[2], [1], [2]]


def test_log_probabilities_are_those_of_one_pass_over_everything(small_start):
    kept = Batches()
    model = learn(make(start=small_start), 1, callbacks=[kept])
    rollouts = [rollout for group in kept.groups[0] for rollout in group]
    tokens = PolicyAdapter(model.policy).logprobs(rollouts)
    for row, rollout in enumerate(rollouts):
        played = rollout.payload
        observations = {k: torch.from_numpy(v) for k, v in played.seen.of(np.array(played.rows)).items()}
        expected = model.policy.get_distribution(observations).log_prob(torch.tensor(played.actions))
        length = len(played.actions)
        torch.testing.assert_close(tokens.logprobs_BT[row, :length], expected, rtol=1e-5, atol=1e-6)
        assert tokens.is_model_token_BT[row].sum() == length


def test_drawing_follows_the_probabilities():
    probabilities = np.array([0.1, 0.0, 0.6, 0.3], dtype=np.float32)
    with np.errstate(divide="ignore"):
        logprobs = np.log(np.tile(probabilities, (20_000, 1)))
    shares = np.bincount(draw(logprobs, np.random.default_rng(0).random(20_000)), minlength=4) / 20_000
    assert shares[1] == 0
    # Four standard errors of a share of .6 among 20,000.
    assert np.abs(shares - probabilities).max() < 4 * math.sqrt(0.24 / 20_000)
