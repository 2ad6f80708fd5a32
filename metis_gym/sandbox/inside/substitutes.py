"""What Python's own functions answer where the filter refuses the system call beneath them.

A comfort for honest code, not a wall: without mounts and namespaces of its own a session would learn the machine's name
from `uname`, and from `readlink` where any link leads.
"""

import errno
import os
import socket
from collections.abc import Mapping

__all__ = ["HOST_NAME", "install"]

HOST_NAME = "sandbox"
"""What a session takes the machine's name to be."""


def install(links: Mapping[str, str]) -> None:
    """Replace `os.uname`, `socket.gethostname` and `os.readlink`, for the calling process and its children.

    Args:
        links: Symbolic links that may be read, path → target: those of the view, which hold nothing secret.
    """
    real = os.uname()
    shown = os.uname_result((real.sysname, HOST_NAME, real.release, real.version, real.machine))
    known = dict(links)

    def uname() -> os.uname_result:
        return shown

    def gethostname() -> str:
        return HOST_NAME

    def readlink(path: str | bytes | os.PathLike[str], *, dir_fd: int | None = None) -> str | bytes:
        name = os.fspath(path)
        target = known.get(os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(name)))) if dir_fd is None else None
        if target is None:
            raise OSError(errno.EINVAL, "links cannot be read in this sandbox", name)
        return os.fsencode(target) if isinstance(name, bytes) else target

    os.uname = uname
    os.readlink = readlink  # type: ignore[assignment]
    socket.gethostname = gethostname
