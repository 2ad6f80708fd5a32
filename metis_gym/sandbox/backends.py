"""The backends that fork their sessions from a zygote: `namespace`, `landlock`, `unsafe`."""

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace

from metis_gym.errors import SandboxError
from metis_gym.records import ImageArray
from metis_gym.sandbox.contract import SandboxLimits
from metis_gym.sandbox.execution import Guard, Pipe
from metis_gym.sandbox.folders import Folders, MountedFolders, SessionFolders
from metis_gym.sandbox.guards import FolderGuard, ThreadWatch
from metis_gym.sandbox.images import SharedImages
from metis_gym.sandbox.inside.frames import LISTENER_FOLLOWS, SUPPLIED
from metis_gym.sandbox.inside.spec import NAMESPACE, SessionLimits, SessionSpec
from metis_gym.sandbox.payload import check_files, make_payload
from metis_gym.sandbox.process import Handle, ZygoteProcess, no_descriptor_left
from metis_gym.sandbox.session import END_SECONDS, OPEN_SECONDS, LostSessionError, ZygoteSession
from metis_gym.sandbox.setup import make_spec
from metis_gym.sandbox.view import PACKAGES

__all__ = ["ZygoteBackend"]

_ATTEMPTS = 3
"""To open a session whose process is killed by somebody else meanwhile."""
_alive: "weakref.WeakSet[ZygoteBackend]" = weakref.WeakSet()


class ZygoteBackend:
    """Sessions forked from one prepared process, which starts with the first of them. Threads may share it.

    In a forked child of the host (a worker of a vector environment) it starts a zygote of its own.

    Args:
        tier: `namespace`, `landlock` or `unsafe`.
        packages: Import names that code inside may use; the standard library is always there.
        grace: Seconds between the interruption of code at its time limit and its end, if it goes on nevertheless.
        mounted: A folder of file systems for the sessions, see `MountedFolders`; empty to use the temporary folder.
    """

    def __init__(self, tier: str, packages: Sequence[str] = PACKAGES, grace: float = 1.0, mounted: str = "") -> None:
        self.name = tier
        self._grace = grace
        self._mounted = mounted
        self._packages = tuple(packages)
        self._begin()
        _alive.add(self)

    def start(self) -> None:
        """Start the zygote now instead of with the first session.

        Raises:
            SandboxUnavailableError: This machine cannot isolate in this way.
            SandboxError: It could, but starting failed.
        """
        with self._lock:
            self._running()

    def open(
        self,
        *,
        images: Sequence[ImageArray] = (),
        files: Mapping[str, bytes] | None = None,
        limits: SandboxLimits | None = None,
        seed: int = 0,
        image_files: bool = False,
    ) -> ZygoteSession:
        """Start a session. See `SandboxBackend.open`."""
        limits = limits or SandboxLimits()
        shared = SharedImages.of(images)
        files = shared.with_files(files or {}, limits.disk_bytes) if image_files else files or {}
        lengths = check_files(files, limits.disk_bytes)
        session = SessionSpec(
            number=0,
            seed=seed,
            limits=SessionLimits(**vars(limits)),
            images=shared.sizes,
            files=lengths,
            image_files=image_files,
        )
        try:
            payload = make_payload(files)
            try:
                return self._open(session, limits, payload, shared)
            finally:
                os.close(payload)
        except OSError as error:
            raise SandboxError(f"a sandbox session could not be started: {error}") from error

    def close(self) -> None:
        """End every session and the zygote. May be called twice; a later `open` starts anew."""
        with self._lock:
            self._end()

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            self.close()

    def _open(self, session: SessionSpec, limits: SandboxLimits, payload: int, images: SharedImages) -> ZygoteSession:
        """Open a session, another one when its process is killed before anything was run."""
        for attempt in range(1, _ATTEMPTS + 1):
            with self._lock:
                zygote, folders = self._running()
                self._opened += 1
                number = self._opened
            folder = folders.take() if folders else ""
            numbered = replace(session, number=number, folder=folder)
            opened = self._ask_for(zygote, folders, numbered, limits, payload, images)
            try:
                opened.await_opening()
                break
            except LostSessionError:
                if attempt == _ATTEMPTS:
                    raise
        return opened

    def _ask_for(
        self,
        zygote: ZygoteProcess,
        folders: Folders | None,
        session: SessionSpec,
        limits: SandboxLimits,
        payload: int,
        images: SharedImages,
    ) -> ZygoteSession:
        """Make a session's channel and pipes, ask the zygote for it, and complete its images in the meantime."""
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as theirs:
            if folders:
                on_failure.callback(folders.give_back, session.folder)
            channel, their_channel = socket.socketpair()
            on_failure.callback(channel.close)
            theirs.callback(their_channel.close)
            ends = [os.pipe(), os.pipe()]
            for read, write in ends:
                on_failure.callback(os.close, read)
                theirs.callback(os.close, write)
            given = [their_channel.fileno(), *(write for _, write in ends), payload, *images.blocks()]
            handle = zygote.open(session, given)
            theirs.close()
            on_failure.callback(handle.close)
            on_failure.callback(handle.has_ended, END_SECONDS)
            on_failure.callback(handle.kill)
            if images:
                images.fill()
                with contextlib.suppress(OSError):  # a session that is gone: why is found out when it does not answer
                    channel.send(SUPPLIED)
            guard = _guard(folders, session.folder, limits, channel, handle) if folders else None
            channel.setblocking(False)
            out, error = (Pipe(read, limits.output_bytes) for read, _ in ends)
            on_failure.pop_all()
        return ZygoteSession(
            owner=self,
            zygote=zygote,
            number=session.number,
            handle=handle,
            channel=channel,
            pipes=(out, error),
            limits=limits,
            guard=guard,
            grace=self._grace,
        )

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._zygote: ZygoteProcess | None = None
        self._folders: Folders | None = None
        self._opened = 0

    def _running(self) -> tuple[ZygoteProcess, Folders | None]:
        """The zygote, started if there is none or if it died."""
        if self._zygote is None or not self._zygote.is_alive():
            self._end()
            if self.name != NAMESPACE:
                self._folders = MountedFolders(self._mounted) if self._mounted else SessionFolders()
            self._zygote = ZygoteProcess(make_spec(self.name, self._folders, self._packages))
        return self._zygote, self._folders

    def _end(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
        if self._folders is not None:
            self._folders.close()
        self._zygote, self._folders = None, None

    def _forget(self) -> None:
        """In a forked child: leave the parent's zygote alone and begin anew."""
        if self._zygote is not None:
            self._zygote.forget()
        if self._folders is not None:
            self._folders.forget()
        self._begin()


def _guard(folders: Folders, folder: str, limits: SandboxLimits, channel: socket.socket, handle: Handle) -> Guard:
    """Watch a session that has a folder on the host's disk, and its threads if it hands over a listener."""
    channel.settimeout(OPEN_SECONDS)
    threads = None
    if channel.recv(1, socket.MSG_PEEK) == LISTENER_FOLLOWS:
        _, received, _, _ = socket.recv_fds(channel, 1, 1)
        if not received:
            raise no_descriptor_left()
        threads = ThreadWatch(received[0], handle.pid, limits.processes)
    return FolderGuard(handle, folders, folder, limits, threads)


def _forget_all() -> None:
    for backend in list(_alive):
        backend._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
