"""Where indexes and cached answers lie, and how something is built there exactly once.

Files are built beside their final name and renamed, so that whoever finds a file finds a whole one. A process that is
killed while building leaves nothing that is ever taken for an index.
"""

import contextlib
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from metis_gym.errors import ConfigError, SearchIndexError
from metis_gym.storage import replacing
from metis_gym.terminal import printable

__all__ = ["Notify", "build_atomically", "build_once", "cache_folder", "log_note", "read_regular"]

Notify = Callable[[str], None]
"""Told what takes long, in a sentence."""

_MAX_WAIT_SECONDS = 1_800.0


def log_note(note: str) -> None:
    """The default way to tell: the log of this package, at level WARNING, which is shown unless told otherwise."""
    logging.getLogger("metis_gym.search").warning("%s", printable(note))


def cache_folder(explicit: str | Path | None = None) -> Path:
    """The folder for files that can be made again.

    Args:
        explicit: Taken if given. Otherwise `metis-gym` in the user's cache folder, as the XDG base directory
            specification names it: `$XDG_CACHE_HOME`, or `~/.cache`.

    Raises:
        ConfigError: Nothing was given, and the user has no home folder.
    """
    if explicit is not None:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the specification: relative paths are to be ignored
        return Path(base) / "metis-gym"
    try:
        return Path.home() / ".cache" / "metis-gym"
    except RuntimeError as error:
        raise ConfigError(
            "there is no home folder to keep search indexes in; name one, as in 'fts5:folder=/data/metis-gym'"
        ) from error


def build_once(path: Path, build: Callable[[Path], None]) -> Path:
    """Build a file if it is not there; of several processes and threads, one builds and the others wait.

    Args:
        path: The file.
        build: Writes the file at the path that it is given, another one in the same folder.

    Returns:
        `path`.

    Raises:
        SearchIndexError: It cannot be written, or another process has been building for half an hour.
    """
    if path.exists():
        return path
    with _saying(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                for left_over in path.parent.glob(f"{path.name}.*.part*"):
                    left_over.unlink(missing_ok=True)
                build_atomically(path, build)
    return path


def build_atomically(path: Path, build: Callable[[Path], None]) -> None:
    """Build a file beside its place and move it there; an older one is replaced.

    Raises:
        SearchIndexError: It cannot be written.
    """
    with _saying(path), replacing(path) as part:
        build(part)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too long, or a device or a pipe, which may have no end.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
        raise ValueError(f"it is no regular file of at most {max_bytes:,} bytes")
    return path.read_bytes()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when its holder dies: SQLite's, which every platform has."""
    lock = sqlite3.connect(path, timeout=_MAX_WAIT_SECONDS, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


@contextlib.contextmanager
def _saying(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise SearchIndexError(
            f"cannot build {path}: {type(error).__name__}: {error}. Is the disk full, or the folder read-only? "
            "Another folder can be named in the engine's spec, as in 'fts5:folder=/data/metis-gym'."
        ) from error
