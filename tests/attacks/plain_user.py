"""Become a user without rights, and run a command: `python plain_user.py [--alone] command …`, as root.

A Python installed under a home folder of mode 700 cannot be executed by anybody else. So the command runs in a mount
namespace of its own, in which closed folders on the way are replaced by open ones that hold only what is needed.
"""

import ctypes
import fcntl
import os
import socket
import stat
import struct
import sys
import sysconfig
from pathlib import Path

UID = 54321
_NEWPID, _NEWNET, _NEWIPC = 0x20000000, 0x40000000, 0x08000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_NEWNS, _BIND, _REC, _PRIVATE = 0x00020000, 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def needed_paths() -> list[str]:
    """What the command has to reach: this Python, its packages, this repository."""
    repository = Path(__file__).resolve().parents[2]
    packages = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    paths = [sys.base_prefix, sys.prefix, str(repository), *packages]
    return list(dict.fromkeys(os.path.realpath(path) for path in paths))


def closed_folder(path: str) -> str | None:
    """The highest folder above `path` that others may not pass."""
    for parent in reversed(Path(path).parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            return str(parent)
    return None


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    if _libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode()):
        raise OSError(ctypes.get_errno(), f"mount on {target}: {os.strerror(ctypes.get_errno())}")


def open_the_way(paths: list[str]) -> None:
    """Make `paths` reachable for everybody, in a mount namespace of this process."""
    closed = {path: folder for path in paths if (folder := closed_folder(path))}
    if not closed:
        return
    if _libc.unshare(_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare: cannot make a mount namespace")
    _mount(None, "/", None, _REC | _PRIVATE)
    held = {path: os.open(path, os.O_PATH) for path in closed}
    for folder in sorted(set(closed.values())):
        _mount("tmpfs", folder, "tmpfs", 0, "mode=0755")
    for path, fd in sorted(held.items()):
        os.makedirs(path, mode=0o755, exist_ok=True)
        if not os.listdir(path):
            _mount(f"/proc/self/fd/{fd}", path, None, _BIND | _REC)
        os.close(fd)


def _continue_in_child() -> None:
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def be_alone() -> None:
    """Continue in namespaces in which there are no other processes and no network but the loopback.

    What is not contained can then harm nothing but the process that runs the attacks.
    """
    if _libc.unshare(_NEWNS | _NEWPID | _NEWNET | _NEWIPC):
        raise OSError(ctypes.get_errno(), "unshare: cannot make namespaces")
    _continue_in_child()  # the first process of the pid namespace, which ends with it
    _continue_in_child()  # an ordinary one
    _mount(None, "/", None, _REC | _PRIVATE)
    _mount("proc", "/proc", "proc", 0)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def main(command: list[str]) -> None:
    """Open the way, give up all rights, run the command."""
    os.umask(0o022)
    if command[0] == "--alone":
        command = command[1:]
        be_alone()
    open_the_way(needed_paths())
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
