"""Runs code in a process in which the kernel refuses something: `python restricted.py CASE CODE`.

The cases are machines that people have: `no-user-namespaces` (a hardened host), `no-unshare` (a plain container),
`nothing` (a plain container on a kernel without Landlock).
"""

import ctypes
import errno
import os
import struct
import sys

from metis_gym.sandbox.inside import namespaces, privileges, seccomp
from metis_gym.sandbox.inside.syscalls import MACHINE, numbers


def refuse(calls: dict[str, int]) -> None:
    """Let these system calls fail with these errors, for this process and its children."""
    code = [struct.pack("<HBBI", 0x20, 0, 0, 0)]
    for name, error in calls.items():
        code.append(struct.pack("<HBBI", 0x15, 0, 1, numbers(MACHINE)[name]))
        code.append(struct.pack("<HBBI", 0x06, 0, 0, 0x00050000 | error))
    code.append(struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000))
    privileges.forbid_new_privileges()
    seccomp.install(b"".join(code))


def forbid_user_namespaces() -> None:
    """Become an unprivileged user of a user namespace in which no further ones may be made."""
    proc = os.open("/proc", os.O_PATH)
    namespaces.unshare_user(proc)
    with open("/proc/sys/user/max_user_namespaces", "w") as limit:
        limit.write("0")
    privileges.drop_capabilities()
    os.close(proc)


CASES = {
    "no-user-namespaces": forbid_user_namespaces,
    "no-unshare": lambda: refuse({"unshare": errno.EPERM}),
    "nothing": lambda: refuse({"unshare": errno.EPERM, "landlock_create_ruleset": errno.ENOSYS}),
}

if __name__ == "__main__":
    ctypes.CDLL(None)
    CASES[sys.argv[1]]()
    exec(sys.argv[2])
