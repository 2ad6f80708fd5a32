"""The ways to isolate a session, from the zygote's side: what is set up once, and what each session goes through."""

import os
import socket
from collections.abc import Callable
from typing import Protocol

from . import landlock, namespaces, privileges, seccomp, substitutes
from .frames import LISTENER_FOLLOWS
from .landlock import close_places, open_places
from .spec import LANDLOCK, NAMESPACE, SessionSpec, ZygoteSpec

__all__ = ["Step", "Tier", "make"]

Step = Callable[[str], None]
"""Told what is being tried, so that a failure can be named."""


class Tier(Protocol):
    """One way to isolate a process from the host, step by step."""

    needs_launcher: bool
    """The zygote must be forked once more, after `unshare`, to be in its own pid namespace."""

    def unshare(self, step: Step) -> None:
        """What has to happen before the zygote is forked from its launcher."""
        ...

    def prepare(self, step: Step) -> None:
        """Set the zygote up, before libraries are imported."""
        ...

    def before_fork(self) -> None:
        """Called in the zygote before each session is forked."""
        ...

    def begin(self) -> None:
        """What a new process can do towards its isolation before it knows which session it is to be."""
        ...

    def confine(self, session: SessionSpec, channel: socket.socket, /) -> None:
        """Put the walls up around the calling process, a new session, for good.

        Args:
            session: Its limits, its folder, and the number that chooses its user.
            channel: To the host, which is sent a descriptor if it has to count threads.
        """
        ...


