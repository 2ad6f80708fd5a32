"""Limits that the kernel does not enforce in the Landlock tier, enforced by the host: disk, files, threads.

Between two runs the session stands still, so that nothing has to be watched then.
"""

import contextlib
import errno
import fcntl
import os
import struct
import time

from metis_gym.sandbox.contract import SandboxLimits
from metis_gym.sandbox.folders import DEEPEST, measure, remove_tree, unlinked_bytes
from metis_gym.sandbox.inside.tracebacks import readable_size
from metis_gym.sandbox.process import Handle

__all__ = ["FolderGuard", "ThreadWatch"]

_BYTES_PER_FILE = 16 << 10
_LEAST_FILES = 1024
_PATIENCE = 10
"""A check is made at most this many times as rarely as it takes time."""
_NOTIFY_RECEIVE, _NOTIFY_SEND = 0xC0502100, 0xC0182101
_NOTIFICATION_BYTES = 80
_CONTINUE = 1


class ThreadWatch:
    """Answers a session's requests for new threads. Source: `man 2 seccomp_unotify`.

    The kernel's own limit counts all processes of a user together, which is of no use when sessions and host are the
    same user.

    Args:
        listener: The descriptor that the session's seccomp filter asks at.
        pid: The session.
        threads: How many it may have.
    """

    def __init__(self, listener: int, pid: int, threads: int) -> None:
        self.listener = listener
        self._pid = pid
        self._threads = threads

    def answer(self) -> None:
        """Answer one request."""
        request = bytearray(_NOTIFICATION_BYTES)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # whoever asked is gone
            fcntl.ioctl(self.listener, _NOTIFY_RECEIVE, request)
            (identity,) = struct.unpack_from("<Q", request)
            may = len(os.listdir(f"/proc/{self._pid}/task")) < self._threads
            reply = struct.pack("<QqiI", identity, 0, 0 if may else -errno.EAGAIN, _CONTINUE if may else 0)
            fcntl.ioctl(self.listener, _NOTIFY_SEND, reply)


class FolderGuard:
    """Watches the folder of a session, and its threads where the kernel cannot.

    Args:
        handle: The session's process.
        folder: Its folder.
        limits: Its limits.
        threads: Answers its requests for threads.
    """

    interval = 0.02

    def __init__(self, handle: Handle, folder: str, limits: SandboxLimits, threads: ThreadWatch | None) -> None:
        self._handle = handle
        self._folder = folder
        self._limits = limits
        self._threads = threads
        self._device = os.stat(os.path.dirname(folder)).st_dev
        self._most_files = max(_LEAST_FILES, limits.disk_bytes // _BYTES_PER_FILE)
        self._next = 0.0

    def descriptors(self) -> tuple[int, ...]:
        """Where the session asks for threads."""
        return (self._threads.listener,) if self._threads else ()

    def answer(self, descriptor: int) -> None:
        """Answer a request for a thread."""
        if self._threads and descriptor == self._threads.listener:
            self._threads.answer()

    def check(self, *, is_last: bool) -> str:
        """Name the limit that is exceeded, or return an empty text."""
        start = time.monotonic()
        if start < self._next and not is_last:
            return ""
        usage = measure(self._folder)
        used = usage.bytes + unlinked_bytes(self._handle.pid, self._device)
        now = time.monotonic()
        self._next = now + max(self.interval, _PATIENCE * (now - start))
        if used > self._limits.disk_bytes:
            return f"Disk limit of {readable_size(self._limits.disk_bytes)} reached."
        if usage.entries > self._most_files:
            return f"Limit of {self._most_files} files reached."
        if usage.depth > DEEPEST:
            return f"Limit of {DEEPEST} nested folders reached."
        return ""

    def resume(self) -> None:
        """Let the session run."""
        self._handle.resume()

    def pause(self) -> None:
        """Let the session stand still."""
        self._handle.pause()

    def clean(self) -> None:
        """Remove the folder, after the session's end."""
        if self._threads:
            os.close(self._threads.listener)
            self._threads = None
        remove_tree(self._folder)
