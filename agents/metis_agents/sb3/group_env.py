"""A vector environment that knows groups: P tasks at a time, G sub-environments on each.

stable-baselines3's own vector environments reset a sub-environment to whatever it draws. Group methods need to say
which task and which member of its group it plays. Here both follow from numbers alone:

* group g of round r plays task number r·P + g of the run's stream, drawn by a generator seeded with (seed, number);
* sub-environment e is member e mod G of group e // G;
* `episode`, the third part of grader noise's key, is the round.

So the state of a run is one number, its round, and every design that is trained with the same seed sees the same tasks.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor, ResultsWriter
from stable_baselines3.common.vec_env import VecEnv

from metis_agents.sb3.tool_tasks import ToolTasks
from metis_agents.sub_envs import LocalSubEnvs, Returned, SubEnvs, WorkerSubEnvs, make_from_spec
from metis_gym.backstage import backstage, stream_task_id
from metis_gym.errors import ConfigError
from metis_gym.registration import register_all

__all__ = ["DEFAULT_GROUP_SIZE", "DEFAULT_TASKS", "Env", "GroupVecEnv"]

DEFAULT_TASKS, DEFAULT_GROUP_SIZE = 16, 16

Env = str | gym.Env[Any, Any] | VecEnv

Positions = NDArray[np.intp]


class GroupVecEnv(VecEnv):
    """P × G sub-environments of one numeric environment, as stable-baselines3 steps them.

    An environment that is not of this package is put into `ToolTasks`, unless it is already.

    As any `VecEnv`, it starts the next episode of a sub-environment as soon as one ends. `begin` and `play` are for
    collecting whole rounds: they step only some of the sub-environments and start nothing by themselves.

    Args:
        env: An id, or an environment to make others like it; it is closed only with this one.
        tasks: P, tasks played at the same time.
        group_size: G, sub-environments on each task.
        seed: Of the stream of tasks and of grader noise.
        workers: Processes; 0 for none but this one. Each plays whole groups.
        **make_kwargs: For `gymnasium.make`, with an id.

    Attributes:
        writers: What writes a row for each episode that ends, such as the file of a `VecMonitor`.

    Raises:
        ConfigError: An argument that is not valid, or an environment that is not the numeric view.
    """

    def __init__(
        self,
        env: "str | gym.Env[Any, Any]" = "MetisVQA-Discrete-v0",
        *,
        tasks: int = 16,
        group_size: int = 16,
        seed: int = 0,
        workers: int = 0,
        **make_kwargs: Any,
    ) -> None:
        _check_numbers(tasks=(tasks, 1), group_size=(group_size, 1), seed=(seed, 0), workers=(workers, 0))
        register_all()
        probe = gym.make(env, disable_env_checker=True, **make_kwargs) if isinstance(env, str) else env
        probe = probe if _is_ours(probe) else _as_tool_tasks(probe)
        self.spec, self._draw = _numeric_parts(probe)
        self._is_ours = _is_ours(probe)
        self.tasks, self.group_size, self.stream = tasks, group_size, seed
        self._own_noise_key = self._is_ours and "noise_key" not in self.spec.kwargs
        self._rounds = np.zeros(tasks * group_size, dtype=np.int64)
        self._sub_envs = self._make_sub_envs(min(workers, tasks))
        self._actions: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._returns = np.zeros(tasks * group_size)
        self._lengths = np.zeros(tasks * group_size, dtype=np.int64)
        self._started = time.time()
        self.writers: list[ResultsWriter] = []
        super().__init__(tasks * group_size, probe.observation_space, probe.action_space)
        self.seed(seed)

    def task_id(self, number: int) -> str:
        """Id of the task of this number in the run's stream."""
        return self._draw(self.stream, number)

    def begin(self, round_number: int) -> dict[str, NDArray[Any]]:
        """Start a round in every sub-environment; its first observations, one row for each sub-environment."""
        self._rounds[:] = round_number
        return self._reset(np.arange(self.num_envs)).observations

    def play(self, sub_envs: Positions, actions: NDArray[np.int64]) -> Returned:
        """Step these sub-environments only. Those that are done stay so until `begin` or `reset`."""
        returned = self._sub_envs.step(sub_envs.tolist(), actions.tolist())
        self._returns[sub_envs] += returned.rewards
        self._lengths[sub_envs] += 1
        for position in np.flatnonzero(returned.terminated | returned.truncated):
            sub_env = sub_envs[position]
            seconds = round(time.time() - self._started, 6)
            episode = {"r": float(self._returns[sub_env]), "l": int(self._lengths[sub_env]), "t": seconds}
            returned.infos[position]["episode"] = episode
            for writer in self.writers:
                writer.write_row(episode)
        return returned

    def reset(self) -> dict[str, NDArray[Any]]:
        """Start the first round in every sub-environment."""
        observations = self.begin(0)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Take the actions, one for each sub-environment."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step every sub-environment; those that end start their next round."""
        returned = self.play(np.arange(self.num_envs), self._actions)
        dones = returned.terminated | returned.truncated
        over = np.flatnonzero(dones)
        observations = returned.observations
        for sub_env in over:
            returned.infos[sub_env]["terminal_observation"] = {
                key: rows[sub_env].copy() for key, rows in observations.items()
            }
            returned.infos[sub_env]["TimeLimit.truncated"] = bool(returned.truncated[sub_env])
        if len(over):
            self._rounds[over] += 1
            for key, rows in self._reset(over).observations.items():
                observations[key][over] = rows
        return observations, returned.rewards, dones, returned.infos

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Change the stream of tasks, and the key of grader noise unless `noise_key` was given."""
        if seed is not None:
            _check_numbers(seed=(seed, 0))
            self.stream = seed
        if self._own_noise_key:
            self._sub_envs.call(range(self.num_envs), "rekey", self.stream)
        return [self.stream] * self.num_envs

    def close(self) -> None:
        """Close all sub-environments. May be called twice."""
        self._sub_envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the sub-environments."""
        return self._sub_envs.call(list(self._get_indices(indices)), "get", attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the sub-environments."""
        self._sub_envs.call(list(self._get_indices(indices)), "set", attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of the sub-environments."""
        return self._sub_envs.call(list(self._get_indices(indices)), "method", method_name, method_args, method_kwargs)

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """Whether each sub-environment is wrapped in this. This one itself reports episodes as `Monitor` does."""
        numbers = list(self._get_indices(indices))
        if issubclass(wrapper_class, Monitor):
            return [True] * len(numbers)
        return self._sub_envs.call(numbers, "wrapped", wrapper_class)

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """An image of each sub-environment's conversation, with `render_mode="rgb_array"`."""
        return self.env_method("render")

    def _reset(self, sub_envs: Positions) -> Returned:
        self._returns[sub_envs], self._lengths[sub_envs] = 0.0, 0
        groups, members = np.divmod(sub_envs, self.group_size)
        rounds = self._rounds[sub_envs]
        numbers = rounds * self.tasks + groups
        ids = {number: self.task_id(number) for number in sorted(set(numbers.tolist()))}
        options = [
            {"task_id": ids[number], "member": member, "episode": episode}
            for number, member, episode in zip(numbers.tolist(), members.tolist(), rounds.tolist(), strict=True)
        ]
        returned = self._sub_envs.reset(sub_envs.tolist(), options)
        for sub_env, info in zip(sub_envs, returned.infos, strict=True):
            self.reset_infos[sub_env] = info
        return returned

    def _make_sub_envs(self, workers: int) -> SubEnvs:
        count = self.tasks * self.group_size
        if workers == 0:
            return LocalSubEnvs(lambda: make_from_spec(self.spec), count)
        return WorkerSubEnvs(self.spec, [sub_env // self.group_size % workers for sub_env in range(count)])


def _check_numbers(**numbers: tuple[Any, int]) -> None:
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"Expect `{name}` to be a whole number of at least {least}, actually: {value!r}")


def _is_ours(env: gym.Env[Any, Any]) -> bool:
    try:
        backstage(env)
    except ConfigError:
        return False
    return True


def _as_tool_tasks(env: gym.Env[Any, Any]) -> ToolTasks:
    """An environment that is not of this package, in `ToolTasks` unless it is already."""
    return env if isinstance(env, ToolTasks) else ToolTasks(env)


def _numeric_parts(env: gym.Env[Any, Any]) -> tuple[EnvSpec, Callable[[int, int], str]]:
    """What is needed to make more of this environment and to draw its tasks."""
    space = env.observation_space
    is_numeric = isinstance(space, spaces.Dict) and all(isinstance(part, spaces.Box) for part in space.values())
    if not is_numeric or not isinstance(env.action_space, spaces.Discrete):
        raise ConfigError(
            f"Expect an environment with a Dict of boxes and Discrete actions, such as MetisVQA-Discrete-v0, actually: "
            f"{space} and {env.action_space}"
        )
    if env.spec is None:
        raise ConfigError("Expect an environment that was made by `gymnasium.make`: more like it are to be made")
    if isinstance(env, ToolTasks):
        return without_monitor(env.spec), env.stream_task_id
    return without_monitor(env.spec), functools.partial(stream_task_id, backstage(env).taskset)


def without_monitor(spec: EnvSpec) -> EnvSpec:
    """The spec of the same environment without stable-baselines3's `Monitor`: a group environment does what it does."""
    monitor = f"{Monitor.__module__}:{Monitor.__qualname__}"
    kept = tuple(wrapper for wrapper in spec.additional_wrappers if wrapper.entry_point != monitor)
    return dataclasses.replace(spec, additional_wrappers=kept)
