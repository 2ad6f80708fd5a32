"""One container and the conversation with its agent."""

import contextlib
import json
import os
import socket
import threading
import weakref
from collections import deque
from typing import Any

from metis_gym.errors import SandboxError, SandboxUnavailableError
from metis_gym.sandbox.containers import engine
from metis_gym.sandbox.containers.wire import BrokenWireError, Frame, Kind, pack_frame, read_frame
from metis_gym.sandbox.images import SharedImages
from metis_gym.sandbox.sources import boot_text, inside_sources, pack_program, project_sources

__all__ = ["Container"]

_PYTHON = "python3"
_START_SECONDS = 120.0
_LOG_BYTES = 1 << 14
_STDERR = 2


class _Waiting:
    """A request that was sent and not yet answered."""

    def __init__(self, max_data: int) -> None:
        self.max_data = max_data
        self.answered = threading.Event()
        self.answer: Frame | None = None


class Container:
    """Starts a container with an agent in it. Threads may share it.

    Args:
        client: Of the engine.
        image: The image.
        limits: What the container may use.
        runtime: Such as `runsc`; None for the engine's default.
        tier: How its sessions are isolated from each other.
        grace: Seconds between interruption and end.
        places: How many sessions it may have at a time.

    Raises:
        SandboxUnavailableError: The engine or the image does not allow it.
        SandboxError: The agent did not start.
    """

    def __init__(
        self,
        client: Any,
        *,
        image: str,
        limits: engine.ContainerLimits,
        runtime: str | None,
        tier: str,
        grace: float,
        places: int,
    ) -> None:
        self.sessions = 0
        self.owner = os.getpid()
        self._client = client
        self._lock = threading.Lock()
        self._waiting: dict[int, _Waiting] = {0: _Waiting(0)}
        self._requests = 0
        self._kept: weakref.WeakKeyDictionary[SharedImages, int] = weakref.WeakKeyDictionary()
        self._unused: deque[int] = deque()
        self._log = bytearray()
        self.broken = ""
        self._id = engine.create(client, image, [_PYTHON, "-I", "-B", "-c", boot_text()], limits, runtime, places)
        try:
            self._start(tier, grace)
        except OSError as error:
            self.close()
            raise SandboxError(f"the sandbox's container ended while starting: {error}") from error
        except BaseException:
            self.close()
            raise

    def ask(self, kind: int, told: dict[str, object], data: bytes, *, seconds: float, max_data: int = 0) -> Frame:
        """Send a request and wait for its answer.

        Args:
            kind: Of the request.
            told: Its parameters.
            data: Its bytes.
            seconds: How long to wait before the container is given up.
            max_data: How large the answer may be.

        Raises:
            SandboxError: The container or its agent broke.
        """
        waiting = _Waiting(max_data)
        with self._lock:
            self._requests += 1
            request = self._requests
            self._waiting[request] = waiting
            self._send(Frame(request, kind, json.dumps(told), data))
        answer = self._await(waiting, seconds)
        if answer.kind == Kind.FAILED:
            raise SandboxError(f"the sandbox in the container answers: {answer.text}")
        return answer

    def keep(self, images: SharedImages) -> int:
        """Send images, unless they were sent before, and have them kept for sessions for as long as they are used here.

        Returns:
            The number by which requests name them.

        Raises:
            SandboxError: The container is gone.
        """
        with self._lock:
            while self._unused:
                self._send(Frame(0, Kind.DROP, json.dumps({"block": self._unused.popleft()})))
            number = self._kept.get(images)
            if number is None:
                self._requests += 1
                number = self._requests
                told = {"block": number, "images": images.sizes}
                self._send(Frame(0, Kind.KEEP, json.dumps(told), b"".join(image.tobytes() for image in images)))
                self._kept[images] = number
                weakref.finalize(images, self._unused.append, number).atexit = False
            return number

    def close(self) -> None:
        """End the container. May be called twice."""
        self._give_up("it was closed")
        if hasattr(self, "_socket"):
            # The engine waits for whoever is attached, so this comes first.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._reader.ident is not None:
                self._reader.join(_START_SECONDS)
            self._socket.close()
            self._response.close()
        if self._id and self.owner == os.getpid():
            engine.remove(self._client, self._id)
            self._id = ""

    def _start(self, tier: str, grace: float) -> None:
        self._response = self._client.api.attach_socket(
            self._id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        self._socket: socket.socket = self._response._sock
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read_answers, name="metis-sandbox-container", daemon=True)
        import docker

        try:
            self._client.api.start(self._id)
        except docker.errors.APIError as error:
            raise SandboxUnavailableError(f"the Docker engine cannot start the sandbox's container: {error}") from error
        self._reader.start()
        texts = {**inside_sources(), "boot": boot_text()}
        entry = "metis_gym.sandbox.containers.agent:main"
        self._socket.sendall(pack_program(project_sources(), entry, [texts, tier, grace, engine.SESSIONS]))
        answer = self._await(self._waiting[0], _START_SECONDS)
        if answer.kind == Kind.UNAVAILABLE:
            raise SandboxUnavailableError(f"the sandbox 'docker': in its container, {answer.text}")

    def _await(self, waiting: _Waiting, seconds: float) -> Frame:
        if not waiting.answered.wait(seconds):
            self._give_up(f"no answer within {seconds:g} s")
        if waiting.answer is None:
            log = self._log.decode("utf-8", "replace")
            raise SandboxError(f"the sandbox's container broke: {self.broken}. {log}".strip())
        return waiting.answer

    def _send(self, frame: Frame) -> None:
        if self.broken:
            raise SandboxError(f"the sandbox's container is gone: {self.broken}")
        try:
            for piece in pack_frame(frame):
                self._socket.sendall(piece)
        except OSError as error:
            self._give_up(str(error))
            raise SandboxError(f"the sandbox's container is gone: {error}") from error

    def _read_answers(self) -> None:
        """The reader's thread: give each answer to whoever waits for it."""
        read = _Demultiplexer(self._socket, self._log).read
        try:
            while True:
                self._deliver(read_frame(read, self._max_data))
        except (BrokenWireError, EOFError, OSError) as error:
            self._give_up(f"{error}")

    def _max_data(self, request: int) -> int:
        waiting = self._waiting.get(request)
        if waiting is None:
            raise BrokenWireError(f"an answer to request {request}, which was not made")
        return waiting.max_data

    def _deliver(self, frame: Frame) -> None:
        waiting = self._waiting.pop(frame.request)
        waiting.answer = frame
        waiting.answered.set()

    def _give_up(self, reason: str) -> None:
        self.broken = self.broken or reason
        while self._waiting:
            with contextlib.suppress(KeyError):
                self._waiting.popitem()[1].answered.set()


