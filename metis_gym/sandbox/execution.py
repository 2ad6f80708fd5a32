"""One run in progress: a loop that sends the code, collects output within bounds, and keeps the clock.

The clock and the bounds are kept here, on the host's side, because nothing inside can be trusted to keep them.
"""

import contextlib
import os
import select
import socket
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from metis_gym.sandbox.contract import SandboxLimits
from metis_gym.sandbox.inside import frames
from metis_gym.sandbox.process import Handle
from metis_gym.sandbox.replies import ForgedReplyError, Reply, ReplyReader

__all__ = ["Ending", "Execution", "Guard", "Pipe", "Stop"]

_READ_BYTES = 1 << 16
_READS_TO_EMPTY = 32
_CEILING_FACTOR = 64
_MIN_CEILING = 16 << 20


class Guard(Protocol):
    """Enforces, from the host's side, limits that the kernel does not enforce in some tier."""

    interval: float
    """Seconds between two checks."""

    def descriptors(self) -> tuple[int, ...]:
        """Descriptors on which the session asks for something."""
        ...

    def answer(self, descriptor: int) -> None:
        """Answer what is asked on one of them."""
        ...

    def check(self, *, is_last: bool) -> str:
        """Name the limit that is exceeded, or return an empty text.

        Args:
            is_last: The run is over, and the session was paused: a guard that looks from time to time only looks now.
        """
        ...

    def clean(self) -> None:
        """Remove what the session left, after its end."""
        ...


class Stop(Enum):
    """Why a run was stopped before its end."""

    TIME = auto()
    OUTPUT = auto()
    GUARD = auto()


@dataclass(frozen=True, eq=False)
class Ending:
    """How a run went.

    Attributes:
        reply: The worker's reply; None when there was none, and the process has to be ended.
        stop: Why it was interrupted or killed; None when it was not.
        reason: What was wrong, when there is no reply.
    """

    reply: Reply | None
    stop: Stop | None = None
    reason: str = ""


class Pipe:
    """The reading end of a session's output stream. Keeps the first bytes and counts the rest."""

    def __init__(self, fd: int, keep: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.is_open = True
        self._keep = keep
        self._kept = bytearray()
        self.total = 0

    def read(self) -> bool:
        """Take what has arrived, one read's worth. Returns whether there was something."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self.is_open = bool(data)
        self.total += len(data)
        self._kept += data[: max(0, self._keep - len(self._kept))]
        return self.is_open

    def take(self) -> tuple[str, bool]:
        """What was kept and whether something was dropped; begins anew."""
        for _ in range(_READS_TO_EMPTY):
            if not self.is_open or not self.read():
                break
        text, overflowed = self._kept.decode("utf-8", "replace"), self.total > self._keep
        self._kept, self.total = bytearray(), 0
        return text, overflowed

    def close(self) -> None:
        """Close the descriptor; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd, self.is_open = -1, False


class Execution:
    """Waits for one reply.

    Args:
        channel: Non-blocking socket to the session.
        pipes: Standard output and standard error.
        handle: The session's process.
        guard: Further limits.
        grace: Seconds between the interruption and the end of code that does not let itself be interrupted.
    """

    def __init__(
        self, channel: socket.socket, pipes: tuple[Pipe, Pipe], handle: Handle, guard: Guard | None, grace: float
    ) -> None:
        self._channel = channel
        self._pipes = {pipe.fd: pipe for pipe in pipes}
        self._handle = handle
        self._guard = guard
        self._grace = grace
        self._poll = select.poll()

    def run(self, code: bytes, seconds: float, limits: SandboxLimits) -> Ending:
        """Run code. The session's threads run as long as this does: between two runs they all stand still.

        Args:
            code: UTF-8 source.
            seconds: Wall-clock limit.
            limits: The session's.
        """
        nonce = os.urandom(frames.NONCE_BYTES)
        self._unsent = memoryview(frames.pack_request(nonce, code))
        self._ceiling = max(_MIN_CEILING, _CEILING_FACTOR * limits.output_bytes)
        # Sent first, so that the session wakes up once. What does not fit, or fails, is the loop's.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
        self._handle.resume()
        return self._wait(ReplyReader(self._channel, nonce, limits), seconds)

    def await_opening(self, seconds: float) -> Ending:
        """Wait for the session's first words. No code of a model's has run by then, so limits are not looked at."""
        self._unsent = memoryview(b"")
        self._ceiling = _MIN_CEILING
        return self._wait(ReplyReader(self._channel, bytes(frames.NONCE_BYTES), None), seconds, opens=True)

    def _wait(self, reader: ReplyReader, seconds: float, *, opens: bool = False) -> Ending:
        self._register()
        stop: Stop | None = None
        deadline = time.monotonic() + seconds
        while True:
            try:
                reply = self._step(reader, deadline)
            except (EOFError, ForgedReplyError, BrokenPipeError, ConnectionResetError) as error:
                return Ending(None, stop, str(error))
            if reply is not None:
                self._handle.pause()
            exceeded = self._guard.check(is_last=reply is not None) if self._guard and not opens else ""
            if exceeded:
                return Ending(None, Stop.GUARD, exceeded)
            if reply is not None:
                return Ending(reply, stop)
            is_late = time.monotonic() >= deadline
            if stop is not None and is_late:
                return Ending(None, stop)
            if stop is None and (is_late or self._is_flooded()):
                stop = Stop.TIME if is_late else Stop.OUTPUT
                self._handle.interrupt()
                deadline = time.monotonic() + self._grace

    def _register(self) -> None:
        self._poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        extra = self._guard.descriptors() if self._guard else ()
        for fd in (*(fd for fd, pipe in self._pipes.items() if pipe.is_open), *extra):
            self._poll.register(fd, select.POLLIN)

    def _step(self, reader: ReplyReader, deadline: float) -> Reply | None:
        """Wait until something happens or it is time to look after the limits, and deal with it."""
        left = max(0.0, deadline - time.monotonic())
        patience = min(left, self._guard.interval) if self._guard else left
        reply = None
        for fd, event in self._poll.poll(patience * 1000 + 1):
            if fd in self._pipes:
                pipe = self._pipes[fd]
                if not pipe.read() and not pipe.is_open:
                    self._poll.unregister(fd)
            elif fd == self._channel.fileno():
                reply = self._talk(reader, event)
            elif self._guard:
                self._guard.answer(fd)
        return reply

    def _talk(self, reader: ReplyReader, event: int) -> Reply | None:
        if self._unsent and event & select.POLLOUT:
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
            if not self._unsent:
                self._poll.modify(self._channel, select.POLLIN)
        return reader.read() if event & ~select.POLLOUT else None

    def _is_flooded(self) -> bool:
        return any(pipe.total > self._ceiling for pipe in self._pipes.values())
