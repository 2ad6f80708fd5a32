"""Read-only SQLite files under threads, forks and many processes.

A file is opened as immutable: SQLite then takes no lock and writes nothing, so that any number of processes may read
it, also from a read-only disk. Each thread borrows a connection of its own. A fork starts with none: connections must
not cross one.
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from metis_gym.errors import MissingDependencyError, SearchError, SearchIndexError

__all__ = ["ReadOnlyFile", "check_fts5"]

_CACHE_KIB = 4_096
_abandoned: list[sqlite3.Connection] = []
"""Connections of a parent process, kept so that this process never closes them."""


class ReadOnlyFile:
    """An SQLite file that no one changes any more.

    Args:
        path: The file.
        kind: What it is, for messages: "text index".
        made_as: The format that this version of the project makes and reads.

    Raises:
        SearchIndexError: It is not there, is no file of that kind, or was made in another format.
    """

    def __init__(self, path: Path, kind: str, made_as: int) -> None:
        self.path, self.kind, self.made_as = path, kind, made_as
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        if not path.is_file():
            raise SearchIndexError(f"there is no {kind} {str(path)!r}. Build one with: metis-gym index build --help")
        self.meta = self._read_meta()
        _open_files.add(self)
        weakref.finalize(self, _close_all, os.getpid(), self._idle)

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Borrow a connection.

        Raises:
            SearchError: SQLite failed in the meantime: a damaged file, a disk that does not answer.
        """
        try:
            borrowed = self._borrow()
            try:
                yield borrowed
            finally:
                with self._lock:
                    self._idle.append(borrowed)
        except sqlite3.Error as error:
            raise SearchError(f"the {self.kind} {self.path} cannot be read: {type(error).__name__}: {error}") from error

    def forget_connections(self) -> None:
        """Start afresh in a process that was just forked."""
        _abandoned.extend(self._idle)
        self._idle = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, os.getpid(), self._idle)

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _read_meta(self) -> dict[str, str]:
        try:
            with contextlib.closing(self._connect()) as connection:
                meta = dict(connection.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise SearchIndexError(f"{str(self.path)!r} is no {self.kind} of this project ({error})") from error
        if meta.get("kind") != self.kind:
            raise SearchIndexError(f"{str(self.path)!r} is no {self.kind}, but a {meta.get('kind', 'file')!r}")
        if meta.get("format") != str(self.made_as):
            raise SearchIndexError(
                f"{str(self.path)!r} is a {self.kind} of format {meta.get('format')}, made by another version of this "
                f"project; this one reads format {self.made_as}. Build it again with: metis-gym index build --force"
            )
        return meta


_open_files: "weakref.WeakSet[ReadOnlyFile]" = weakref.WeakSet()


def _after_fork() -> None:
    for file in tuple(_open_files):
        file.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _close_all(owner: int, connections: list[sqlite3.Connection]) -> None:
    if os.getpid() == owner:
        while connections:
            connections.pop().close()


def check_fts5() -> None:
    """See that this Python's SQLite can search text.

    Raises:
        MissingDependencyError: It was built without FTS5.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        except sqlite3.OperationalError as error:
            raise MissingDependencyError(
                f"this Python's sqlite3 (SQLite {sqlite3.sqlite_version}) has no FTS5, which text search needs by "
                "default. Use a Python whose SQLite has it, or: pip install 'metis-gym[search]' and "
                "text_engine='bm25s'"
            ) from error
