"""Plays a run again and compares."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from metis_gym.backstage import backstage
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError, InfrastructureError, InvalidActionError, RecordingError, TaskIdError
from metis_gym.recording.choices import chosen
from metis_gym.recording.events import Event
from metis_gym.recording.files import HEADER
from metis_gym.recording.reader import Run
from metis_gym.records import Task, ToolCall, ToolResult, ToolStatus
from metis_gym.registration import register_all
from metis_gym.tools.toolbox import Toolbox

__all__ = ["Difference", "replay"]


@dataclass(frozen=True)
class Difference:
    """Where a replay departs from the recording.

    Attributes:
        event: Number of the event in the run, from 0 on.
        field: Which part: "observation.text", "info.correct", …. "info" keys that one side lacks are named alone.
        recorded: The recorded value.
        replayed: The value of the replay.
    """

    event: int
    field: str
    recorded: Any
    replayed: Any


def replay(run: Run, *, live_tools: bool = False, trust: bool = False) -> Iterator[Difference]:
    """Play a run again and yield every difference; a faithful replay yields none.

    Without `live_tools`, no tool is run, no session opened and no network used, whatever the run says. With it, the
    recorded calls are run by the default sandbox and the default search engines.

    Args:
        run: The recorded run.
        live_tools: Run the tools again instead of taking their recorded results.
        trust: Make whatever environment the run names, with every argument and wrapper: files, addresses and keys of
            its choice, and *any code*. Only for runs that you know.

    Raises:
        RecordingError: The run names something that a recording may not choose, or cannot be read or played; the
            message names the line.
        TaskIdError: The run was recorded under other versions of the drawing packages.
    """
    env = _trusted(run) if trust else _made(run)
    inside = backstage(env)
    recorded = _RecordedToolbox(inside.toolbox)
    if not live_tools:
        inside.use_toolbox(recorded)
    with contextlib.closing(env):
        for number, event in enumerate(run.events()):
            recorded.expect(event)
            with _naming(run.place(number)):
                replayed = _returned(env, event)
            for path, before, now in _walk("", event.returned, replayed):
                yield Difference(number, path, before, now)


def _made(run: Run) -> gym.Env[Any, Any]:
    """One of this package's environments, with checked arguments."""
    register_all()
    with _naming(f"cannot replay {run.folder} ({HEADER})"):
        env_id, arguments = chosen(run.spec)
        return gym.make(env_id, disable_env_checker=True, **arguments)


def _trusted(run: Run) -> gym.Env[Any, Any]:
    """Make the environment that a run names, without checking it: for runs that the user vouches for."""
    register_all()
    try:
        env: gym.Env[Any, Any] = gym.make(EnvSpec.from_json(json.dumps(run.spec)), disable_env_checker=True)
    except (ConfigError, gym.error.Error, ImportError, AttributeError, TypeError, ValueError) as error:
        raise RecordingError(f"cannot replay {run.folder} ({HEADER}): {error}") from error
    if not isinstance(env.unwrapped, ToolUseEnv):
        env.close()
        raise RecordingError(f"{run.folder / HEADER} names an environment that is none of metis-gym's")
    return env


def _returned(env: gym.Env[Any, Any], event: Event) -> Mapping[str, Any]:
    if event.kind == "reset":
        task_id = event.returned["info"]["task_id"]
        observation, info = env.reset(seed=event.given["seed"], options={**event.given["options"], "task_id": task_id})
        return {"observation": observation, "info": info}
    observation, reward, terminated, truncated, info = env.step(event.given["action"])
    return {
        "observation": observation,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "info": info,
    }


class _RecordedToolbox(Toolbox):
    """Gives the recorded results instead of running anything: no session of a tool is ever opened."""

    def __init__(self, original: Toolbox) -> None:
        super().__init__(list(original.tools.values()))
        self.prices = original.prices
        self._results: list[ToolResult] = []
        self._failure = ""

    def open(self, task: Task, *, seed: int) -> None:
        """Open no tool: results come from the recording."""

    def expect(self, event: Event) -> None:
        """Take up the results of the next step."""
        self._results = [result for result in event.results if result.status is not ToolStatus.REFUSED]
        self._failure = event.failure

    def run(self, call: ToolCall) -> ToolResult:
        """The next recorded result, or the recorded failure."""
        if not self._results:
            if self._failure:
                raise InfrastructureError(self._failure)
            raise RecordingError(f"it holds no result for the call {call.name!r:.80}: the replay departs from it")
        result = self._results.pop(0)
        if result.status is not ToolStatus.INVALID and result.name not in self.tools:
            raise RecordingError(f"it holds a result of {result.name!r:.80}, which is no tool of its environment")
        return result


@contextlib.contextmanager
def _naming(place: str) -> Iterator[None]:
    """Say where in the run the environment refused what it was given."""
    try:
        yield
    except TaskIdError as error:
        raise TaskIdError(f"{place}: {error}") from error
    except (RecordingError, InvalidActionError, ConfigError, gym.error.Error) as error:
        raise RecordingError(f"{place}: {error or type(error).__name__}") from error


def _walk(path: str, recorded: Any, replayed: Any) -> Iterator[tuple[str, Any, Any]]:
    """Pairs of leaves that differ."""
    if isinstance(recorded, Mapping) and isinstance(replayed, Mapping):
        for key in sorted({*recorded, *replayed}):
            yield from _walk(f"{path}.{key}".lstrip("."), recorded.get(key), replayed.get(key))
    elif isinstance(recorded, tuple) and isinstance(replayed, tuple) and len(recorded) == len(replayed):
        for index, (first, second) in enumerate(zip(recorded, replayed, strict=True)):
            yield from _walk(f"{path}[{index}]", first, second)
    elif not _same(recorded, replayed):
        yield path, recorded, replayed


def _same(first: Any, second: Any) -> bool:
    if type(first) is not type(second) or isinstance(first, tuple):
        return False  # tuples that come here are of different lengths
    if isinstance(first, np.ndarray):
        return bool(first.dtype == second.dtype and np.array_equal(first, second))
    return bool(first == second)
