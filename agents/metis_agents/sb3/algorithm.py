"""HDPO as a stable-baselines3 algorithm (arXiv 2604.08545); with another reward design, that design's."""

import dataclasses
import io
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar, cast

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import VecEnv

from metis_agents.rl import BatchReport, LossConfig, Rollout, Trainer, TrainerConfig
from metis_agents.sb3.callbacks import TimestepsBar
from metis_agents.sb3.given_envs import as_group_env
from metis_agents.sb3.group_env import DEFAULT_GROUP_SIZE, DEFAULT_TASKS, Env, GroupVecEnv
from metis_agents.sb3.logs import record_batch, record_episodes, record_times
from metis_agents.sb3.policy import ToolUsePolicy, seen_by
from metis_agents.sb3.rollouts import GroupCollector, Played, PolicyAdapter
from metis_agents.sb3.saving import (
    ARGUMENTS,
    COUNTERS,
    File,
    argument,
    is_pickled,
    open_model,
    spaces_of_box,
    write_model,
)
from metis_agents.sb3.snapshot import content_of, take_up, take_up_training
from metis_agents.states import check_optimizer_state, fitting
from metis_agents.sub_envs import Returned
from metis_gym import rewards
from metis_gym.errors import CheckpointError, ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import RewardDesign
from metis_gym.terminal import say

__all__ = ["HDPO"]

