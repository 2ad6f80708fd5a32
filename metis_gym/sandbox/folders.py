"""Folders of sessions on the host's disk, for the tiers that have no file system of their own.

What is in them was made by code that nobody trusts: links are never followed, and depth, names and modes may be
anything.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEEPEST", "SessionFolders", "Usage", "measure", "remove_tree"]

_PREFIX = "metis-sandbox-"
_LOCK = "lock"
DEEPEST = 64
"""Folders nested deeper than this count as over the limit."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SessionFolders:
    """A private folder that holds one folder for each session. Leftovers of killed hosts are removed first."""

    def __init__(self) -> None:
        for stale in _leftovers():
            remove_tree(str(stale))
        self.path = os.path.realpath(tempfile.mkdtemp(prefix=_PREFIX))
        os.chmod(self.path, 0o711)
        self._lock = os.open(f"{self.path}/{_LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove everything."""
        remove_tree(self.path)
        self.forget()

    def forget(self) -> None:
        """Let go of it in a forked child, whose it is not."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


@dataclass
class Usage:
    """What a folder holds."""

    bytes: int = 0
    entries: int = 0
    depth: int = 0


def measure(path: str) -> Usage:
    """Add up the files in a folder, at most `DEEPEST` folders deep."""
    usage = Usage()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        fd = os.open(path, _FOLDER)
        try:
            _measure(fd, 1, usage)
        finally:
            os.close(fd)
    return usage


def unlinked_bytes(pid: int, device: int) -> int:
    """Bytes of files on a device that a process holds open and that no folder names any more."""
    total = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                state = os.stat(f"/proc/{pid}/fd/{name}")
                if state.st_dev == device and not state.st_nlink and stat.S_ISREG(state.st_mode):
                    total += 512 * state.st_blocks
    return total


def remove_tree(path: str) -> None:
    """Remove a folder however deep it is, without following a link out of it."""
    try:
        top = os.open(path, _FOLDER)
    except FileNotFoundError:
        return
    try:
        while names := os.listdir(top):
            for name in names:
                _remove_entry(top, name)
    finally:
        os.close(top)
    shutil.rmtree(path, ignore_errors=True)


def _remove_entry(top: int, name: str) -> None:
    """Remove a file, or a folder whose folders are first moved up to `top`, so that depth does not matter."""
    if not _is_folder(top, name):
        os.unlink(name, dir_fd=top)
        return
    fd = _open_folder(name, top)
    try:
        for inner in os.listdir(fd):
            if _is_folder(fd, inner):
                os.rename(inner, f"{_PREFIX}{secrets.token_hex(8)}", src_dir_fd=fd, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)


def _measure(fd: int, depth: int, usage: Usage) -> None:
    usage.depth = max(usage.depth, depth)
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
        fd = _open_folder(name, parent)
        try:
            _measure(fd, depth, usage)
        finally:
            os.close(fd)


def _is_folder(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _open_folder(name: str, parent: int) -> int:
    """Open a folder, whatever its mode says; it belongs to us or to a session."""
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        finally:
            os.close(handle)
        return os.open(name, _FOLDER, dir_fd=parent)


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
