"""Giving up rights for good: users, capabilities, resource limits.

Source: `man 7 capabilities`, `man 2 setrlimit`, `man 2 prctl`.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct

from .spec import SessionLimits
from .syscalls import call

__all__ = [
    "CAN_ADMINISTER",
    "CAN_SET_GROUP",
    "CAN_SET_USER",
    "DESCRIPTORS",
    "become",
    "die_with_parent",
    "drop_capabilities",
    "empty_bounding_set",
    "forbid_new_privileges",
    "holds",
    "limit_resources",
    "memory_in_use",
]

CAN_SET_GROUP, CAN_SET_USER, CAN_ADMINISTER = 6, 7, 21

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24
_PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 8, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_POSSIBLE_CAPABILITY = 63
DESCRIPTORS = 256
_STACK_BYTES = 8 << 20
_MEMORY_MARGIN = 16 << 20
"""What the interpreter itself may need on top of a session's limit, to report that it was reached."""


def holds(*capabilities: int) -> bool:
    """Whether the calling process has all of these capabilities."""
    return all(_permitted() >> capability & 1 for capability in capabilities)


def become(user: int, *, file_user: int | None = None) -> None:
    """Change to an own user and group without a name. Needs the right to do so.

    Args:
        user: The id.
        file_user: When given, files are opened with the rights of this user (ownership only, no capabilities): for an
            interpreter that nobody else can read, such as one under /root. Walls around files must not rest on the
            user then, and do not.
    """
    call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if file_user is not None:
        _set_capabilities(effective=_permitted(), permitted=_permitted())
        call("setfsuid", file_user)
        kept = call("setfsuid", -1)  # an id that cannot be: answers the present one
        if kept != file_user:
            raise OSError(f"setfsuid: the kernel kept {kept} instead of {file_user}")


def empty_bounding_set() -> None:
    """Let no program started from here, nor any descendant's, gain a capability. Those held now are kept.

    Without the right to do so there is nothing to do: no-new-privileges has the same effect.
    """
    with contextlib.suppress(OSError):  # past the last capability that the kernel knows
        for capability in range(_LAST_POSSIBLE_CAPABILITY + 1):
            call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)


def drop_capabilities() -> None:
    """Empty the ambient, inheritable, permitted and effective sets."""
    call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _set_capabilities(effective=0, permitted=0)


def forbid_new_privileges() -> None:
    """No program started from here gains rights; Landlock and seccomp ask for it."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent dies. A change of user clears this: call it afterwards."""
    call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def memory_in_use(statm: str) -> tuple[int, int]:
    """Address space and data of a process in bytes, from its `/proc/…/statm`."""
    pages = [int(field) for field in statm.split()]
    return pages[0] * resource.getpagesize(), pages[5] * resource.getpagesize()


def limit_resources(limits: SessionLimits, in_use: tuple[int, int], *, count_processes: bool) -> None:
    """Set the kernel's limits of a session.

    Args:
        limits: What the session may use.
        in_use: Address space and data that the interpreter uses already; the session's memory is what comes on top.
        count_processes: Whether the kernel counts the session's threads apart from everybody else's.
    """
    address_space, data = in_use
    cpu_seconds = max(1, int(limits.cpu_seconds))
    both = {
        resource.RLIMIT_AS: address_space + limits.memory_bytes + _MEMORY_MARGIN,
        resource.RLIMIT_DATA: data + limits.memory_bytes + _MEMORY_MARGIN,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: limits.disk_bytes,
        resource.RLIMIT_NOFILE: DESCRIPTORS,
        resource.RLIMIT_STACK: _STACK_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    if count_processes:
        both[resource.RLIMIT_NPROC] = limits.processes
    for kind, value in both.items():
        _, hard = resource.getrlimit(kind)
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))


def _header() -> bytes:
    return struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)


def _permitted() -> int:
    data = ctypes.create_string_buffer(24)
    call("capget", _header(), data)
    _, low, _, _, high, _ = struct.unpack("<6I", data.raw)
    return int(low | high << 32)


def _set_capabilities(*, effective: int, permitted: int) -> None:
    low = 0xFFFFFFFF
    data = struct.pack("<6I", effective & low, permitted & low, 0, effective >> 32, permitted >> 32, 0)
    call("capset", _header(), data)