Self = TypeVar("Self", bound="HDPO")


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
        ConfigError: An argument that is not valid; the message names the nearest valid ones.
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
        self.tasks, self.group_size = tasks or DEFAULT_TASKS, group_size or DEFAULT_GROUP_SIZE
        self.reward_design = rewards.make(reward_design)
        self.minibatches, self.epochs, self.max_grad_norm = minibatches, epochs, max_grad_norm
        self.loss = loss or LossConfig()
        self._resume: dict[str, Any] | None = None
        self._boundary = 0
        self.last_report: BatchReport | None = None
        self._outcomes: tuple[Outcome, ...] = ()
        if _init_setup_model:
            self._setup_model()

    @property
    def batches_done(self) -> int:
        """How many batches the policy has learned from."""
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
        self.adapter.anchor()
        callback.on_training_start(locals(), globals())
        goes_on = True
        while goes_on and self.num_timesteps < total_timesteps:
            groups, goes_on = self._collect(callback)
            self._learn_from(groups)
            self._boundary = self.num_timesteps
            if log_interval and self.batches_done % log_interval == 0:
                self.dump_logs()
        callback.on_training_end()
        return self

    def save(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Save everything that is needed to go on exactly, as it was before the batch that is being collected.

        The file is a zip without pickled objects (`metis_agents.sb3.saving`). What is code, such as a schedule of the
        learning rate or a class of one's own, is not in it and is given to `load` again.

        Args:
            path: A file, or where to write.
            exclude: Arguments to leave out; `load` has to be given them.
            include: Nothing more can be saved; for stable-baselines3's signature.

        Raises:
            ConfigError: `include` names something else than arguments.
        """
        if include is not None and (unknown := set(include) - {*ARGUMENTS, *COUNTERS}):
            raise ConfigError(f"HDPO saves numbers and weights, no further objects; actually asked for: {unknown}")
        write_model(path, content_of(self, self._boundary, set(exclude or ())))

    @classmethod
    def load(
        cls: type[Self],
        path: str | pathlib.Path | io.BufferedIOBase,
        env: Env | None = None,
        device: torch.device | str = "auto",
        custom_objects: Mapping[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,  # noqa: ARG003 — nothing of an episode is saved
        *,
        trust: bool = False,
        **changes: Any,
    ) -> Self:
        """Load what `save` wrote. Nothing in the file is run, whoever wrote it.

        Args:
            path: The file.
            env: The environment to go on in; None to predict only. It gets the saved numbers of tasks and members.
            device: Where the model goes.
            custom_objects: As `changes`, and `policy_class`; for stable-baselines3's signature.
            print_system_info: Say which system wrote the file.
            force_reset: For stable-baselines3's signature.
            trust: Read a file of stable-baselines3's own form, such as HDPO's before 0.2: it holds pickled objects,
                which *run any code* that is in them. Only for files that you know.
            **changes: Arguments in place of those in the file. Where logs go (`tensorboard_log`) is never in it.

        Raises:
            CheckpointError: The file is damaged, of another form, or lacks an argument that is code.
            ConfigError: The environment is one of other groups.
        """
        if trust and is_pickled(path):
            return cls._load_pickled(path, env, device=device, custom_objects=custom_objects, **changes)
        content, system = open_model(path)
        if print_system_info:
            say(f"== SYSTEM THAT SAVED THE MODEL ==\n{system}")
        given = {**(custom_objects or {}), **changes}
        with fitting(f"the content of {path}" if isinstance(path, str | pathlib.Path) else "the content of the file"):
            return cls._of(content, env, device, given)

    @classmethod
    def _of(
        cls: type[Self], content: Mapping[str, Any], env: Env | None, device: Any, given: Mapping[str, Any]
    ) -> Self:
        """A model of what stood in a file, with some arguments in place of the file's."""
        policy = given.get("policy_class", content["policy"])
        if policy is None or (isinstance(policy, str) and policy not in cls.policy_aliases):
            raise CheckpointError('its policy is a class of its own: give it again, custom_objects={"policy_class": …}')
        saved = content["arguments"]
        arguments = {name: given[name] if name in given else argument(name, saved.get(name)) for name in ARGUMENTS}
        if env is not None:
            env = as_group_env(env, arguments["tasks"], arguments["group_size"], arguments["seed"] or 0)
            check_for_correct_spaces(env, *map(spaces_of_box, (content["observation_space"], content["action_space"])))
        logs = given.get("tensorboard_log")
        model = cls(policy, env, **arguments, tensorboard_log=logs, device=device, _init_setup_model=False)
        if env is None:
            model.observation_space = spaces_of_box(content["observation_space"])
            model.action_space = spaces_of_box(content["action_space"])
        model.__dict__.update({name: given[name] for name in given.keys() & model.__dict__.keys() - {*ARGUMENTS}})
        model._setup_model()
        take_up(model, content, arguments["stats_window_size"])
        model._boundary = model.num_timesteps
        return model

    @classmethod
    def _load_pickled(cls: type[Self], path: File, env: Env | None, **options: Any) -> Self:
        """Load a file of stable-baselines3's own form. This unpickles, and so runs what the file says."""
        if env is not None:
            data, _, _ = load_from_zip_file(path, load_data=True, device="cpu")
            assert data is not None, "a saved model has data"
            env = as_group_env(env, data["tasks"], data["group_size"], data["seed"] or 0)
            if isinstance(path, io.IOBase):
                path.seek(0)
        model = super().load(path, env=cast("Any", env), **options)
        resume, model._resume = model._resume, None
        take_up_training(model, {**model.trainer.state_dict(), **(resume or {})})
        return model

    def set_env(self, env: Env, force_reset: bool = True) -> None:
        """Go on in another environment of the same spaces, also in one of other groups.

        Args:
            env: As at the beginning. A `GroupVecEnv` brings its own numbers of tasks and members.
            force_reset: For stable-baselines3's signature.

        Raises:
            ConfigError: The number of tasks is no multiple of the minibatches.
        """
        asked = {} if isinstance(env, VecEnv) else {"tasks": self.tasks, "group_size": self.group_size}
        group_env = as_group_env(env, seed=self.seed or 0, **asked)
        tasks, group_size = group_env.tasks, group_env.group_size
        self.trainer.config = dataclasses.replace(self.trainer.config, tasks=tasks, group_size=group_size)
        self.tasks, self.group_size, self.n_envs = tasks, group_size, group_env.num_envs
        super().set_env(group_env, force_reset)

    def set_parameters(
        self,
        load_path_or_dict: str | Mapping[str, Any],
        exact_match: bool = True,
        device: torch.device | str = "auto",
    ) -> None:
        """Take weights and moments from a dictionary, or from a file that `save` wrote.

        Raises:
            CheckpointError: The file is damaged or of another form, or the weights do not fit.
        """
        if not isinstance(load_path_or_dict, Mapping):
            content, _ = open_model(load_path_or_dict)
            with fitting(f"the content of {load_path_or_dict}"):
                state = content["trainer"]
                load_path_or_dict = {"policy": state["policy"], "policy.optimizer": state["optimizer"]}
        if "policy.optimizer" in load_path_or_dict:
            check_optimizer_state(self.policy.optimizer, load_path_or_dict["policy.optimizer"])
        with fitting("the policy"):
            super().set_parameters(dict(load_path_or_dict), exact_match, device)

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        observation_space = seen_by(self.policy_class, self.policy_kwargs, self.observation_space)
        self.policy = self.policy_class(  # type: ignore[assignment]
            observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
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
        adapter = PolicyAdapter(self.policy, entropy=self.loss.entropy_coef > 0, anchored=self.loss.kl_coef > 0)
        collector = GroupCollector(adapter, self.seed or 0)
        self.trainer = Trainer(adapter, collector, self.reward_design, config, optimizer=self.policy.optimizer)

    @property
    def adapter(self) -> PolicyAdapter:
        """The policy as the trainer's, and its reference."""
        return cast("PolicyAdapter", self.trainer.policy)

    @property
    def policy_name(self) -> str | None:
        """The alias of the policy's class; None for one of the user's own."""
        names = [name for name, kind in self.policy_aliases.items() if kind is self.policy_class]
        return names[0] if names else None

    def _collect(self, callback: BaseCallback) -> tuple[list[list[Rollout[Played]]], bool]:
        """Play one batch; and whether no callback said stop."""
        answers = []

        def on_step(returned: Returned) -> None:
            self.num_timesteps += len(returned.infos)
            dones = returned.terminated | returned.truncated
            self._update_info_buffer(returned.infos, dones)
            callback.update_locals(
                {"returned": returned, "infos": returned.infos, "rewards": returned.rewards, "dones": dones}
            )
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
        # A batch may take more steps than were asked for: no schedule sees less than nothing left.
        self._current_progress_remaining = max(0.0, self._current_progress_remaining)
        self._update_learning_rate(self.policy.optimizer)
        self.last_report = self.trainer.learn(groups)
        self._outcomes = tuple(rollout.outcome for group in groups for rollout in group)
        self._n_updates += len(self.last_report.updates)

    def dump_logs(self, iteration: int = 0) -> None:  # noqa: ARG002 — the library's signature
        """Write what is known of the last batch and the last episodes into the logs."""
        if self.last_report is not None:
            record_batch(self.logger, self._outcomes, self.last_report)
        record_episodes(self.logger, self.ep_info_buffer or ())
        record_times(self.logger, updates=self._n_updates, batches=self.batches_done, timesteps=self.num_timesteps)
        self.logger.dump(step=self.num_timesteps)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        if progress_bar:
            given = callback if isinstance(callback, list) else [callback]
            callback = [one if isinstance(one, BaseCallback) else ConvertCallback(one) for one in given]
            callback.append(TimestepsBar())
        return super()._init_callback(callback)

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:  # noqa: ARG004
        """Images stay as they are: the extractor reads both orders of axes."""
        return as_group_env(env)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "trainer", "last_report", "_outcomes", "_last_obs"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []
