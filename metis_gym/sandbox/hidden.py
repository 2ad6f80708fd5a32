"""Space on the disk that no folder names any more: removed files that a session still holds, open or mapped.

Read from `/proc` on the host's side. All threads of a session share one table of descriptors, which the filter sees to.
"""

import contextlib
import itertools
import os
import time

__all__ = ["hidden_bytes", "main_thread_ended", "stand_still"]

_MOVING = "RD"
"""States of a thread that may be writing: running, and waiting for the disk."""
_PAUSES = (0.0, 0.0, 0.0, 50e-6, 100e-6, 200e-6, 500e-6, 0.001, 0.002, 0.005, 0.01)
"""Seconds between two looks; 0 lets the session have the processor."""
_THREADS = 17
"""Which field counts them, beginning after the name."""
_STAT_BYTES = 4096
_DELETED = b" (deleted)"


def hidden_bytes(pid: int, folder: str, largest: int) -> dict[int, int]:
    """Bytes of each removed file of a folder that a process holds, by inode.

    Args:
        pid: The process.
        folder: Where the files were.
        largest: What to count for a file whose size cannot be seen: one that is mapped, not open, and that only root
            could look at.
    """
    held: dict[int, int] = {}
    device = os.stat(folder).st_dev
    for path in (f"/proc/{pid}/cwd", *_descriptors(pid)):
        with contextlib.suppress(OSError):
            state = os.stat(path)
            if not state.st_nlink and state.st_dev == device:
                held[state.st_ino] = 512 * state.st_blocks
    for addresses, inode in _removed_mappings(pid, folder):
        if inode not in held:
            held[inode] = _mapped_bytes(pid, addresses, largest)
    return held


def stand_still(pid: int, seconds: float) -> bool:
    """Wait until no thread of a process that was sent SIGSTOP runs or writes. Returns whether that came to be."""
    deadline = time.monotonic() + seconds
    pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
    quiet = False
    while True:
        states = _states(pid)
        was_quiet, quiet = quiet, not any(state in _MOVING for state in states)
        # A thread seen asleep may have run on before another took the signal: so many are looked at twice.
        if quiet and (was_quiet or len(states) < 2):
            return True
        if time.monotonic() > deadline:
            return False
        if not quiet:
            time.sleep(next(pauses))


def main_thread_ended(pid: int) -> bool:
    """Whether only other threads are left, so that `/proc` shows neither descriptors nor mappings."""
    return _state(f"/proc/{pid}/stat") == "Z"


def _descriptors(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    return []


def _removed_mappings(pid: int, folder: str) -> list[tuple[bytes, int]]:
    """Addresses and inode of each mapping of a removed file of the folder."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    below = os.fsencode(folder) + b"/"
    found = []
    for line in lines:
        if line.endswith(_DELETED) and below in line:
            addresses, _, _, _, inode, path = line.split(maxsplit=5)
            if path.startswith(below):
                found.append((addresses, int(inode)))
    return found


def _mapped_bytes(pid: int, addresses: bytes, otherwise: int) -> int:
    first, _, last = addresses.partition(b"-")
    try:
        return 512 * os.stat(f"/proc/{pid}/map_files/{int(first, 16):x}-{int(last, 16):x}").st_blocks
    except OSError:
        return otherwise


def _states(pid: int) -> list[str]:
    """The state of each thread, as the letter that the kernel gives it."""
    fields = _fields(f"/proc/{pid}/stat")
    if len(fields) > _THREADS and fields[_THREADS] == b"1":
        return [fields[0].decode()]
    with contextlib.suppress(OSError):
        return [_state(f"/proc/{pid}/task/{thread}/stat") for thread in os.listdir(f"/proc/{pid}/task")]
    return []


def _state(path: str) -> str:
    """The letter of a thread's state; `X` when it is gone."""
    fields = _fields(path)
    return fields[0].decode() if fields else "X"


def _fields(path: str) -> list[bytes]:
    """What `/proc/…/stat` says after the name, which may hold anything; nothing when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(fd, _STAT_BYTES).rpartition(b")")[2].split()
    except ProcessLookupError:
        return []
    finally:
        os.close(fd)
