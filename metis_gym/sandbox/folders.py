"""Folders of sessions on the host's disk, for the tiers that have no file system of their own.

What is in them was made by code that nobody trusts: links are never followed, and depth, names and modes may be
anything.
"""

import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metis_gym.errors import SandboxError
from metis_gym.sandbox.inside.trees import FOLDER, empty_tree, open_folder, remove_tree

__all__ = ["DEEPEST", "Folders", "MountedFolders", "SessionFolders", "Usage", "measure", "remove_tree"]

_PREFIX = "metis-sandbox-"
_LOCK = "lock"
_TOKEN_BYTES = 16
_PAGE = 4096
DEEPEST = 64
"""Folders nested deeper than this count as over the limit."""


class SessionFolders:
    """A private folder that holds one folder for each session. Leftovers of killed hosts are removed first.

    The sessions' folders have names that cannot be guessed: whoever knows a path can ask whether it exists.
    """

    def __init__(self) -> None:
        for stale in _leftovers():
            remove_tree(str(stale))
        self.path = self.own = os.path.realpath(tempfile.mkdtemp(prefix=_PREFIX))
        os.chmod(self.path, 0o711)
        self._lock = os.open(f"{self.path}/{_LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def take(self) -> str:
        """A path for a new session's folder, which the session makes itself."""
        return f"{self.path}/{secrets.token_hex(_TOKEN_BYTES)}"

    def give_back(self, folder: str) -> None:
        """Remove what a session left."""
        remove_tree(folder)

    def close(self) -> None:
        """Remove the session's folders with all that is in them."""
        remove_tree(self.path)
        self.forget()

    def forget(self) -> None:
        """Let go of it in a forked child, whose it is not."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


class MountedFolders:
    """File systems mounted beforehand, one for each session at a time, so that the kernel bounds what each holds.

    Args:
        path: The folder in which they are mounted, under any names. The first is the zygote's.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        places = sorted(entry.path for entry in os.scandir(path))
        self.own = places[0]
        self._free = places[1:]
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def take(self) -> str:
        """A path on a file system that nobody uses.

        Raises:
            SandboxError: There is none left.
        """
        with self._lock:
            if not self._free:
                raise SandboxError("all file systems of this container are in use; close some sessions")
            folder = f"{self._free.pop()}/{secrets.token_hex(_TOKEN_BYTES)}"
            self._taken.add(folder)
            return folder

    def give_back(self, folder: str) -> None:
        """Empty its file system, and have the next session use it. One that cannot be emptied is not used again.

        May be called twice.
        """
        with self._lock:
            if folder not in self._taken:
                return
            self._taken.remove(folder)
        place = os.path.dirname(folder)
        empty_tree(place)
        with self._lock:
            self._free.append(place)

    def close(self) -> None:
        """Empty them all."""
        for entry in os.scandir(self.path):
            empty_tree(entry.path)

    def forget(self) -> None:
        """Let go of them in a forked child, whose they are not."""


Folders = SessionFolders | MountedFolders


@dataclass
class Usage:
    """What a folder holds.

    Attributes:
        bytes: On the disk.
        entries: Files and folders.
        depth: Of the deepest folder, 1 without any.
        changed_ns: When a name was last added to or removed from any of the folders, in nanoseconds since 1970.
    """

    bytes: int = 0
    entries: int = 0
    depth: int = 0
    changed_ns: int = 0


def measure(path: str) -> Usage:
    """Add up the files in a folder, at most `DEEPEST` folders deep."""
    usage = Usage()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        fd = os.open(path, FOLDER)
        try:
            _measure(fd, 1, usage)
        finally:
            os.close(fd)
    return usage


def _measure(fd: int, depth: int, usage: Usage) -> None:
    usage.depth = max(usage.depth, depth)
    own = os.fstat(fd)
    usage.changed_ns = max(usage.changed_ns, own.st_ctime_ns)
    usage.bytes += max(0, 512 * own.st_blocks - _PAGE)
    if depth > DEEPEST:
        return
    for name in os.listdir(fd):
        with contextlib.suppress(FileNotFoundError):
            state = os.stat(name, dir_fd=fd, follow_symlinks=False)
            usage.entries += 1
            if stat.S_ISDIR(state.st_mode):
                _measure_folder(name, fd, depth + 1, usage)
            else:
                usage.bytes += 512 * state.st_blocks


def _measure_folder(name: str, parent: int, depth: int, usage: Usage) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        fd = open_folder(name, parent)
        try:
            _measure(fd, depth, usage)
        finally:
            os.close(fd)


def _leftovers() -> Iterator[Path]:
    """Folders of hosts that no longer run: nobody holds their lock."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.geteuid():
                continue
            fd = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            finally:
                os.close(fd)
