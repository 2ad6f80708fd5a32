"""Runs in a container as its only program: opens sessions in the Landlock tier, and passes requests and results on.

It is sent to a bare Python as text, so that an image needs Python and libraries and nothing of this project.
"""

import contextlib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NoReturn

import numpy as np

from metis_gym.errors import MetisError, SandboxUnavailableError
from metis_gym.sandbox import sources
from metis_gym.sandbox.backends import ZygoteBackend
from metis_gym.sandbox.containers.wire import Frame, Kind, pack_frame, pack_result, read_frame
from metis_gym.sandbox.contract import SandboxLimits
from metis_gym.sandbox.images import SharedImages
from metis_gym.sandbox.session import ZygoteSession

__all__ = ["main"]

_THREADS = 256
_MAX_DATA = 1 << 40
"""The host is trusted."""


def main(texts: dict[str, str], tier: str, grace: float, mounted: str) -> NoReturn:
    """Serve until the host closes standard input.

    Args:
        texts: Source text for the zygotes.
        tier: How sessions are isolated from each other and from this process.
        grace: See `ZygoteBackend`.
        mounted: The folder of the sessions' file systems.
    """
    sources.provide(texts)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    backend = ZygoteBackend(tier, grace=grace, mounted=mounted)
    agent = _Agent(backend, sys.stdin.buffer, answers)
    try:
        backend.start()
    except SandboxUnavailableError as error:
        agent.answer(Frame(0, Kind.UNAVAILABLE, str(error)))
    else:
        agent.answer(Frame(0, Kind.STARTED))
        with contextlib.suppress(EOFError):
            agent.serve()
    os._exit(0)


class _Agent:
    """Answers requests, many at a time."""

    def __init__(self, backend: ZygoteBackend, requests: BinaryIO, answers: BinaryIO) -> None:
        self._backend = backend
        self._requests = requests
        self._answers = answers
        self._lock = threading.Lock()
        self._sessions: dict[int, ZygoteSession] = {}
        self._images: dict[int, SharedImages] = {}
        self._threads = ThreadPoolExecutor(_THREADS)

    def serve(self) -> None:
        """Read requests until there are no more.

        Raises:
            EOFError: The host closed standard input.
        """
        while True:
            frame = read_frame(self._read, lambda _: _MAX_DATA)
            if frame.kind == Kind.KEEP:
                self._keep(frame)
            elif frame.kind == Kind.DROP:
                self._images.pop(json.loads(frame.text)["block"])
            else:
                self._threads.submit(self._handle, frame)

    def answer(self, frame: Frame) -> None:
        """Send a frame; whole frames only, whichever thread asks."""
        with self._lock:
            for piece in pack_frame(frame):
                view = memoryview(piece)
                while view:
                    view = view[self._answers.write(view) :]

    def _read(self, count: int) -> bytes:
        data = self._requests.read(count)
        if len(data) < count:
            raise EOFError("the host is gone")
        return data

    def _handle(self, frame: Frame) -> None:
        try:
            answer = self._answer_to(frame)
        except MetisError as error:
            answer = Frame(frame.request, Kind.FAILED, str(error))
        self.answer(answer)

    def _answer_to(self, frame: Frame) -> Frame:
        told = json.loads(frame.text)
        number = told["session"]
        if frame.kind == Kind.OPEN:
            self._sessions[number] = self._open(told, frame.data)
            return Frame(frame.request, Kind.OPENED)
        if frame.kind == Kind.CLOSE:
            self._sessions.pop(number).close()
            return Frame(frame.request, Kind.CLOSED)
        session = self._sessions[number]
        result = session.run(bytes(frame.data).decode("utf-8", "surrogatepass"), told["timeout"])
        return Frame(frame.request, Kind.RESULT, data=pack_result(result, alive=session.alive))

    def _keep(self, frame: Frame) -> None:
        """Keep images for the sessions to come."""
        told, left = json.loads(frame.text), memoryview(frame.data)
        images = []
        for width, height in told["images"]:
            count = 3 * width * height
            images.append(np.frombuffer(left[:count], np.uint8).reshape(height, width, 3))
            left = left[count:]
        self._images[told["block"]] = SharedImages(images)

    def _open(self, told: dict[str, object], data: bytes | bytearray) -> ZygoteSession:
        left = memoryview(data)
        files = {}
        for name, length in _pairs(told["files"]):
            files[str(name)] = bytes(left[: int(length)])
            left = left[int(length) :]
        limits = told["limits"]
        assert isinstance(limits, dict)  # as the host wrote it
        seed = int(str(told["seed"]))
        images = self._images[int(str(told["block"]))] if told["block"] is not None else ()
        return self._backend.open(
            images=images,
            files=files,
            limits=SandboxLimits(**limits),
            seed=seed,
            image_files=told["image_files"] is True,
        )


def _pairs(value: object) -> list[tuple[str | int, str | int]]:
    assert isinstance(value, list)  # as the host wrote it
    return [(first, second) for first, second in value]
