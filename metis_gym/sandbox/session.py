"""One session from the host's side."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.sandbox.contract import RunResult, RunStatus, SandboxLimits
from metis_gym.sandbox.execution import Ending, Execution, Guard, Pipe, Stop
from metis_gym.sandbox.inside import frames
from metis_gym.sandbox.inside.tracebacks import readable_size
from metis_gym.sandbox.process import Handle, SessionEnd, ZygoteProcess

__all__ = ["END_SECONDS", "OPEN_SECONDS", "LostSessionError", "ZygoteSession"]

OPEN_SECONDS = 60.0
END_SECONDS = 10.0
_STATUSES = {
    frames.OK: RunStatus.OK,
    frames.ERROR: RunStatus.ERROR,
    frames.INTERRUPTED: RunStatus.ERROR,
    frames.MEMORY: RunStatus.MEMORY,
    frames.OUTPUT: RunStatus.OUTPUT_LIMIT,
}
_VARIABLES_ARE_LOST = "The session was ended; its variables are lost."


class LostSessionError(SandboxError):
    """The process of a session ended without a word before anything was run in it."""


class ZygoteSession:
    """A process forked from a zygote. Threads may share it; runs follow one another.

    Args:
        owner: What it needs to live, kept until it is gone.
        zygote: Its parent.
        number: Its number there.
        handle: Its process.
        channel: Socket to it.
        pipes: Its standard output and standard error.
        limits: What it may use.
        guard: Enforces limits that the kernel does not.
        grace: Seconds between the interruption and the end of code that does not let itself be interrupted.
    """

    def __init__(
        self,
        *,
        owner: object,
        zygote: ZygoteProcess,
        number: int,
        handle: Handle,
        channel: socket.socket,
        pipes: tuple[Pipe, Pipe],
        limits: SandboxLimits,
        guard: Guard | None,
        grace: float,
    ) -> None:
        self._kept = owner
        self._zygote = zygote
        self._number = number
        self._handle = handle
        self._channel = channel
        self._pipes = pipes
        self._limits = limits
        self._guard = guard
        self._grace = grace
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._over = ""

    @property
    def alive(self) -> bool:
        """Whether it can run more code."""
        return not self._over and self._process == os.getpid() and not self._handle.has_ended()

    def await_opening(self) -> None:
        """Wait until it is ready.

        Raises:
            SandboxError: It could not be isolated or supplied; nothing was run.
            LostSessionError: Its process ended without saying why; another may be tried.
        """
        ending = self._execution().await_opening(OPEN_SECONDS)
        if ending.reply is None or ending.reply.status != frames.READY:
            reason = ending.reply.text if ending.reply else ending.reason or f"no answer within {OPEN_SECONDS:g} s"
            details = self._pipes[1].take()[0]
            self.close()
            kind = LostSessionError if ending.reply is None and ending.stop is None else SandboxError
            raise kind(f"a sandbox session could not be started: {reason}{details}")

    def run(self, code: str, timeout: float | None = None) -> RunResult:
        """Run code; its variables stay for the next run. See `SandboxSession.run`."""
        if timeout is not None and not timeout > 0:
            raise ConfigError(f"timeout must be a positive number of seconds or None, actually: {timeout!r}")
        seconds = min(timeout or self._limits.seconds, self._limits.seconds)
        with self._lock:
            self._refuse_if_over()
            start = time.monotonic()
            try:
                ending = self._execution().run(code.encode("utf-8", "surrogatepass"), seconds, self._limits)
                return self._result(ending, seconds, start)
            except OSError as error:
                self._handle.kill()
                self._over = "the sandbox broke"
                self._release()
                raise SandboxError(f"the sandbox broke while code was run in it: {error}") from error

    def close(self) -> None:
        """End the session and all it started. May be called twice."""
        if self._process != os.getpid():
            return  # a forked copy: the session is the parent's
        self._handle.kill()
        with self._lock:
            self._release()
            self._over = self._over or "it was closed"

    def __del__(self) -> None:
        if hasattr(self, "_over") and not sys.is_finalizing():  # then it ends with this process
            self.close()

    def _execution(self) -> Execution:
        return Execution(self._channel, self._pipes, self._handle, self._guard, self._grace)

    def _refuse_if_over(self) -> None:
        if self._process != os.getpid():
            raise SandboxError(
                "this sandbox session belongs to the process that this one was forked from; open another"
            )
        if self._over:
            raise SandboxError(f"this sandbox session is over: {self._over}; open another")

    def _result(self, ending: Ending, seconds: float, start: float) -> RunResult:
        if ending.reply is None:
            status, message = self._end(ending, seconds)
        else:
            status, message = self._judge(ending, seconds)
        (stdout, out_overflowed), (stderr, error_overflowed) = (pipe.take() for pipe in self._pipes)
        if out_overflowed or error_overflowed:
            limit = f"Output limit of {readable_size(self._limits.output_bytes)} reached; the rest was dropped."
            message = f"{limit} {message}".strip()
            status = RunStatus.OUTPUT_LIMIT if status is RunStatus.OK else status
        if message:
            stderr += ("" if not stderr or stderr.endswith("\n") else "\n") + message + "\n"
        if ending.reply is None:
            self._release()
        return RunResult(
            status=status,
            stdout=stdout,
            stderr=stderr,
            result_text=ending.reply.text if ending.reply else "",
            images=ending.reply.images if ending.reply else (),
            seconds=time.monotonic() - start,
        )

    def _judge(self, ending: Ending, seconds: float) -> tuple[RunStatus, str]:
        """Status and message of a run that was answered."""
        assert ending.reply is not None  # the caller's case distinction
        if ending.stop is Stop.TIME:
            return RunStatus.TIMEOUT, f"Time limit of {seconds:g} s reached; the code was interrupted."
        if ending.stop is Stop.OUTPUT:
            return RunStatus.OUTPUT_LIMIT, "The code was interrupted."
        return _STATUSES[ending.reply.status], ""

    def _end(self, ending: Ending, seconds: float) -> tuple[RunStatus, str]:
        """End the process of a run that was not answered. Returns the run's status and message.

        Raises:
            SandboxError: It was not the code that broke it.
        """
        self._handle.kill()
        self._over = "its process was ended"
        if ending.stop is Stop.TIME:
            cause = f"Time limit of {seconds:g} s reached, and the code did not let itself be interrupted."
            return RunStatus.TIMEOUT, f"{cause} {_VARIABLES_ARE_LOST}"
        if ending.stop is Stop.OUTPUT:
            return RunStatus.OUTPUT_LIMIT, _VARIABLES_ARE_LOST
        if ending.stop is Stop.GUARD:
            return RunStatus.KILLED, f"{ending.reason} {_VARIABLES_ARE_LOST}"
        try:
            end = self._zygote.end_of(self._number)
        except SandboxError:
            self._release()
            raise
        return RunStatus.KILLED, f"{_explain(end, self._limits, ending.reason)} {_VARIABLES_ARE_LOST}"

    def _release(self) -> None:
        """Give back everything the session held on this side. Its process has been killed. May be called twice."""
        self._channel.close()
        for pipe in self._pipes:
            pipe.close()
        if self._guard:
            self._handle.has_ended(END_SECONDS)
            self._guard.clean()
        self._handle.close()


def _explain(end: SessionEnd, limits: SandboxLimits, reason: str) -> str:
    if end.cpu_seconds >= limits.cpu_seconds - 0.5 and end.signal:
        return f"CPU limit of {limits.cpu_seconds:g} s for the whole session reached."
    if end.signal == signal.SIGKILL and reason:
        return f"The process was stopped: {reason}."
    if end.signal:
        return f"The process crashed with {_signal_name(end.signal)}."
    return f"The process exited with code {end.code}."


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
