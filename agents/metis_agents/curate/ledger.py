"""The ledger: one file for each stage, one line for each verdict, appended by one writer.

A process that is killed loses at most what was not flushed yet, and perhaps a part of the last line, which is cut off
at the next start. A verdict counts for as long as its stage has the same version and settings; one that is undecided
counts for this process only.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from metis_agents.curate.records import Verdict
from metis_gym.errors import StorageError

__all__ = ["Brief", "Ledger", "alone", "lines_of"]

_FLUSH_SECONDS, _SYNC_LINES = 2.0, 100
MAX_LINE_BYTES = 1 << 22


class Brief(NamedTuple):
    """What is kept in memory of a verdict: some 200 bytes; the rest is read from the file when it is asked for."""

    kept: bool | None
    reason: str
    place: int


class Ledger:
    """The verdicts of one stage.

    Args:
        path: The file; made at the first verdict.
        key: Of the stage's version and settings: other verdicts do not count.

    Raises:
        StorageError: The file cannot be read or written.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._briefs: dict[str, Brief] = {}
        self._places: dict[tuple[str, str, int], str] = {}
        self._unsynced, self._flushed = 0, time.monotonic()
        try:
            self._load()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("ab")
            self._reader = path.open("rb")
        except OSError as error:
            raise StorageError(f"the ledger {path} cannot be opened: {error}") from error

    def __len__(self) -> int:
        return len(self._briefs)

    def get(self, name: str) -> Brief | None:
        """The verdict on a sample; None if there is none."""
        return self._briefs.get(name)

    def id_at(self, source: str, file: str, row: int) -> str | None:
        """The id of the sample in a row of a source with this fingerprint, if it was read before."""
        return self._places.get((source, file, row))

    def read(self, name: str) -> Mapping[str, Any]:
        """The whole line of a sample's verdict."""
        self.flush()
        self._reader.seek(self._briefs[name].place)
        line: Mapping[str, Any] = json.loads(self._reader.readline())
        return line

    def add(self, name: str, verdict: Verdict, seconds: float, at: tuple[str, str, int] | None = None) -> None:
        """Append a verdict.

        Args:
            name: Of the sample.
            verdict: What was decided.
            seconds: What it took.
            at: The source, its fingerprint and the row, for the verdicts of the stage that reads rows.

        Raises:
            StorageError: The disk is full, or the folder is gone.
        """
        line: dict[str, Any] = {"id": name, "key": self.key, "kept": verdict.kept}
        line |= {"reason": verdict.reason, "detail": verdict.detail} if verdict.reason else {}
        line |= {"notes": dict(verdict.notes)} if verdict.notes else {}
        line |= {"used": dict(verdict.used)} if verdict.used else {}
        line |= {"seconds": round(seconds, 4)}
        line |= {"source": at[0], "file": at[1], "row": at[2]} if at else {}
        try:
            place = self._stream.tell()
            self._stream.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
            self._save_now_and_then()
        except OSError as error:
            raise StorageError(f"the ledger {self.path} cannot be written: {error}") from error
        self._briefs[name] = Brief(verdict.kept, verdict.reason, place)
        if at:
            self._places[at] = name

    def flush(self) -> None:
        """Let whoever reads the file see every verdict."""
        self._stream.flush()

    def close(self) -> None:
        """Write what is not written yet. May be called twice."""
        for stream in (self._stream, self._reader):
            stream.close()

    def _save_now_and_then(self) -> None:
        self._unsynced += 1
        if self._unsynced >= _SYNC_LINES:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._unsynced = 0
        elif time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._stream.flush()
            self._flushed = time.monotonic()

    def _load(self) -> None:
        whole = 0
        for place, line, end in _lines(self.path):
            whole = end
            if line is None or line.get("key") != self.key or line.get("kept") is None:
                continue
            name = str(line["id"])
            self._briefs[name] = Brief(bool(line["kept"]), str(line.get("reason", "")), place)
            if "row" in line:
                self._places[str(line["source"]), str(line["file"]), int(line["row"])] = name
        if self.path.exists() and self.path.stat().st_size > whole:
            os.truncate(self.path, whole)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing the same ledger, where the system can; a process that is killed lets go.

    Raises:
        StorageError: Another process writes it now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as held:
        try:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # a system without such locks
        except BlockingIOError:
            raise StorageError(f"another curation writes {folder.parent} now: wait, or choose another") from None
        yield


def lines_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The whole lines of a ledger that can be read, of all versions and settings."""
    for _, line, _ in _lines(path):
        if line is not None:
            yield line


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None, int]]:
    """Place, content and end of each whole line; None for the content of one that is damaged."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        place = 0
        while (line := stream.readline()).endswith(b"\n"):
            end = place + len(line)
            try:
                read = json.loads(line)
            except ValueError:
                read = None
            yield place, read if isinstance(read, dict) and isinstance(read.get("id"), str) else None, end
            place = end
