"""Space on the disk that no folder names any more: removed files that a session still holds, open or mapped.

Read from `/proc` on the host's side. All threads of a session share one table of descriptors, which the filter sees to.
"""

import contextlib
import os
import time

__all__ = ["hidden_bytes", "main_thread_ended", "stand_still"]

_MOVING = "RD"
"""States of a thread that may be writing: running, and waiting for the disk."""
_FIRST_PAUSE, _LONGEST_PAUSE = 20e-6, 0.01
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
    pause = _FIRST_PAUSE
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
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


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
    """A letter for each thread."""
    with contextlib.suppress(OSError):
        return [_state(f"/proc/{pid}/task/{thread}/stat") for thread in os.listdir(f"/proc/{pid}/task")]
    return []


def _state(path: str) -> str:
    """The letter of a thread's state; `X` when it is gone."""
    try:
        with open(path, "rb") as file:
            return file.read().rpartition(b")")[2][1:2].decode()
    except OSError:
        return "X"
