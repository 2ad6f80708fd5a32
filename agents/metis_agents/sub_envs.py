"""Where the sub-environments of a group environment live: in this process, or in worker processes.

Rendering a task is cached per process, so all sub-environments of a group are in one process: the task is drawn once.
Workers import this module, and so it needs neither stable-baselines3 nor torch, which would take seconds in each.

Axes: n sub-environments of those that a call names, in the order in which it names them.
"""

import contextlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from metis_gym.backstage import backstage
from metis_gym.errors import ConfigError, InfrastructureError, MetisError
from metis_gym.registration import register_all
from metis_gym.registries import adopt, in_process_names

__all__ = ["LocalSubEnvs", "Returned", "SubEnvs", "WorkerSubEnvs", "make_from_spec"]

Observations: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Returned:
    """What n sub-environments returned, from `reset` or `step`.

    Attributes:
        observations: Key → array of shape (n, …).
        rewards: Shape (n,), float32; 0 at reset.
        terminated: Shape (n,), bool.
        truncated: Shape (n,), bool.
        infos: The n infos.
    """

    observations: Observations
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]


class SubEnvs(Protocol):
    """Sub-environments that are reset and stepped by their number."""

    def reset(self, numbers: Sequence[int], options: Sequence[Mapping[str, Any]]) -> Returned:
        """Reset the sub-environments of these numbers, each with its own options."""
        ...

    def step(self, numbers: Sequence[int], actions: Sequence[int]) -> Returned:
        """Step the sub-environments of these numbers."""
        ...

    def call(self, numbers: Sequence[int], function: str, *arguments: Any) -> list[Any]:
        """Call `get`, `set`, `method` or `wrapped` of `LocalSubEnvs` on each of these sub-environments."""
        ...

    def close(self) -> None:
        """Close all sub-environments."""
        ...


