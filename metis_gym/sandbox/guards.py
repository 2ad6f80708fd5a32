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
from metis_gym.sandbox.folders import DEEPEST, Folders, Usage, measure
from metis_gym.sandbox.hidden import hidden_bytes, main_thread_ended, stand_still
from metis_gym.sandbox.inside.tracebacks import readable_size
from metis_gym.sandbox.process import Handle

__all__ = ["FolderGuard", "ThreadWatch"]

_BYTES_PER_FILE = 16 << 10
_MIN_FILES = 1024
_PATIENCE = 10
"""A check is made at most this many times as rarely as it takes time, while the disk does not fill up."""
_LONG_CHECK = 0.005
"""Seconds. During a check that takes longer the session stands still."""
_STAND_STILL_SECONDS = 5.0
_CLOCK_TICK_NS = 12_000_000
"""More than the kernel's clock for files lags behind: a tick, which is 10 ms at the most."""
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
        """Answer one request to start a thread or process: let it go on or refuse it."""
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
        folders: Where its folder came from.
        folder: Its folder.
        limits: Its limits.
        threads: Answers its requests for threads.
    """

    interval = 0.02

    def __init__(
        self, handle: Handle, folders: Folders, folder: str, limits: SandboxLimits, threads: ThreadWatch | None
    ) -> None:
        self._handle = handle
        self._folders = folders
        self._folder = folder
        self._limits = limits
        self._threads = threads
        self._max_files = max(_MIN_FILES, limits.disk_bytes // _BYTES_PER_FILE)
        self._next = time.monotonic() + self.interval  # a new session has written nothing yet
        self._took = 0.0
        self._free = 0
        self._used = 0
        self._changed_ns = 0
        self._hidden: dict[int, int] = {}

    def descriptors(self) -> tuple[int, ...]:
        """Where the session asks for threads."""
        return (self._threads.listener,) if self._threads else ()

    def answer(self, descriptor: int) -> None:
        """Answer a request for a thread."""
        if self._threads and descriptor == self._threads.listener:
            self._threads.answer()

    def check(self, *, is_last: bool) -> str:
        """Name the limit that is exceeded, or return an empty text. At the last check the session was paused."""
        if is_last:
            if not stand_still(self._handle.pid, _STAND_STILL_SECONDS):
                return "The process could not be made to stand still."
            return self._look()
        if time.monotonic() < self._next and not self._fills_up():
            return ""
        if self._took < _LONG_CHECK:
            return self._look()
        self._handle.pause()
        try:
            return self._look()
        finally:
            self._handle.resume()

    def clean(self) -> None:
        """Remove the folder, after the session's end."""
        if self._threads:
            os.close(self._threads.listener)
            self._threads = None
        self._folders.give_back(self._folder)

    def _look(self) -> str:
        start = time.monotonic()
        usage = measure(self._folder)
        if self._may_hide(usage):
            self._hidden = hidden_bytes(self._handle.pid, self._folder, self._limits.disk_bytes)
            if main_thread_ended(self._handle.pid) and not self._handle.has_ended():
                return "The main thread ended, and others went on."
        self._used = usage.bytes + sum(self._hidden.values())
        self._free = self._free_bytes()
        now = time.monotonic()
        self._took = now - start
        self._next = now + max(self.interval, _PATIENCE * self._took)
        if self._used > self._limits.disk_bytes:
            return f"Disk limit of {readable_size(self._limits.disk_bytes)} reached."
        if usage.entries + len(self._hidden) > self._max_files:
            return f"Limit of {self._max_files} files reached."
        if usage.depth > DEEPEST:
            return f"Limit of {DEEPEST} nested folders reached."
        return ""

    def _may_hide(self, usage: Usage) -> bool:
        """Whether removed files may still be held: some were at the last look, or a name was removed since."""
        changed = usage.changed_ns != self._changed_ns or usage.changed_ns > time.time_ns() - _CLOCK_TICK_NS
        self._changed_ns = usage.changed_ns
        return changed or bool(self._hidden)

    def _fills_up(self) -> bool:
        """Whether the disk, by whomever, was filled so much since the last look that the limit may be reached."""
        return self._free - self._free_bytes() > max(0, self._limits.disk_bytes - self._used)

    def _free_bytes(self) -> int:
        state = os.statvfs(self._folder)
        return state.f_bfree * state.f_frsize
