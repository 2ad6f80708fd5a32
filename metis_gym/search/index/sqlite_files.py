"""Read-only SQLite files under threads, forks and many processes, whoever made them.

A file is opened as immutable: SQLite then takes no lock and writes nothing, so that any number of processes may read
it, also from a read-only disk. Each thread borrows a connection of its own. A fork starts with none: connections must
not cross one.

An SQLite file may hold code: views, triggers, columns that are computed. So a file must have exactly the tables that
its kind is made with; nothing but reading them is authorised; a value is no longer than its file; and a search that
goes on for long is interrupted. What one C call of SQLite's does in between cannot be interrupted.
"""

import contextlib
import os
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from metis_gym.errors import MissingDependencyError, SearchError, SearchIndexError
from metis_gym.search.index.schemas import Schema, normalised

__all__ = ["ReadOnlyFile", "check_fts5"]

_CACHE_KIB = 4_096
_FORMER_KINDS = {"image index": "picture index"}
"""Kind → what files of former versions call it."""
_MAX_SECONDS = 10.0
_MAX_SECONDS_AT_OPENING = 10.0
_OPERATIONS = 20_000  # of SQLite's virtual machine between two looks at the clock: well under a millisecond
_HEADER = 108
_LEAF = 0x0D
_abandoned: list[sqlite3.Connection] = []
"""Connections of a parent process, kept so that this process never closes them."""


_FAILURES = (sqlite3.Error, OSError, OverflowError, MemoryError, UnicodeError)
"""What reading a damaged file raises; the last where SQLite quotes a name of the file that is no text."""


def _said(error: BaseException) -> str:
    """What an error says; it may quote the file, which may hold escape sequences."""
    text = f"{type(error).__name__}: {error}"[:300]
    return "".join(c if c.isprintable() else "?" for c in text)


class _Clock:
    """Tells SQLite when to stop."""

    ends = 0.0

    def start(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds

    def is_over(self) -> bool:
        return time.monotonic() > self.ends


class ReadOnlyFile:
    """An SQLite file that no one changes any more.

    Args:
        path: The file.
        kind: What it is, for messages: "text index".
        made_as: The format that this version of the project makes and reads.
        schema: The tables that it must have, and no others.

    Raises:
        SearchIndexError: It is not there, is no file of that kind, or was made in another format.
    """

    def __init__(self, path: Path, kind: str, made_as: int, schema: Schema) -> None:
        self.path, self.kind, self.made_as, self.schema = path, kind, made_as, schema
        self._idle: list[tuple[sqlite3.Connection, _Clock]] = []
        self._lock = threading.Lock()
        if not path.is_file():
            raise SearchIndexError(f"there is no {kind} {str(path)!r}. Build one with: metis-gym index build --help")
        self.meta = self._read_meta()
        _open_files.add(self)
        weakref.finalize(self, _close_all, os.getpid(), self._idle)

    @contextlib.contextmanager
    def connection(self, *, max_seconds: float = _MAX_SECONDS) -> Iterator[sqlite3.Connection]:
        """Borrow a connection.

        Args:
            max_seconds: When what it does is interrupted.

        Raises:
            SearchError: SQLite failed in the meantime: a damaged file, a disk that does not answer, no end.
        """
        try:
            borrowed = self._borrow()
            borrowed[1].start(max_seconds)
            try:
                yield borrowed[0]
            finally:
                with self._lock:
                    self._idle.append(borrowed)
        except _FAILURES as error:
            raise SearchError(f"the {self.kind} {self.path} cannot be read: {_said(error)}") from error

    def damaged(self, what: str) -> SearchError:
        """The error for a file whose tables hold what they cannot hold."""
        return SearchError(f"the {self.kind} {self.path} is damaged: {what}")

    def forget_connections(self) -> None:
        """Start afresh in a process that was just forked."""
        _abandoned.extend(connection for connection, _ in self._idle)
        self._idle = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, os.getpid(), self._idle)

    def _borrow(self) -> tuple[sqlite3.Connection, _Clock]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _connect(self) -> tuple[sqlite3.Connection, _Clock]:
        """A connection that reads the expected tables and does nothing else."""
        _check_first_page(self.path)
        clock = _Clock()
        clock.start(_MAX_SECONDS_AT_OPENING)
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
        try:
            _restrict(connection, self.path.stat().st_size)
            connection.set_progress_handler(clock.is_over, _OPERATIONS)
            _check_schema(connection, self.schema)
            for statement in self.schema.first:
                with contextlib.suppress(sqlite3.OperationalError):  # without FTS5: it will be said when it is needed
                    connection.execute(statement)
            connection.set_authorizer(_authorizer(self.schema))
        except BaseException:
            connection.close()
            raise
        return connection, clock

    def _read_meta(self) -> dict[str, str]:
        try:
            connection, _ = self._connect()
            with contextlib.closing(connection):
                rows = connection.execute("SELECT key, value FROM meta LIMIT 100").fetchall()
        except _FAILURES as error:
            raise SearchIndexError(f"{str(self.path)!r} is no {self.kind} of this project ({_said(error)})") from error
        meta = {str(key): str(value) for key, value in rows}
        if meta.get("kind") not in (self.kind, _FORMER_KINDS.get(self.kind, self.kind)):
            raise SearchIndexError(f"{str(self.path)!r} is no {self.kind}, but a {meta.get('kind', 'file')!r:.80}")
        if meta.get("format") != str(self.made_as):
            raise SearchIndexError(
                f"{str(self.path)!r} is a {self.kind} of format {meta.get('format')!s:.20}, made by another version of "
                f"this project; this one reads format {self.made_as}. Build it again with: metis-gym index build "
                "--force"
            )
        return meta


def _check_first_page(path: Path) -> None:
    """See that the list of tables is short, before SQLite reads it: it takes one page at most.

    Raises:
        sqlite3.DatabaseError: It is not, or this is no SQLite file.
    """
    with path.open("rb") as stream:
        header = stream.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(b"SQLite format 3\0") or header[100] != _LEAF:
        raise sqlite3.DatabaseError("file is not a database of this project")


def _restrict(connection: sqlite3.Connection, size: int) -> None:
    """Bound what a file can make SQLite do."""
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_TRUSTED_SCHEMA, False)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1_000_000))
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 10)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _check_schema(connection: sqlite3.Connection, schema: Schema) -> None:
    """See that the file has exactly the tables of its kind: no view, no trigger, no index, nothing computed.

    Raises:
        sqlite3.DatabaseError: It has others.
    """
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100").fetchall()
    found = sorted((str(type), str(name), str(table), normalised(str(sql))) for type, name, table, sql in rows)
    if tuple(found) != schema.objects:
        raise sqlite3.DatabaseError("its tables are not those that this project makes")


def _authorizer(schema: Schema) -> Callable[..., int]:
    """Allows reading the tables of a schema, and what FTS5 asks of its own."""

    def judge(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        is_allowed = (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and first in schema.tables)
            or (action == sqlite3.SQLITE_FUNCTION and second in schema.functions)
            or (action == sqlite3.SQLITE_PRAGMA and first == "data_version" and second is None)
        )
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

    return judge


_open_files: "weakref.WeakSet[ReadOnlyFile]" = weakref.WeakSet()


def _after_fork() -> None:
    for file in tuple(_open_files):
        file.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _close_all(owner: int, connections: list[tuple[sqlite3.Connection, _Clock]]) -> None:
    if os.getpid() == owner:
        while connections:
            connections.pop()[0].close()


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
