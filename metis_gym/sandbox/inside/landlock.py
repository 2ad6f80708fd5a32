"""Landlock: which files a process may open, decided by the process itself and for ever.

Source: `man 7 landlock`. Landlock knows nothing of `stat`, `chmod`, `utime` and `chdir`; the seccomp filter deals with
those that change something. Reading `stat` of a path that is known stays possible in the tier without mounts.
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from .syscalls import call

__all__ = ["DEVICE", "LIST", "MIN_ABI", "OWN", "READ", "Place", "Ruleset", "abi", "close_places", "open_places"]

MIN_ABI = 3
"""The first version that guards against truncation (Linux 6.2)."""

_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_EXECUTE = 1 << 0
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REGULAR, _MAKE_SYMLINK, _REFER = 1 << 7, 1 << 8, 1 << 12, 1 << 13
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_RIGHTS_BY_ABI = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_NETWORK, _ALL_SCOPES = 3, 3

READ = _READ_FILE | _READ_DIR
LIST = _READ_DIR
DEVICE = _READ_FILE | _WRITE_FILE
OWN = READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REGULAR | _MAKE_SYMLINK | _REFER


def abi() -> int:
    """Landlock's version on this kernel; 0 when there is none."""
    try:
        return call("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    except OSError:
        return 0


@dataclass(frozen=True)
class Place:
    """A file or folder, opened so that rules can be made about it."""

    fd: int
    is_folder: bool


def open_places(paths: Iterable[str]) -> list[Place]:
    """Open paths for rules about them; absent ones and those in folders out of reach are left out."""
    places = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            places.append(Place(fd, stat.S_ISDIR(os.fstat(fd).st_mode)))
    return places


def close_places(places: Iterable[Place]) -> None:
    """Close them again; the rules stay."""
    for place in places:
        os.close(place.fd)


class Ruleset:
    """What may be opened. Everything that no rule permits is refused, the network included.

    Raises:
        OSError: The kernel has no Landlock.
    """

    def __init__(self) -> None:
        version = abi()
        handled = max((rights for least, rights in _RIGHTS_BY_ABI.items() if version >= least), default=0)
        network = _ALL_NETWORK if version >= 4 else 0
        scopes = _ALL_SCOPES if version >= 6 else 0
        attributes = struct.pack("<QQQ", handled, network, scopes)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._fd = call("landlock_create_ruleset", attributes[:size], size, 0)

    def permit(self, rights: int, places: Iterable["Place"]) -> "Ruleset":
        """Permit `rights` on these files and on everything beneath these folders."""
        for place in places:
            self._add(rights if place.is_folder else rights & _FILE_RIGHTS, place.fd)
        return self

    def enforce(self) -> None:
        """Restrict the calling thread to what was permitted. `no_new_privs` must be set."""
        call("landlock_restrict_self", self._fd, 0)

    def _add(self, rights: int, fd: int) -> None:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", rights, fd), 12)
        call("landlock_add_rule", self._fd, _RULE_PATH_BENEATH, rule, 0)
