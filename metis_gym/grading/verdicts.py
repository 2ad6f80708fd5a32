"""Verdicts that were given already: in this process, or in a file that processes and runs share.

Keys are digests, so that a file holds neither questions nor answers.
"""

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator

from metis_gym.errors import JudgeError, StorageError

__all__ = ["VerdictCache"]

_CAPACITY = 100_000
_PATIENCE = 30.0
_TABLE = "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, correct INTEGER NOT NULL) WITHOUT ROWID"


class VerdictCache:
    """Remembers verdicts. Safe for threads, and the file for processes.

    Args:
        path: The file; None to remember in this process only.

    Raises:
        StorageError: The file cannot be opened, or is none of ours.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, bool] = OrderedDict()
        if path is not None:
            try:
                with self._opened() as file:
                    file.execute(_TABLE)
                    file.execute("SELECT key, correct FROM verdicts LIMIT 1").fetchall()
            except sqlite3.Error as error:
                raise StorageError(f"the judge's verdicts cannot be kept in {path!r}: {error}") from error

    def get(self, key: str) -> bool | None:
        """The verdict of this key; None if there is none.

        Raises:
            JudgeError: The file cannot be read any more.
        """
        with self._lock:
            if key in self._recent or self._path is None:
                return self._recent.get(key)
            found = self._run("SELECT correct FROM verdicts WHERE key = ?", (key,))
            return bool(found[0][0]) if found else None

    def put(self, key: str, correct: bool) -> None:
        """Keep a verdict.

        Raises:
            JudgeError: The file cannot be written any more.
        """
        with self._lock:
            self._recent[key] = correct
            if len(self._recent) > _CAPACITY:
                self._recent.popitem(last=False)
            if self._path is not None:
                self._run("INSERT OR IGNORE INTO verdicts VALUES (?, ?)", (key, int(correct)))

    def _run(self, command: str, values: tuple[object, ...]) -> list[tuple[int]]:
        try:
            with self._opened() as file:
                return list(file.execute(command, values))
        except sqlite3.Error as error:
            raise JudgeError(f"the judge's verdicts in {self._path!r} cannot be used: {error}") from error

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each use: a fork or a thread inherits none."""
        with contextlib.closing(sqlite3.connect(str(self._path), timeout=_PATIENCE)) as file, file:
            yield file