class _Demultiplexer:
    """Takes the engine's stream apart: eight bytes say which stream follows and how much of it."""

    def __init__(self, source: socket.socket, log: bytearray) -> None:
        self._source = source
        self._log = log
        self._left = 0

    def read(self, count: int) -> bytearray:
        """Read exactly `count` bytes of standard output; standard error goes to the log, up to a bound.

        Raises:
            EOFError: The container ended.
        """
        data = bytearray(count)
        view = memoryview(data)
        while view:
            if not self._left:
                self._next()
                continue
            got = self._receive(view[: self._left])
            view = view[got:]
            self._left -= got
        return data

    def _next(self) -> None:
        head = bytearray(8)
        self._fill(head)
        length = int.from_bytes(head[4:], "big")
        if head[0] != _STDERR:
            self._left = length
            return
        while length:
            part = bytearray(min(length, _LOG_BYTES))
            self._fill(part)
            length -= len(part)
            self._log += part[: max(0, _LOG_BYTES - len(self._log))]

    def _fill(self, buffer: bytearray) -> None:
        view = memoryview(buffer)
        while view:
            view = view[self._receive(view) :]

    def _receive(self, view: memoryview) -> int:
        count = self._source.recv_into(view)
        if not count:
            raise EOFError("its program ended")
        return count