class _Common:
    """What all tiers share. `proc` stays open in the zygote only."""

    needs_launcher = False

    def __init__(self, spec: ZygoteSpec) -> None:
        self.spec = spec
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._memory = (0, 0)

    def unshare(self, step: Step) -> None:
        pass

    def prepare(self, step: Step) -> None:
        step("adjusting the order of victims when memory runs out")
        self.be_first_to_go()
        privileges.empty_bounding_set()

    def before_fork(self) -> None:
        if not any(self._memory):  # at the first session, when everything is imported
            fd = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
            self._memory = privileges.memory_in_use(os.read(fd, 256).decode())
            os.close(fd)

    def begin(self) -> None:
        pass

    def user_of(self, session: SessionSpec) -> int | None:
        """The session's own user id; None to stay the host's user."""
        return self.spec.first_user + session.number % self.spec.users if self.spec.users else None

    def be_first_to_go(self) -> None:
        """When the machine runs out of memory, sessions, which inherit this, are ended before anything else."""
        fd = os.open("self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.proc)
        os.write(fd, b"1000")
        os.close(fd)

    def own_folders(self, session: SessionSpec, user: int | None) -> str:
        """Make the session's working and temporary folders on the host's disk, and enter the former."""
        base = session.folder
        os.mkdir(base, 0o700)
        owned = user if user is not None and self.file_user() is None else -1
        for folder in (base + "/work", base + "/tmp", base):
            if folder != base:
                os.mkdir(folder, 0o700)
            os.chown(folder, owned, owned)
        os.environ.update(HOME=base + "/work", TMPDIR=base + "/tmp", MPLCONFIGDIR=base + "/tmp")
        os.chdir(base + "/work")
        return base

    def file_user(self) -> int | None:
        """Whose rights files are opened with, when not the session's own user's."""
        return os.geteuid() if self.spec.keep_file_user else None

    def give_up_rights(self, session: SessionSpec, user: int | None, *, count_processes: bool) -> None:
        """Limits, own user, no capabilities, no new privileges."""
        privileges.limit_resources(session.limits, self._memory, count_processes=count_processes)
        if user is not None:
            privileges.become(user, file_user=self.file_user())
        privileges.drop_capabilities()
        privileges.die_with_parent()
        privileges.forbid_new_privileges()


class UnsafeTier(_Common):
    """A separate process with limits, and no walls."""

    def confine(self, session: SessionSpec, _channel: socket.socket) -> None:
        self.own_folders(session, None)
        privileges.limit_resources(session.limits, self._memory, count_processes=False)
        privileges.die_with_parent()


class LandlockTier(_Common):
    """Landlock, seccomp, limits, and a user of its own when the host is root. Works inside plain containers."""

    def prepare(self, step: Step) -> None:
        super().prepare(step)
        step("asking for Landlock")
        version = landlock.abi()
        if version < landlock.MIN_ABI:
            raise OSError(f"Landlock's version is {version}, and {landlock.MIN_ABI} is needed (Linux 6.2 or newer)")
        self._filter = seccomp.Filter(own_files=False)
        spec = self.spec
        substitutes.install(spec.links)
        self._devices = open_places(spec.devices)
        self._shared = landlock.Ruleset().permit(landlock.DEVICE, self._devices)
        # Of /proc, which is permitted here, every session is left nothing but its own map of memory.
        for rights, paths in (
            (landlock.READ, ("/proc",)),
            (landlock.READ, spec.readable),
            (landlock.LIST, spec.listable),
            (landlock.OWN, (spec.folder,)),
        ):
            places = open_places(paths)
            self._shared.permit(rights, places)
            close_places(places)
        tops = sorted({_highest_apart(path, spec.folder) for path in (*spec.readable, *spec.listable)})
        self._coarse = open_places(tops)

    def confine(self, session: SessionSpec, channel: socket.socket) -> None:
        user = self.user_of(session)
        folder = self.own_folders(session, user)
        own = landlock.Ruleset().permit(landlock.READ, self._coarse).permit(landlock.DEVICE, self._devices)
        own.permit(landlock.OWN, open_places([folder]))
        own.permit(landlock.READ, open_places([f"/proc/{os.getpid()}/maps"]))  # threadpoolctl reads it
        self.give_up_rights(session, user, count_processes=user is not None)
        self._shared.enforce()
        own.enforce()
        if self.spec.watch_threads:
            socket.send_fds(channel, [LISTENER_FOLLOWS], [seccomp.ask_before_clone()])
        seccomp.install(self._filter.program(os.getpid()))


class NamespaceTier(_Common):
    """Namespaces with a read-only root of few files, Landlock where there is one, seccomp, limits."""

    needs_launcher = True

    def unshare(self, step: Step) -> None:
        if self.spec.own_user_namespace:
            step("making a user namespace")
            namespaces.unshare_user(self.proc)
        step("making namespaces")
        namespaces.unshare_for_zygote()
        namespaces.Root(self.spec).enter(step)
        step("naming the sandbox")
        socket.sethostname(substitutes.HOST_NAME)

    def prepare(self, step: Step) -> None:
        super().prepare(step)
        step("opening the zygote's pid namespace")
        self._own_pids = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
        self._filter = seccomp.Filter(own_files=True).program(1)
        self._kept = namespaces.kept_names(self.spec.binds)
        self._everything, self._devices = open_places(["/"]), open_places(self.spec.devices)
        self._has_landlock = landlock.abi() >= landlock.MIN_ABI

    def before_fork(self) -> None:
        super().before_fork()
        namespaces.enter_own(self._own_pids)

    def begin(self) -> None:
        if self.spec.own_user_namespace:
            namespaces.unshare_user(self.proc)
            privileges.empty_bounding_set()  # which a new user namespace fills again
        namespaces.unshare_for_session()

    def confine(self, session: SessionSpec, _channel: socket.socket) -> None:
        user = self.user_of(session)
        owner = os.geteuid() if user is None or self.spec.keep_file_user else user
        group = os.getegid() if user is None else owner
        namespaces.private_folders(session.limits.disk_bytes, owner, group, self._kept)
        os.chdir(namespaces.WORK)
        self.give_up_rights(session, user, count_processes=True)
        if self._has_landlock:
            rules = landlock.Ruleset().permit(landlock.READ, self._everything).permit(landlock.DEVICE, self._devices)
            rules.permit(landlock.OWN, open_places([namespaces.WORK, namespaces.TEMPORARY])).enforce()
        seccomp.install(self._filter)


def _highest_apart(path: str, avoid: str) -> str:
    """The highest folder above `path` (or `path`) that does not contain `avoid`.

    >>> _highest_apart("/usr/lib/python3", "/tmp/s")
    '/usr'
    >>> _highest_apart("/tmp/v/lib", "/tmp/s")
    '/tmp/v'
    """
    place = ""
    for part in path.strip("/").split("/"):
        place += "/" + part
        if not (avoid + "/").startswith(place + "/"):
            return place
    return path


def make(spec: ZygoteSpec) -> Tier:
    """The tier that a spec asks for."""
    tiers: dict[str, type[UnsafeTier | LandlockTier | NamespaceTier]] = {
        NAMESPACE: NamespaceTier,
        LANDLOCK: LandlockTier,
    }
    return tiers.get(spec.tier, UnsafeTier)(spec)
