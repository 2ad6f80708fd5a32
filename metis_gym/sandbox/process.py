"""The zygote as the host sees it: a child process and a socket to it."""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

from metis_gym.errors import ConfigError, SandboxError, SandboxUnavailableError
from metis_gym.sandbox.advice import explain_failure
from metis_gym.sandbox.inside.spec import STOP, SessionSpec, ZygoteSpec
from metis_gym.sandbox.sources import boot_text, inside_sources, pack_program

__all__ = ["ENVIRONMENT", "Handle", "SessionEnd", "ZygoteProcess"]

_START_SECONDS = 120.0
_ANSWER_SECONDS = 60.0
_STOP_SECONDS = 10.0
_MESSAGE_BYTES = 1 << 16

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "1",  # else every thread reserves address space, which is limited
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
"""All environment variables that a zygote is started with."""


class Handle:
    """A running session process, named for ever by a pidfd, even after its pid is given to another process.

    Threads may share it: a descriptor that one closes is never signalled by another.

    Args:
        pid: The process, as its zygote sees it.
        pidfd: The descriptor, which this takes over.
    """

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._lock = threading.Lock()

    def interrupt(self) -> None:
        """Send SIGINT, if it still runs."""
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """Send SIGKILL, if it still runs."""
        self._send(signal.SIGKILL)

    def pause(self) -> None:
        """Send SIGSTOP, if it still runs."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT, if it still runs."""
        self._send(signal.SIGCONT)

    def has_ended(self, patience: float = 0.0) -> bool:
        """Whether it has ended, after waiting for `patience` seconds at most."""
        if self._pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(patience * 1000))

    def close(self) -> None:
        """Close the descriptor; may be called twice."""
        with self._lock:
            if self._pidfd >= 0:
                os.close(self._pidfd)
            self._pidfd = -1

    def _send(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)


@dataclass(frozen=True)
class SessionEnd:
    """How a session's process ended."""

    signal: int
    code: int
    cpu_seconds: float


def no_descriptor_left() -> OSError:
    """Why a message came without its descriptor: the kernel drops one for which the receiver has no number left."""
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class ZygoteProcess:
    """Starts a zygote and asks it for sessions. Threads may share it.

    Raises:
        SandboxUnavailableError: This machine does not allow what the spec asks for.
        SandboxError: The zygote broke while starting.
    """

    def __init__(self, spec: ZygoteSpec, python: str = sys.executable) -> None:
        self._lock = threading.Lock()
        self._tier = spec.tier
        self._log = os.memfd_create("zygote-log", os.MFD_CLOEXEC)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_START_SECONDS)
        host_fd = os.pidfd_open(os.getpid())
        options = ["-P", "-s", "-S", "-B", "-c", boot_text()]
        theirs_fd = theirs.fileno()
        with theirs:
            self._process = subprocess.Popen(
                [python, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=(theirs_fd, host_fd),
                start_new_session=True,
            )
        os.close(host_fd)
        try:
            self._send_program([theirs_fd, host_fd, spec.to_json()])
            self._await_ready()
        except BaseException:
            self.close()
            raise
        self._control.settimeout(_ANSWER_SECONDS)

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def open(self, session: SessionSpec, fds: list[int]) -> Handle:
        """Ask for a session.

        Raises:
            SandboxError: The zygote is gone, or could not fork.
            OSError: This process has no descriptor left for the handle.
            ConfigError: The names of the files are too long.
        """
        message = session.to_json().encode()
        if len(message) > _MESSAGE_BYTES:
            raise ConfigError(
                f"the names and sizes of {len(session.files)} files do not fit into {_MESSAGE_BYTES} bytes"
            )
        with self._lock:
            answer, received = self._ask(message, fds)
        if "error" in answer:
            raise SandboxError(f"the sandbox could not start a session: {answer['error']}")
        if not received:
            raise no_descriptor_left()
        return Handle(pid=answer["pid"], pidfd=received[0])

    def end_of(self, number: int) -> SessionEnd:
        """How a session ended, which must have been killed before.

        Raises:
            SandboxError: The zygote is gone.
        """
        with self._lock:
            answer, _ = self._ask(json.dumps({"end_of": number}).encode(), [])
        return SessionEnd(**answer)

    def close(self) -> None:
        """End the zygote, and with it all of its sessions."""
        with contextlib.suppress(OSError):
            self._control.send(STOP)
        self._control.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def forget(self) -> None:
        """Let go of it in a forked child of the host, whose it is not."""
        self._control.close()
        self._process.returncode = 0
        os.close(self._log)
        self._log = -1

    def _send_program(self, arguments: list[object]) -> None:
        program = pack_program(inside_sources(), "inside.zygote:main", arguments)
        stdin = self._process.stdin
        assert stdin is not None  # asked for above
        with contextlib.suppress(BrokenPipeError), stdin:
            stdin.write(program)

    def _await_ready(self) -> None:
        try:
            answer = json.loads(self._control.recv(_MESSAGE_BYTES) or b"{}")
        except TimeoutError as error:
            raise SandboxError(f"the sandbox's first process did not start within {_START_SECONDS:g} s") from error
        if "failed" in answer:
            raise SandboxUnavailableError(explain_failure(self._tier, answer["failed"], answer["error"]))
        if "ready" not in answer:
            raise SandboxError(f"the sandbox's first process ended while starting:\n{self._read_log()}")

    def _ask(self, message: bytes, fds: list[int]) -> tuple[dict[str, Any], list[int]]:
        try:
            socket.send_fds(self._control, [message], fds)
            data, received, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        except OSError as error:
            raise SandboxError(f"the sandbox's first process does not answer ({error}); {self._read_log()}") from error
        if not data:
            raise SandboxError(f"the sandbox's first process ended; {self._read_log()}")
        answer: dict[str, Any] = json.loads(data)
        return answer, received

    def _read_log(self) -> str:
        if self._log < 0:
            return "it was closed"
        return os.pread(self._log, 1 << 14, 0).decode("utf-8", "replace") or "it left no message"
