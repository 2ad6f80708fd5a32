"""HDPO as a stable-baselines3 algorithm (arXiv 2604.08545); with another reward design, that design's."""

import io
import math
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.vec_env import VecEnv

from metis_agents.hdpo import BatchReport, LossConfig, Rollout, Trainer, TrainerConfig
from metis_agents.sb3.callbacks import TimestepsBar
from metis_agents.sb3.group_env import GroupVecEnv
from metis_agents.sb3.policy import ToolUsePolicy
from metis_agents.sb3.rollouts import GroupCollector, Played, PolicyAdapter
from metis_agents.sb3.seats import Returned
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.metrics import means
from metis_gym.rewards.contract import RewardDesign

__all__ = ["HDPO"]

Self = TypeVar("Self", bound="HDPO")
Env = str | gym.Env[Any, Any] | VecEnv

_TASKS, _GROUP_SIZE = 16, 16
_LOGGED = ("accuracy", "tool_rate", "redundant_rate", "tool_recall", "tool_calls", "tool_cost")


class HDPO(BaseAlgorithm):
    """Compares episodes of the same task: P tasks × G episodes in a batch, one forward pass for all channels.

    Timesteps are environment steps. A batch is always finished and learned from: `learn` may take a few steps more than
    it was asked for, and a callback that says stop stops after the batch. `save` holds the state before the batch that
    is being collected, so resuming is exact from wherever it was called.

    The environment's own `reward` is only logged; what is learned from is `reward_design`.

    Args:
        policy: "MultiInputPolicy", or a policy class with a categorical distribution.
        env: An id, an environment made by `gymnasium.make`, or a `GroupVecEnv`.
        learning_rate: Of Adam; a number or a schedule of the remaining share of training.
        tasks: P; by default the environment's, else 16.
        group_size: G; by default the environment's, else 16.
        reward_design: A design, or its name or spec: "hdpo", "coupled:alpha=0.1", one's own.
        minibatches: Optimiser steps that a batch is cut into, by task.
        epochs: How often a batch is gone through.
        max_grad_norm: Gradients are scaled down to this norm; None never.
        loss: Surrogate, denominator, aggregation and regularisers.
        stats_window_size: Episodes that the logged mean reward is taken over.
        tensorboard_log: Folder of TensorBoard's logs.
        policy_kwargs: For the policy.
        verbose: 0 for no output, 1 for messages and logs.
        seed: Of weights, tasks, actions and grader noise; 0 if None.
        device: "cpu", "cuda" or "auto".

    Raises:
        ConfigError: An argument that cannot be right; the message names the nearest valid ones.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MultiInputPolicy": ToolUsePolicy}
    policy: ActorCriticPolicy

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: Env | None,
        learning_rate: float | Schedule = 5e-4,
        tasks: int | None = None,
        group_size: int | None = None,
        reward_design: str | RewardDesign = "hdpo",
        minibatches: int = 1,
        epochs: int = 1,
        max_grad_norm: float | None = 1.0,
        loss: LossConfig | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy=policy,
            env=None if env is None else as_group_env(env, tasks, group_size, seed or 0),
            learning_rate=learning_rate,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            supported_action_spaces=(spaces.Discrete,),
        )
        if isinstance(self.env, GroupVecEnv):
            tasks, group_size = self.env.tasks, self.env.group_size
        self.tasks, self.group_size = tasks or _TASKS, group_size or _GROUP_SIZE
        self.reward_design = rewards.make(reward_design)
        self.minibatches, self.epochs, self.max_grad_norm = minibatches, epochs, max_grad_norm
        self.loss = loss or LossConfig()
        self._resume: dict[str, Any] | None = None
        self._boundary = 0
        self.last_report: BatchReport | None = None
        if _init_setup_model:
            self._setup_model()

    @property
    def batches_done(self) -> int:
        """Batches learned from."""
        return self.trainer.batches_done

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "HDPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Learn for so many environment steps, and to the end of the last batch.

        Args:
            total_timesteps: Environment steps; more than before with `reset_num_timesteps=False`.
            callback: The library's callbacks.
            log_interval: Batches between logs.
            tb_log_name: Name of the run in TensorBoard's folder.
            reset_num_timesteps: Count timesteps from 0 on. The stream of tasks goes on in any case.
            progress_bar: Show one (tqdm and rich).
        """
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        self._boundary = self.num_timesteps
        callback.on_training_start(locals(), globals())
        goes_on = True
        while goes_on and self.num_timesteps < total_timesteps:
            groups, goes_on = self._collect(callback)
            self._learn_from(groups)
            self._boundary = self.num_timesteps
            if log_interval and self.batches_done % log_interval == 0:
                self._log(groups)
        callback.on_training_end()
        return self

    def save(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Save everything that is needed to go on exactly, as it was before the batch that is being collected.

        Args:
            path: A file, or where to write.
            exclude: Attributes to leave out.
            include: Attributes to save though they are left out by default.
        """
        state = self.trainer.state_dict()
        self._resume = {key: value for key, value in state.items() if key not in ("policy", "optimizer", "collector")}
        steps, self.num_timesteps = self.num_timesteps, self._boundary
        try:
            super().save(path, exclude, include)
        finally:
            self.num_timesteps, self._resume = steps, None

    @classmethod
    def load(  # type: ignore[override]
        cls: type[Self],
        path: str | pathlib.Path | io.BufferedIOBase,
        env: Env | None = None,
        **options: Any,
    ) -> Self:
        """Load what `save` wrote.

        Args:
            path: The file.
            env: The environment to go on in; None to predict only. It gets the saved numbers of tasks and members.
            **options: As `BaseAlgorithm.load` takes them.

        Raises:
            ConfigError: The environment is one of other groups.
        """
        if env is not None:
            data, _, _ = load_from_zip_file(path, load_data=True, device="cpu")
            assert data is not None, "a saved model has data"
            env = as_group_env(env, data["tasks"], data["group_size"], data["seed"] or 0)
            if isinstance(path, io.IOBase):
                path.seek(0)
        model = super().load(path, env=cast("Any", env), **options)
        model._take_up()
        return model

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)
        config = TrainerConfig(
            tasks=self.tasks,
            group_size=self.group_size,
            minibatches=self.minibatches,
            epochs=self.epochs,
            max_grad_norm=self.max_grad_norm,
            seed=self.seed or 0,
            loss=self.loss,
        )
        adapter = PolicyAdapter(self.policy)
        collector = GroupCollector(adapter, self.seed or 0)
        self.trainer = Trainer(adapter, collector, self.reward_design, config, optimizer=self.policy.optimizer)

    def _take_up(self) -> None:
        """Go on where `save` was called; weights and optimiser are loaded already."""
        state = {**self.trainer.state_dict(), **(self._resume or {})}
        state["collector"] = {"round": state["batches_done"]}
        self.trainer.load_state_dict(state)
        self._resume = None

    def _collect(self, callback: BaseCallback) -> tuple[list[list[Rollout[Played]]], bool]:
        """Play one batch; and whether no callback said stop."""
        answers = []

        def on_step(returned: Returned) -> None:
            self.num_timesteps += len(returned.infos)
            self._update_info_buffer(returned.infos, returned.terminated | returned.truncated)
            callback.update_locals({"returned": returned, "infos": returned.infos, "rewards": returned.rewards})
            answers.append(callback.on_step())

        callback.on_rollout_start()
        collector = cast("GroupCollector", self.trainer.collector)
        collector.env, collector.on_step = cast("GroupVecEnv", self.env), on_step
        groups = collector.collect(self.tasks, self.group_size)
        callback.update_locals({"groups": groups})
        callback.on_rollout_end()
        return groups, all(answers)

    def _learn_from(self, groups: list[list[Rollout[Played]]]) -> None:
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        self._update_learning_rate(self.policy.optimizer)
        self.last_report = self.trainer.learn(groups)
        self._n_updates += len(self.last_report.updates)

    def _log(self, groups: list[list[Rollout[Played]]]) -> None:
        report = self.last_report
        assert report is not None, "a batch was learned from"
        for name, value in means((rollout.outcome for group in groups for rollout in group), _LOGGED).items():
            if not math.isnan(value):
                self.logger.record(f"rollout/{name}", value)
        if self.ep_info_buffer:
            for name, key in (("ep_rew_mean", "r"), ("ep_len_mean", "l")):
                self.logger.record(f"rollout/{name}", float(np.mean([info[key] for info in self.ep_info_buffer])))
        for name in ("sign_reversal", "cosine", "signal", "unscored"):
            self.logger.record(f"rollout/{name}", float(getattr(report.batch, name)))
        for name, value in report.updates[-1].flat().items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("time/batches", self.batches_done, exclude="tensorboard")
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(step=self.num_timesteps)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        if progress_bar:
            given = callback if isinstance(callback, list) else [callback]
            callback = [one if isinstance(one, BaseCallback) else ConvertCallback(one) for one in given]
            callback.append(TimestepsBar())
        return super()._init_callback(callback)

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:  # noqa: ARG004
        """Pictures stay as they are: the extractor reads both orders of axes."""
        return as_group_env(env)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "trainer", "last_report", "_last_obs"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []


def as_group_env(env: Env, tasks: int | None = None, group_size: int | None = None, seed: int = 0) -> GroupVecEnv:
    """Make a group environment of what was given, or check that it is the one that is wanted.

    Raises:
        ConfigError: It is another vector environment, or one of other groups.
    """
    if not isinstance(env, VecEnv):
        return GroupVecEnv(env, tasks=tasks or _TASKS, group_size=group_size or _GROUP_SIZE, seed=seed)
    if not isinstance(env, GroupVecEnv):
        raise ConfigError(
            f"HDPO compares episodes of one task and needs to say who plays which: give it an id, an environment or a "
            f"metis_agents.sb3.GroupVecEnv, actually: {type(env).__name__}"
        )
    for name, given, own in (("tasks", tasks, env.tasks), ("group_size", group_size, env.group_size)):
        if given is not None and given != own:
            raise ConfigError(f"Expect {name} ({given}) to be that of the environment ({own})")
    return env
