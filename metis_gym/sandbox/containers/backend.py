"""The backend `docker`: sessions forked in hardened containers, for servers and for architectures without tables."""

import itertools
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.records import ImageArray
from metis_gym.sandbox.containers import engine
from metis_gym.sandbox.containers.container import Container
from metis_gym.sandbox.containers.wire import BrokenWireError, Kind, max_result_bytes, unpack_result
from metis_gym.sandbox.contract import RunResult, SandboxLimits
from metis_gym.sandbox.images import SharedImages
from metis_gym.sandbox.inside.spec import LANDLOCK, UNSAFE
from metis_gym.sandbox.payload import check_files

__all__ = ["DockerBackend", "DockerSession", "docker"]

_OPEN_SECONDS = 90.0
_MARGIN_SECONDS = 30.0
_alive: "weakref.WeakSet[DockerBackend]" = weakref.WeakSet()


class DockerSession:
    """A session in a container. Threads may share it; runs follow one another."""

    def __init__(self, container: Container, number: int, limits: SandboxLimits, grace: float) -> None:
        self._container = container
        self._number = number
        self._limits = limits
        self._grace = grace
        self._lock = threading.Lock()
        self._over = ""

    @property
    def alive(self) -> bool:
        """Whether it can run more code."""
        return not self._over and not self._container.broken and self._container.owner == os.getpid()

    def run(self, code: str, timeout: float | None = None) -> RunResult:
        """Run code; its variables stay for the next run. See `SandboxSession.run`."""
        if timeout is not None and not timeout > 0:
            raise ConfigError(f"timeout must be a positive number of seconds or None, actually: {timeout!r}")
        seconds = min(timeout or self._limits.seconds, self._limits.seconds)
        with self._lock:
            if self._container.owner != os.getpid():
                raise SandboxError(
                    "this sandbox session belongs to the process that this one was forked from; open another"
                )
            if self._over:
                raise SandboxError(f"this sandbox session is over: {self._over}; open another")
            answer = self._container.ask(
                Kind.RUN,
                {"session": self._number, "timeout": seconds},
                code.encode("utf-8", "surrogatepass"),
                seconds=seconds + self._grace + _MARGIN_SECONDS,
                max_data=max_result_bytes(self._limits),
            )
            return self._unpack(answer.data)

    def close(self) -> None:
        """End the session and all it started. May be called twice."""
        if self._container.owner != os.getpid() or self._over == "it was closed":
            return
        self._over = "it was closed"
        try:
            if not self._container.broken:
                self._container.ask(Kind.CLOSE, {"session": self._number}, b"", seconds=_OPEN_SECONDS)
        except SandboxError:
            self._container.close()
        finally:
            self._container.sessions -= 1

    def __del__(self) -> None:
        if hasattr(self, "_over"):
            self.close()

    def _unpack(self, data: bytes | bytearray) -> RunResult:
        try:
            result, alive = unpack_result(data, self._limits)
        except BrokenWireError as error:
            self._container.close()
            raise SandboxError(f"the sandbox's container sent {error}") from error
        if not alive:
            self._over = self._over or "its process was ended"
        return result


