"""Recorded runs: a folder that holds every observation, action, info and tool result, and replays to the same.

```
run/
├── run.json        format, versions, the environment's spec
├── events.jsonl    one line for each reset and step
└── images/         each picture once, by its fingerprint, as PNG
```

A replay makes the environment anew and feeds it the recorded actions and *tool results*; it runs no code. Running the
tools again is a choice of its own (`live_tools=True`), and reports where they differ.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from metis_gym.env import ToolUseEnv
from metis_gym.errors import InfrastructureError, RecordingError
from metis_gym.pictures import fingerprint, from_png, to_png
from metis_gym.records import PictureArray, ToolCall, ToolResult, ToolStatus
from metis_gym.tools.toolbox import Toolbox

__all__ = ["Difference", "Event", "Run", "RunWriter", "replay"]

FORMAT = 1
_HEADER, _EVENTS, _IMAGES = "run.json", "events.jsonl", "images"


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """A reset or a step.

    Attributes:
        kind: "reset" or "step".
        given: What went in: `{"seed", "options"}` or `{"action"}`.
        returned: What came out: the observation, the info, and for steps reward, terminated and truncated.
        results: What the tools gave in this step.
        failure: The infrastructure error that ended the episode, as text; empty if there was none.
    """

    kind: str
    given: Mapping[str, Any]
    returned: Mapping[str, Any]
    results: tuple[ToolResult, ...] = ()
    failure: str = ""


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


class RunWriter:
    """Writes a run. Every event is on disk when `write` returns; nothing written is ever changed.

    Args:
        folder: Made if it is not there.
        spec: The environment's spec.

    Raises:
        RecordingError: The folder cannot be written, or holds a run already.
    """

    def __init__(self, folder: Path, spec: EnvSpec) -> None:
        self.folder = folder
        self._known: set[str] = set()
        if (folder / _HEADER).exists():
            raise RecordingError(f"{folder} holds a run already; choose another folder or remove it")
        with _saying(f"cannot record into {folder}"):
            (folder / _IMAGES).mkdir(parents=True, exist_ok=True)
            header = {"format": FORMAT, "versions": _versions(), "spec": json.loads(spec.to_json())}
            _write_atomically(folder / _HEADER, json.dumps(header, indent=2).encode())
            self._stream = (folder / _EVENTS).open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        """Append an event.

        Raises:
            RecordingError: The disk is full, or the folder is gone.
        """
        with _saying(f"cannot record into {self.folder}"):
            line = json.dumps(self._encoded(_as_dict(event)))
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._stream.close()

    def _encoded(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3:
                return {"$picture": self._stored(value)}
            return {"$array": value.tolist(), "dtype": str(value.dtype)}
        if isinstance(value, np.generic):
            return {"$scalar": value.item(), "dtype": str(value.dtype)}
        if isinstance(value, tuple):
            return {"$tuple": [self._encoded(item) for item in value]}
        if isinstance(value, list):
            return [self._encoded(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self._encoded(item) for key, item in value.items()}
        return value

    def _stored(self, picture: PictureArray) -> str:
        name = fingerprint(picture)
        if name not in self._known:
            _write_atomically(self.folder / _IMAGES / f"{name}.png", to_png(picture))
            self._known.add(name)
        return name


class Run:
    """A recorded run.

    Args:
        folder: Where it lies.

    Raises:
        RecordingError: There is no run, or it was written in another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _saying(f"{folder} holds no run that can be read"):
            header = json.loads((folder / _HEADER).read_text(encoding="utf-8"))
        if header.get("format") != FORMAT:
            raise RecordingError(f"{folder} is of format {header.get('format')!r}; this version reads format {FORMAT}")
        self.versions: Mapping[str, str] = header["versions"]
        self.spec = EnvSpec.from_json(json.dumps(header["spec"]))

    def events(self) -> Iterator[Event]:
        """The events in order. A last line that was cut off when the writer was killed is left out.

        Raises:
            RecordingError: A line or picture in the middle cannot be read; the message names it.
        """
        with _saying(f"cannot read {self.folder}"):
            lines = (self.folder / _EVENTS).read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines):
            if not line.endswith("\n"):
                return
            with _saying(f"cannot read event {number} of {self.folder}"):
                yield _as_event(self._decoded(json.loads(line)))

    def _decoded(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._decoded(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$picture" in value:
            picture = from_png((self.folder / _IMAGES / f"{value['$picture']}.png").read_bytes())
            if fingerprint(picture) != value["$picture"]:
                raise RecordingError(f"picture {value['$picture']} of {self.folder} is damaged")
            return picture
        if "$array" in value:
            return np.asarray(value["$array"], dtype=value["dtype"])
        if "$scalar" in value:
            return np.dtype(value["dtype"]).type(value["$scalar"])
        if "$tuple" in value:
            return tuple(self._decoded(item) for item in value["$tuple"])
        return {key: self._decoded(item) for key, item in value.items()}


def replay(run: Run, *, live_tools: bool = False) -> Iterator[Difference]:
    """Play a run again and yield every difference; a faithful replay yields none.

    Args:
        run: The recorded run.
        live_tools: Run the tools again instead of taking their recorded results.

    Raises:
        TaskIdError: The run was recorded under other versions of the drawing packages.
    """
    env: gym.Env[Any, Any] = gym.make(run.spec, disable_env_checker=True)
    inner = env.unwrapped
    assert isinstance(inner, ToolUseEnv)
    recorded = _RecordedToolbox(inner.toolbox)
    if not live_tools:
        inner.use_toolbox(recorded)
    with contextlib.closing(env):
        for number, event in enumerate(run.events()):
            recorded.expect(event)
            yield from _differences(number, event, _returned(env, event))


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
    """Gives the recorded results instead of running anything."""

    def __init__(self, original: Toolbox) -> None:
        super().__init__(list(original.tools.values()))
        self.prices = original.prices
        self._results: list[ToolResult] = []
        self._failure = ""

    def expect(self, event: Event) -> None:
        """Take up the results of the next step."""
        self._results = [result for result in event.results if result.status is not ToolStatus.REFUSED]
        self._failure = event.failure

    def run(self, call: ToolCall) -> ToolResult:
        """The next recorded result, or the recorded failure."""
        if self._results:
            return self._results.pop(0)
        if self._failure:
            raise InfrastructureError(self._failure)
        raise RecordingError(f"the recording holds no result for the call {call.name!r}: the replay departs from it")


def _differences(number: int, event: Event, replayed: Mapping[str, Any]) -> Iterator[Difference]:
    for path, recorded, now in _walk("", event.returned, replayed):
        yield Difference(number, path, recorded, now)


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
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return type(first) is type(second) and first.dtype == second.dtype and np.array_equal(first, second)
    return type(first) is type(second) and bool(first == second)


def _as_dict(event: Event) -> dict[str, Any]:
    results = [asdict(result) for result in event.results]
    return {
        "kind": event.kind,
        "given": event.given,
        "returned": event.returned,
        "results": results,
        "failure": event.failure,
    }


def _as_event(fields: Mapping[str, Any]) -> Event:
    results = tuple(ToolResult(**{**result, "status": ToolStatus(result["status"])}) for result in fields["results"])
    return Event(**{**fields, "results": results})


def _versions() -> dict[str, str]:
    from metis_gym import __version__

    return {"metis-gym": __version__, "gymnasium": gym.__version__, "numpy": np.__version__}


def _write_atomically(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_bytes(data)
    partial.replace(path)


@contextlib.contextmanager
def _saying(what: str) -> Iterator[None]:
    """Turn errors of files and their contents into a RecordingError that says what could not be done."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{what}: {type(error).__name__}: {error}") from error
