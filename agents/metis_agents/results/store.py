"""The folder of an evaluation: what was played is kept when an episode ends, and a second start goes on.

```
run/
├── settings.json     what decides the outcomes; a second start must be of the same
├── outcomes.jsonl    one line for each episode, appended when it ends; in order when the evaluation is over
├── discarded.jsonl   episodes that were not scored and were played again: they count in the cost, and nowhere else
└── report.json       metrics, usage and cost
```
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from metis_agents.chat.usage import Usage
from metis_agents.episodes import Played
from metis_gym.errors import StorageError
from metis_gym.records import Outcome
from metis_gym.storage import write_atomically, write_json

__all__ = [
    "OUTCOMES",
    "REPORT",
    "SETTINGS",
    "ResultStore",
    "read_outcomes",
    "read_report",
    "read_settings",
    "write_outcomes",
]

SETTINGS, OUTCOMES, DISCARDED, REPORT = "settings.json", "outcomes.jsonl", "discarded.jsonl", "report.json"
_LOCK = ".lock"
_MAX_DIFFERENCES = 5
_SYNC_SECONDS = 0.25
_KEPT = ("usage", "failure", "ended", "answer", "step", "labels", "measures")


class ResultStore:
    """Keeps the episodes of one evaluation. One process at a time writes a folder.

    Args:
        folder: Made if it is not there.
        settings: What decides the outcomes; values that JSON can hold.

    Attributes:
        played: What is there, by the episode's number.
        discarded: What the episodes used that were played again.

    Raises:
        StorageError: The folder cannot be written, another process writes it, or it holds an evaluation with other
            settings.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._stream: BinaryIO | None = None
        self._synced = -math.inf
        with _saying(f"cannot write results to {self.folder}"), contextlib.ExitStack() as opened:
            self.folder.mkdir(parents=True, exist_ok=True)
            opened.enter_context(_locked(self.folder))
            self._agree(json.loads(json.dumps(settings, default=repr)))
            self._stream = opened.enter_context((self.folder / OUTCOMES).open("ab"))
            self.played = self._read()
            self.discarded = list(self._set_aside())
            self._opened = opened.pop_all()

    def __enter__(self) -> "ResultStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, played: Played) -> None:
        """Keep an episode: from here on it outlives this process.

        It outlives the machine, too, once it is on the disk. Where episodes are short, those of a quarter of a second
        go there together, since waiting for the disk takes longer than playing many of them.

        Raises:
            StorageError: It cannot be written.
        """
        assert self._stream is not None
        with _saying(f"cannot write results to {self.folder}"):
            self._stream.write(_line(played))
            self._stream.flush()
            if time.monotonic() >= self._synced + _SYNC_SECONDS:
                os.fsync(self._stream.fileno())
                self._synced = time.monotonic()
        self.played[played.number] = played

    def close(self) -> None:
        """Put the episodes in order, and close. May be called twice."""
        if self._stream is None:
            return
        with _saying(f"cannot write results to {self.folder}"):
            lines = b"".join(_line(self.played[number]) for number in sorted(self.played))
            write_atomically(self.folder / OUTCOMES, lines)
            self._stream = None
            self._opened.close()

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write `report.json`.

        Raises:
            StorageError: It cannot be written.
        """
        with _saying(f"cannot write results to {self.folder}"):
            write_json(self.folder / REPORT, report)

    def _agree(self, settings: Mapping[str, Any]) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            write_json(path, settings)
            return
        stored = json.loads(path.read_text(encoding="utf-8"))
        differences = list(_differences(stored, settings))
        if differences:
            raise StorageError(
                f"{self.folder} holds an evaluation with other settings: {'; '.join(differences[:_MAX_DIFFERENCES])}. "
                "Choose another folder, or give the settings that it was begun with."
            )

    def _read(self) -> dict[int, Played]:
        """What is there; a last line that was cut off when the process was killed is removed."""
        assert self._stream is not None
        path = self.folder / OUTCOMES
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self._stream.truncate(len(whole))
        return {played.number: played for played in _parsed(whole, path)}

    def _set_aside(self) -> Iterator[Usage]:
        """Take out the episodes that were not scored, which are played again; gives what they used."""
        lost = [played for played in self.played.values() if not played.outcome.scored]
        path = self.folder / DISCARDED
        before = path.read_bytes() if path.exists() else b""
        before = before[: before.rfind(b"\n") + 1]
        if lost:
            write_atomically(path, before + b"".join(map(_line, lost)))
            for played in lost:
                del self.played[played.number]
        for played in (*_parsed(before, path), *lost):
            yield Usage.from_json(dict(played.usage))


def read_outcomes(folder: str | Path) -> tuple[Played, ...]:
    """The episodes of an evaluation, in order; it may be running.

    Raises:
        StorageError: There are none, or they cannot be read.
    """
    path = Path(folder) / OUTCOMES
    with _saying(f"{folder} holds no evaluation that can be read"):
        data = path.read_bytes()
        found = {played.number: played for played in _parsed(data[: data.rfind(b"\n") + 1], path)}
    return tuple(found[number] for number in sorted(found))


def read_report(folder: str | Path) -> dict[str, Any]:
    """What the report of an evaluation says; empty while there is none.

    Raises:
        StorageError: It cannot be read.
    """
    path = Path(folder) / REPORT
    with _saying(f"{folder} holds no report that can be read"):
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(found, dict):
            raise ValueError("a report is an object")
        return found


def read_settings(folder: str | Path) -> dict[str, Any]:
    """What an evaluation was begun with.

    Raises:
        StorageError: It cannot be read.
    """
    with _saying(f"{folder} holds no evaluation that can be read"):
        found: dict[str, Any] = json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8"))
        return found


def write_outcomes(folder: str | Path, played: Iterable[Played], report: Mapping[str, Any]) -> None:
    """Replace the outcomes and the report of an evaluation, such as after grading again.

    Raises:
        StorageError: They cannot be written, or another process writes them.
    """
    with _saying(f"cannot write results to {folder}"), _locked(Path(folder)):
        write_atomically(Path(folder) / OUTCOMES, b"".join(map(_line, played)))
        write_json(Path(folder) / REPORT, report)


def _line(played: Played) -> bytes:
    row: dict[str, Any] = {"number": played.number, "outcome": played.outcome.to_info()}
    row |= {name: getattr(played, name) for name in _KEPT if getattr(played, name)}
    return json.dumps(row).encode() + b"\n"


def _parsed(data: bytes, path: Path) -> Iterator[Played]:
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            row = json.loads(line)
            yield Played(
                number=int(row["number"]),
                outcome=Outcome.from_info(row["outcome"]),
                usage=Usage.from_json(row.get("usage", {})).to_json(),
                failure=str(row.get("failure", "")),
                ended=str(row.get("ended", "")),
                answer=None if row.get("answer") is None else str(row["answer"]),
                step=str(row.get("step", "")),
                labels={str(name): str(value) for name, value in dict(row.get("labels", {})).items()},
                measures={str(name): float(value) for name, value in dict(row.get("measures", {})).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StorageError(f"cannot read {path}, line {number}: {type(error).__name__}: {error}") from error


def _differences(stored: Any, given: Any, where: str = "") -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(given, dict):
        for name in sorted({*stored, *given}):
            place = f"{where}.{name}" if where else str(name)
            if name not in stored or name not in given:
                known, here, there = stored.get(name, given.get(name)), "here", "there"
                has, lacks = (here, there) if name in given else (there, here)
                yield f"{place} is {known!r:.200} {has} and not set {lacks}"
            else:
                yield from _differences(stored[name], given[name], place)
    elif stored != given:
        yield f"{where} is {stored!r:.200} there and {given!r:.200} here"


def _locked(folder: Path) -> BinaryIO:
    """An open file that keeps other processes out until it is closed, where the system can do that."""
    stream = (folder / _LOCK).open("ab")
    try:
        import fcntl
    except ImportError:
        return stream
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise StorageError(f"another process is writing results to {folder}") from None
    return stream


@contextlib.contextmanager
def _saying(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{what}: {error}") from error