class DockerBackend:
    """Sessions in hardened containers: no network, no capabilities, a read-only root, limits on everything.

    Each container runs a zygote in the Landlock tier, so that a session costs milliseconds. Containers are started when
    the running ones have sessions, up to `containers`, and replaced when they break.

    Args:
        image: Which image; see `metis-gym sandbox build`.
        containers: How many at most.
        sessions: Per container at most. Each has a file system of its own there.
        limits: What each container may use.
        runtime: An OCI runtime of the engine, such as `runsc` (gVisor). gVisor has no Landlock, so every session gets a
            container of its own then.
        grace: See `ZygoteBackend`.

    Raises:
        MissingDependencyError: The package `docker` is absent.
        SandboxUnavailableError: No engine, no permission to use it, or no image.
    """

    name = "docker"

    def __init__(
        self,
        image: str = engine.IMAGE,
        containers: int = 2,
        sessions: int = 128,
        limits: engine.ContainerLimits | None = None,
        runtime: str | None = None,
        grace: float = 1.0,
    ) -> None:
        if containers < 1 or sessions < 1:
            raise ConfigError(f"containers and sessions must be at least 1, actually: {containers!r} and {sessions!r}")
        alone = runtime == "runsc"
        self._options: dict[str, Any] = {
            "image": image,
            "limits": limits or engine.ContainerLimits(),
            "runtime": runtime,
            "tier": UNSAFE if alone else LANDLOCK,
            "grace": grace,
            "places": 1 if alone else sessions,
        }
        self._max_sessions = 1 if alone else sessions
        self._max_containers = containers
        self._client: Any = None
        self._containers: list[Container] = []
        self._begin()
        _alive.add(self)

    def start(self) -> None:
        """Start the first container now instead of with the first session."""
        with self._lock:
            if not self._containers:
                self._containers.append(self._new_container())

    def open(
        self,
        *,
        images: Sequence[ImageArray] = (),
        files: Mapping[str, bytes] | None = None,
        limits: SandboxLimits | None = None,
        seed: int = 0,
        image_files: bool = False,
    ) -> DockerSession:
        """Start a session. See `SandboxBackend.open`."""
        limits = limits or SandboxLimits()
        files = files or {}
        most = self._options["limits"].disk_bytes
        if limits.disk_bytes > most:
            raise ConfigError(
                f"SandboxLimits.disk_bytes = {limits.disk_bytes} is more than ContainerLimits.disk_bytes = {most}; "
                "give DockerBackend larger limits"
            )
        shared = SharedImages.of(images)
        files = shared.with_files(files, limits.disk_bytes) if image_files else files
        lengths = check_files(files, limits.disk_bytes)
        number = next(self._numbers)
        container = self._choose()
        told: dict[str, object] = {
            "session": number,
            "seed": seed,
            "limits": vars(limits),
            "files": lengths,
            "image_files": image_files,
        }
        try:
            told["block"] = container.keep(shared) if shared else None
            container.ask(Kind.OPEN, told, b"".join(files.values()), seconds=_OPEN_SECONDS)
        except BaseException:
            container.sessions -= 1
            raise
        return DockerSession(container, number, limits, self._options["grace"])

    def close(self) -> None:
        """End every container. May be called twice; a later `open` starts anew."""
        with self._lock:
            for container in self._containers:
                container.close()
            self._containers.clear()
            if self._client is not None:
                self._client.close()
            self._client = None

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            self.close()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._containers = []
        self._client = None

    def _choose(self) -> Container:
        """A container with room, started if necessary, and one place in it."""
        with self._lock:
            for broken in [container for container in self._containers if container.broken]:
                broken.close()
                self._containers.remove(broken)
            freest = min(self._containers, key=lambda container: container.sessions, default=None)
            if freest is None or (freest.sessions and len(self._containers) < self._max_containers):
                freest = self._new_container()
                self._containers.append(freest)
            if freest.sessions >= self._max_sessions:
                raise SandboxError(
                    f"all {self._max_containers} containers have {self._max_sessions} sessions; close some, or give "
                    "DockerBackend more containers"
                )
            freest.sessions += 1
            return freest

    def _new_container(self) -> Container:
        if self._client is None:
            self._client = engine.connect()
            engine.remove_leftovers(self._client)
        return Container(self._client, **self._options)

    def _forget(self) -> None:
        """In a forked child: the containers are the parent's."""
        self._begin()


def docker(
    *,
    image: str = engine.IMAGE,
    containers: int = 2,
    sessions: int = 128,
    runtime: str | None = None,
    grace: float = 1.0,
) -> DockerBackend:
    """Hardened containers, started: `sandbox="docker:runtime=runsc,containers=4"`. See `DockerBackend`."""
    backend = DockerBackend(image=image, containers=containers, sessions=sessions, runtime=runtime, grace=grace)
    backend.start()
    return backend


def _forget_all() -> None:
    for backend in list(_alive):
        backend._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
