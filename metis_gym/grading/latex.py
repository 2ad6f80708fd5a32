"""Equality of LaTeX expressions, by `math-verify`, in a process of its own that can be killed.

`math-verify` is asked only where both sides look like LaTeX: on bare text it says that (1,-4) = (7,-4) and
12:00 = 12:45. Its own time limits need the main thread and signals; here the whole process has one.
"""

import atexit
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from typing import IO

from metis_gym.errors import InfrastructureError, MissingDependencyError

__all__ = ["LatexWorker", "looks_like_latex", "same_latex"]

_COMMAND = re.compile(r"\\[a-zA-Z]+|[\^_]\{")
_START_SECONDS = 60.0


def looks_like_latex(text: str) -> bool:
    r"""Is the text wrapped in `$`, or does it hold a LaTeX command?

    >>> looks_like_latex("$x+1$"), looks_like_latex("\\frac{1}{2}"), looks_like_latex("(1,-4)")
    (True, True, False)
    """
    stripped = text.strip()
    is_wrapped = len(stripped) > 2 and stripped[0] == stripped[-1] == "$"
    return is_wrapped or _COMMAND.search(stripped) is not None


def same_latex(answer: str, gold: str) -> bool:
    """Do two LaTeX expressions mean the same?

    Raises:
        MissingDependencyError: `math-verify` is not installed.
        InfrastructureError: The comparing process cannot be started.
    """
    return _worker.compare(_wrapped(answer), _wrapped(gold))


def _wrapped(text: str) -> str:
    return f"${text.strip().strip('$')}$"


class LatexWorker:
    """A comparing process, started at the first question and again after it was killed or its owner was forked.

    Args:
        seconds: Time limit of one comparison. One that takes longer counts as "not the same": gold answers are simple,
            so what takes long is the answer.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._owner = os.getpid()

    def compare(self, answer: str, gold: str) -> bool:
        """Are two expressions, each wrapped in `$`, the same?"""
        if self._owner != os.getpid():  # a fork: the process and the lock are the parent's
            self.__init__(self.seconds)  # type: ignore[misc]
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self._ask(answer, gold)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _start(self) -> None:
        self._kill()
        self._replies = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "metis_gym.grading.latex_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=_forward, args=(self._process.stdout, self._replies), daemon=True).start()
        hello = self._reply(_START_SECONDS)
        if hello == "ready":
            return
        self._kill()
        if hello == "missing":
            raise MissingDependencyError.of("math-verify", "envs", "Comparing LaTeX answers")
        raise InfrastructureError(f"the process that compares LaTeX did not start (it said {hello!r})")

    def _ask(self, answer: str, gold: str) -> bool:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([answer, gold]) + "\n")
            self._process.stdin.flush()
        reply = self._reply(self.seconds)
        if reply not in ("true", "false"):
            self._kill()
        return reply == "true"

    def _reply(self, seconds: float) -> str:
        try:
            return self._replies.get(timeout=seconds)
        except queue.Empty:
            return ""

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]


def _forward(lines: IO[str], replies: "queue.SimpleQueue[str]") -> None:
    with lines:
        for line in lines:
            replies.put(line.strip())
    replies.put("")


_worker = LatexWorker()
atexit.register(_worker.close)