class LocalSubEnvs:
    """Sub-environments in this process.

    Args:
        make: Makes one.
        count: How many.
    """

    def __init__(self, make: Callable[[], gym.Env[Any, Any]], count: int) -> None:
        self.envs = [make() for _ in range(count)]

    def reset(self, numbers: Sequence[int], options: Sequence[Mapping[str, Any]]) -> Returned:
        """Reset the sub-environments of these numbers."""
        pairs = [self.envs[number].reset(options=dict(given)) for number, given in zip(numbers, options, strict=True)]
        return _stacked([(observation, 0.0, False, False, info) for observation, info in pairs])

    def step(self, numbers: Sequence[int], actions: Sequence[int]) -> Returned:
        """Step the sub-environments of these numbers."""
        steps = [self.envs[number].step(action) for number, action in zip(numbers, actions, strict=True)]
        return _stacked(steps)

    def call(self, numbers: Sequence[int], function: str, *arguments: Any) -> list[Any]:
        """Call a function of this class on each of these sub-environments."""
        return [getattr(self, function)(self.envs[number], *arguments) for number in numbers]

    def close(self) -> None:
        """Close all sub-environments."""
        for env in self.envs:
            env.close()

    @staticmethod
    def get(env: gym.Env[Any, Any], name: str) -> Any:
        """An attribute, of the outermost wrapper that has it."""
        return env.get_wrapper_attr(name)

    @staticmethod
    def set(env: gym.Env[Any, Any], name: str, value: Any) -> None:
        """Set an attribute of the environment itself, inside all wrappers."""
        setattr(env.unwrapped, name, value)

    @staticmethod
    def method(env: gym.Env[Any, Any], name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Call a method of an environment or of one of its wrappers."""
        return env.get_wrapper_attr(name)(*arguments, **keywords)

    @staticmethod
    def wrapped(env: gym.Env[Any, Any], wrapper: type[gym.Wrapper[Any, Any, Any, Any]]) -> bool:
        """Whether each environment is wrapped in this."""
        while isinstance(env, gym.Wrapper):
            if isinstance(env, wrapper):
                return True
            env = env.env
        return False

    @staticmethod
    def rekey(env: gym.Env[Any, Any], key: int) -> None:
        """Give grader noise another key."""
        backstage(env).use_noise_key(key)


class WorkerSubEnvs:
    """Sub-environments in worker processes, several in each.

    Args:
        spec: What `gymnasium.make` makes them from.
        owners: For each sub-environment, the number of its worker, from 0 on without gaps.
    """

    def __init__(self, spec: EnvSpec, owners: Sequence[int]) -> None:
        workers = max(owners) + 1
        self._owners = np.asarray(owners)
        counts = np.bincount(self._owners, minlength=workers)
        self._places = [int((self._owners[:sub_env] == owner).sum()) for sub_env, owner in enumerate(owners)]
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for count in counts:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, spec.to_json(), int(count), in_process_names()), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def reset(self, numbers: Sequence[int], options: Sequence[Mapping[str, Any]]) -> Returned:
        """Reset the sub-environments of these numbers."""
        return _joined(self._ask("reset", numbers, options))

    def step(self, numbers: Sequence[int], actions: Sequence[int]) -> Returned:
        """Step the sub-environments of these numbers."""
        return _joined(self._ask("step", numbers, actions))

    def call(self, numbers: Sequence[int], function: str, *arguments: Any) -> list[Any]:
        """Call a function of `LocalSubEnvs` on each of these sub-environments."""
        values: list[Any] = [None] * len(numbers)
        for positions, answers in self._ask("call", numbers, None, function, *arguments):
            for position, answer in zip(positions, answers, strict=True):
                values[position] = answer
        return values

    def close(self) -> None:
        """Close the sub-environments and end the workers."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
                pipe.close()
        for process in self._processes:
            process.join(timeout=10)
        self._pipes, self._processes = [], []

    def _ask(
        self, what: str, numbers: Sequence[int], each: Sequence[Any] | None, *arguments: Any
    ) -> list[tuple[NDArray[np.intp], Any]]:
        """Send every worker its share, then wait for all; pairs of the positions in `numbers` and the answer."""
        owners = self._owners[list(numbers)]
        asked = []
        for worker in range(len(self._pipes)):
            positions = np.flatnonzero(owners == worker)
            if len(positions) == 0:
                continue
            places = [self._places[numbers[position]] for position in positions.tolist()]
            share = () if each is None else ([each[position] for position in positions.tolist()],)
            self._pipes[worker].send((what, (places, *share, *arguments)))
            asked.append((positions, worker))
        return [(positions, self._receive(worker)) for positions, worker in asked]

    def _receive(self, worker: int) -> Any:
        try:
            is_fine, answer = self._pipes[worker].recv()
        except EOFError as error:
            code = self._processes[worker].exitcode
            raise InfrastructureError(f"environment worker {worker} ended by itself (exit code {code})") from error
        if not is_fine:
            raise answer
        return answer


def make_from_spec(spec: EnvSpec | str) -> gym.Env[Any, Any]:
    """Make an environment without Gymnasium's own run-time checks.

    Raises:
        ConfigError: A wrapper does not say how it was made.
    """
    register_all()
    spec = EnvSpec.from_json(spec) if isinstance(spec, str) else spec
    try:
        return gym.make(spec, disable_env_checker=True)
    except ValueError as error:
        # Wrappers that the entry point puts on by itself need not say how they were made: it does so again.
        unknown = [wrapper.name for wrapper in spec.additional_wrappers if wrapper.kwargs is None]
        named = next((name for name in unknown if str(error).startswith(f"{name} ")), None)
        if named is None:
            raise
        raise ConfigError(
            f"more environments like this one are to be made, but its wrapper {named} does not say how it was made: "
            "let it inherit from gymnasium.utils.RecordConstructorArgs"
        ) from error


def _work(pipe: Connection, spec: str, count: int, names: Sequence[tuple[str, str, str]]) -> None:
    """The worker: answers until it is told to stop. Errors travel to whoever asked."""
    adopt(names)
    try:
        sub_envs = LocalSubEnvs(lambda: make_from_spec(spec), count)
    except MetisError as error:
        pipe.send((False, error))
        return
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while (message := pipe.recv()) is not None:
            what, arguments = message
            try:
                pipe.send((True, getattr(sub_envs, what)(*arguments)))
            except Exception as error:  # noqa: BLE001 — the one boundary: the asking process raises it
                pipe.send((False, error))
    sub_envs.close()


def _stacked(steps: Sequence[tuple[Any, Any, bool, bool, dict[str, Any]]]) -> Returned:
    observations = [step[0] for step in steps]
    return Returned(
        observations={key: np.stack([observation[key] for observation in observations]) for key in observations[0]},
        rewards=np.array([step[1] for step in steps], dtype=np.float32),
        terminated=np.array([step[2] for step in steps], dtype=np.bool_),
        truncated=np.array([step[3] for step in steps], dtype=np.bool_),
        infos=[step[4] for step in steps],
    )


def _joined(parts: Sequence[tuple[NDArray[np.intp], Returned]]) -> Returned:
    """The workers' answers in the order of the question."""
    order = np.argsort(np.concatenate([positions for positions, _ in parts]))
    answers = [answer for _, answer in parts]
    infos = [info for answer in answers for info in answer.infos]
    return Returned(
        observations={
            key: np.concatenate([answer.observations[key] for answer in answers])[order]
            for key in answers[0].observations
        },
        rewards=np.concatenate([answer.rewards for answer in answers])[order],
        terminated=np.concatenate([answer.terminated for answer in answers])[order],
        truncated=np.concatenate([answer.truncated for answer in answers])[order],
        infos=[infos[position] for position in order],
    )
