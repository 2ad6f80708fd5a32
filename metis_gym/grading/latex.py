"""Equality of LaTeX expressions, by `math-verify`, in processes of their own that the kernel limits.

`math-verify` is asked only where both sides look like LaTeX, and where nothing is at stake that it does not see: it
takes R for r, AB for BA, {1, 2} for (1, 2), cm² for m² (`metis_gym.grading.values` settles these before). Its own time
limits need the main thread and signals; here each comparison runs in a fork with limits of its own.
"""

import atexit
import contextlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from metis_gym.errors import InfrastructureError, MissingDependencyError
from metis_gym.grading.latex_process import ACCEPTED, BROKEN, DIFFERENT, MISSING, SAME, STARVED, TOO_COSTLY

__all__ = ["MAX_LATEX", "LatexWorker", "looks_like_latex", "same_latex"]

MAX_LATEX = 1000
"""Characters of one side beyond which LaTeX is not compared as mathematics."""
_MAX_DEPTH = 16
"""Braces and brackets inside each other beyond which it is not either."""

_COMMAND = re.compile(r"\\[a-zA-Z]+|[\^_]\{")
_START_SECONDS = 60.0
_GRACE_SECONDS = 0.2
_WAITING_SHARE = 0.5
_MAX_PARALLEL = 8


def looks_like_latex(text: str) -> bool:
    r"""Whether the text is wrapped in `$` or holds a LaTeX command.

    >>> looks_like_latex("$x+1$"), looks_like_latex("\\frac{1}{2}"), looks_like_latex("(1,-4)")
    (True, True, False)
    """
    stripped = text.strip()
    is_wrapped = len(stripped) > 2 and stripped[0] == stripped[-1] == "$"
    return is_wrapped or _COMMAND.search(stripped) is not None


def same_latex(answer: str, gold: str) -> bool:
    """Whether two LaTeX expressions mean the same. What is too long, too deep, or too costly to compare does not.

    Raises:
        MissingDependencyError: `math-verify` is not installed.
        InfrastructureError: The comparing process cannot be started, or the machine has no time for it.
    """
    if not _is_modest(answer) or not _is_modest(gold):
        return False
    return _worker.compare(_wrapped(answer), _wrapped(gold))


def _is_modest(text: str) -> bool:
    depth = deepest = 0
    for character in text[: MAX_LATEX + 1]:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return len(text) <= MAX_LATEX and deepest <= _MAX_DEPTH and text.isprintable()


def _wrapped(text: str) -> str:
    return f"${text.strip().strip('$')}$"


class LatexWorker:
    """A comparing process with one fork for each comparison; started at the first question, and again when it is gone.

    Comparisons of several threads run side by side. One that takes a second of CPU time, or too much memory, counts as
    "not the same": gold answers are simple, so what is costly is the answer.

    Args:
        seconds: Wall-clock limit of one comparison, waiting for its turn included; the process's start, about half a
            second at the first, is not.
    """

    def __init__(self, seconds: float = 4.5) -> None:
        self.seconds = seconds
        self._reset()

    def compare(self, answer: str, gold: str) -> bool:
        """Whether two expressions, each wrapped in `$`, are the same.

        Raises:
            MissingDependencyError: `math-verify` is not installed.
            InfrastructureError: The comparing process cannot be started, or the machine has no time for it.
        """
        if self._owner != os.getpid():  # a fork: the process and the locks are the parent's
            self._leave_to_parent()
        deadline = time.monotonic() + self.seconds
        if not self._slots.acquire(timeout=_WAITING_SHARE * self.seconds):
            raise InfrastructureError(
                f"{_MAX_PARALLEL} comparisons of LaTeX were under way for {_WAITING_SHARE * self.seconds} s"
            )
        try:
            left = max(deadline - time.monotonic() - _GRACE_SECONDS, (1 - _WAITING_SHARE) / 2 * self.seconds)
            verdict = self._ask(answer, gold, left) or self._ask(answer, gold, left)  # again if the process had died
        finally:
            self._slots.release()
        if verdict == MISSING:
            raise MissingDependencyError.of("math-verify", "envs", "Comparing LaTeX answers")
        if verdict not in (SAME, DIFFERENT, TOO_COSTLY):
            said = {STARVED: "it had no CPU time", BROKEN: "it could not fork"}
            raise InfrastructureError(f"LaTeX could not be compared: {said.get(verdict, 'the process keeps dying')}")
        return verdict == SAME

    def close(self) -> None:
        """End the process that compares LaTeX; the next comparison starts another."""
        with self._lock:
            self._kill()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MAX_PARALLEL)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = os.getpid()

    def _leave_to_parent(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # it is not ours to wait for
        self._reset()

    def _ask(self, answer: str, gold: str, seconds: float) -> bytes:
        """The verdict; empty if the process died before it gave one."""
        if sys.platform != "linux":
            return _ask_once(answer, gold, seconds)
        control = self._running()
        reader, writer = os.pipe()
        verdict = b""
        try:
            try:
                socket.send_fds(control, [json.dumps([answer, gold, seconds]).encode()], [writer])
            finally:
                os.close(writer)
            if _read(reader, _START_SECONDS) == ACCEPTED:
                verdict = _read(reader, seconds + _GRACE_SECONDS)
        except TimeoutError:
            self._discard(control)
            raise InfrastructureError("the process that compares LaTeX does not answer") from None
        except OSError:  # it died, or another thread has just closed it
            pass
        finally:
            os.close(reader)
        if not verdict:
            self._discard(control)
        return verdict

    def _running(self) -> socket.socket:
        with self._lock:
            if self._control is None or self._process is None or self._process.poll() is not None:
                self._kill()
                self._process, self._control = _start()
            return self._control

    def _discard(self, control: socket.socket) -> None:
        """End the process behind this socket, unless another one has been started since."""
        with self._lock:
            if self._control is control:
                self._kill()

    def _kill(self) -> None:
        ended, self._process = self._process, None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if ended is not None:
            ended.kill()
            ended.wait()


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        started = subprocess.Popen(
            [*_command(), str(theirs.fileno()), _search_path()],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
        )
    return started, ours


def _command() -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve().with_name("latex_process.py"))]


def _search_path() -> str:
    return json.dumps([str(Path(entry).resolve()) for entry in sys.path if entry])


def _read(reader: int, seconds: float) -> bytes:
    """One byte, or nothing if the other end was closed."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while not poll.poll(1e3 * max(0.0, deadline - time.monotonic())):
        if time.monotonic() >= deadline:
            raise TimeoutError
    return os.read(reader, 1)


def _ask_once(answer: str, gold: str, seconds: float) -> bytes:
    """A process for this one comparison, where there are no such forks; it starts slowly and limits time only."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [*_command(), "once", _search_path()],
            input=json.dumps([answer, gold]).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds + _GRACE_SECONDS,
            check=False,
        )
        return {0: SAME, 1: DIFFERENT, 3: MISSING}.get(done.returncode, DIFFERENT)
    return TOO_COSTLY


_worker = LatexWorker()
atexit.register(_worker.close)
