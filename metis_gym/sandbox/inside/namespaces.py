"""Namespaces: a view of the machine in which there is nothing but the session.

Source: `man 7 namespaces`, `man 7 user_namespaces`, `man 2 pivot_root`, `man 2 mount_setattr`.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Callable

from .spec import ZygoteSpec
from .syscalls import call

__all__ = [
    "PRIVATE",
    "TEMPORARY",
    "WORK",
    "Root",
    "enter_own",
    "kept_names",
    "private_folders",
    "unshare_for_session",
    "unshare_for_zygote",
    "unshare_user",
]

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_STAGING = "/tmp"
_BYTES_PER_INODE = 16 << 10
_MIN_INODES = 1024

WORK = "/sandbox"
"""The working folder inside."""
TEMPORARY = "/tmp"
PRIVATE = "/.session"
"""Where the zygote has a temporary folder, and where a session builds its folders."""


def unshare_user(proc: int) -> None:
    """Enter a user namespace of one's own, with all rights in it and none outside.

    Args:
        proc: A descriptor of /proc, which may be out of sight by now.
    """
    user, group = os.geteuid(), os.getegid()  # both read as 65534 until they are mapped
    call("unshare", _NEWUSER)
    _map_user(proc, user, group)


def unshare_for_zygote() -> None:
    """Leave the machine's namespaces. The next child is the first process of a new pid namespace."""
    call("unshare", _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET)


def unshare_for_session() -> None:
    """Leave the zygote's mounts and its inter-process communication."""
    call("unshare", _NEWNS | _NEWIPC)


def _map_user(proc: int, user: int, group: int) -> None:
    """Give the user and the group, read before the namespace was made, the same ids inside it."""
    for name, content in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        fd = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(fd, content.encode())
        finally:
            os.close(fd)


def enter_own(pid_namespace: int) -> None:
    """Make the next child the first process of another new pid namespace.

    A second `unshare` without the `setns` is EINVAL: children would already go elsewhere.
    """
    call("setns", pid_namespace, _NEWPID)
    call("unshare", _NEWPID)


def private_folders(disk_bytes: int, user: int, group: int, kept: dict[str, list[str]]) -> None:
    """Mount the session's working folder and /tmp: two folders of one file system, which bounds bytes and inodes.

    Args:
        disk_bytes: Its size.
        user: Owner of the folders.
        group: Their group.
        kept: Names in either folder that belong to the view, such as a Python installed under /tmp.
    """
    inodes = max(_MIN_INODES, disk_bytes // _BYTES_PER_INODE)
    options = f"size={disk_bytes},nr_inodes={inodes},mode=0711,uid={user},gid={group}"
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    call("mount", b"tmpfs", PRIVATE.encode(), b"tmpfs", flags, options.encode())
    for folder, names in kept.items():
        source = PRIVATE + folder
        os.mkdir(source, 0o700)
        for name in names:
            os.mkdir(f"{source}/{name}", 0o755)
            call("mount", f"{folder}/{name}".encode(), f"{source}/{name}".encode(), None, _MS_BIND | _MS_REC, None)
        os.chown(source, user, group)
        call("mount", source.encode(), folder.encode(), None, _MS_BIND | _MS_REC, None)
    call("umount2", PRIVATE.encode(), _MNT_DETACH)


def kept_names(binds: tuple[str, ...]) -> dict[str, list[str]]:
    """What of a view lies in the folders that each session covers with its own.

    >>> kept_names(("/tmp/v/lib", "/tmp/v/bin", "/usr/lib"))
    {'/sandbox': [], '/tmp': ['v']}
    """
    return {
        folder: sorted({path.split("/")[2] for path in binds if path.startswith(folder + "/")})
        for folder in (WORK, TEMPORARY)
    }


class Root:
    """A read-only root folder that holds the view of a `ZygoteSpec` and nothing else.

    Paths inside are the same as outside. Sources are bound through descriptors opened beforehand, since they may lie
    under a folder that a mount on the way hides.
    """

    def __init__(self, spec: ZygoteSpec) -> None:
        self._spec = spec
        self._sources: dict[str, int] = {}

    def enter(self, step: Callable[[str], None]) -> None:
        """Build the root and make it the only file system.

        Args:
            step: Told what is being tried, for the error message.
        """
        step("making the mounts private")
        call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
        step("opening what is to be seen")
        for path in (*self._spec.binds, *self._spec.devices):
            self._sources[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)  # of this mount namespace, or binding fails
        step("mounting a file system in memory")
        self._mount_memory(_STAGING)
        os.chdir(_STAGING)
        step("building the read-only view")
        self._make_links()
        self._bind_and_cover()
        for folder in (WORK, TEMPORARY, PRIVATE):
            os.makedirs("." + folder, 0o755, exist_ok=True)
        self._bind_devices()
        step("making the view the root folder")
        call("pivot_root", b".", b".")
        call("umount2", b".", _MNT_DETACH)
        os.chdir("/")
        step("making the view read-only")
        self._set_attributes("/", _ATTR_RDONLY | _ATTR_NOSUID)
        step("mounting the zygote's temporary folder")  # which matplotlib needs
        self._mount_memory(PRIVATE)

    def _make_links(self) -> None:
        for path, target in sorted(self._spec.links.items()):
            os.makedirs("." + os.path.dirname(path), 0o755, exist_ok=True)
            os.symlink(target, "." + path)

    def _bind_and_cover(self) -> None:
        covers = set(self._spec.covers)
        for path in sorted({*self._spec.binds, *covers}):
            if path in covers:
                self._mount_memory("." + path)  # an empty folder over it, in which further binds may be made
            else:
                self._bind(path)

    def _mount_memory(self, place: str) -> None:
        call("mount", b"tmpfs", place.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=4m,mode=0755")

    def _bind(self, path: str) -> None:
        source = self._sources[path]
        place = "." + path
        if not os.path.lexists(place):
            os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
            if stat.S_ISDIR(os.fstat(source).st_mode):
                os.mkdir(place, 0o755)
            else:
                os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        origin = f"/proc/self/fd/{source}"
        call("mount", origin.encode(), place.encode(), None, _MS_BIND | _MS_REC, None)
        os.close(source)

    def _bind_devices(self) -> None:
        self._set_attributes(".", _ATTR_NODEV)
        for path in self._spec.devices:
            self._bind(path)

    def _set_attributes(self, path: str, attributes: int) -> None:
        """Set attributes of a mount and of all mounts beneath it (Linux 5.12)."""
        request = ctypes.create_string_buffer(struct.pack("<QQQQ", attributes, 0, 0, 0), 32)
        call("mount_setattr", _AT_FDCWD, path.encode(), _AT_RECURSIVE, request, 32)
