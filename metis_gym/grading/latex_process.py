"""The comparing process behind `metis_gym.grading.latex`, run as a file of its own: it imports nothing of this package.

It reads requests from a socket of packets: a JSON list `[answer, gold, seconds]`, and with it the writing end of a
pipe. Each comparison runs in a fork of its own under limits of memory, CPU time and wall-clock time that the kernel
keeps, and the fork's exit code is its verdict. Two bytes go into the pipe: `ACCEPTED`, then one of the verdicts.
Nothing that a comparison prints or raises gets out.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable

__all__ = ["ACCEPTED", "BROKEN", "DIFFERENT", "MAX_REQUEST", "MISSING", "SAME", "STARVED", "TOO_COSTLY", "main"]

ACCEPTED, SAME, DIFFERENT, TOO_COSTLY, STARVED, MISSING, BROKEN = b"a", b"1", b"0", b"t", b"s", b"m", b"b"
"""A request was taken; the verdicts: also a limit was hit, no CPU time was to be had, no `math-verify`, no fork."""

MAX_REQUEST = 1 << 16
_EXTRA_MEMORY = 128 << 20
"""Address space that a comparison may take beyond what the imports took."""
_CPU_SECONDS = 1
"""Some ten times what a formula of usual size takes."""
_STARVED_SECONDS = 0.05
"""A comparison that ran into the wall-clock limit with less CPU time than this was not costly: the machine was busy."""

_Comparer = Callable[[str, str], bool]


def main(control: socket.socket) -> None:
    """Answer requests until the socket's other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    compare = _comparer()
    gc.freeze()
    wakeup, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    running: dict[int, int] = {}
    while True:
        ready = select.select([control, wakeup], [], [])[0]
        if wakeup in ready:
            wakeup.recv(4096)
            _reap(running)
        if control in ready and not _take(control, compare, running):
            break
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _take(control: socket.socket, compare: "_Comparer | None", running: dict[int, int]) -> bool:
    """Start the comparison of the next request; False at the end of the requests."""
    packet, reply, _, _ = socket.recv_fds(control, MAX_REQUEST, 1)
    if not packet:
        return False
    answer, gold, seconds = json.loads(packet)
    _say(reply[0], ACCEPTED)
    if compare is None:
        _end(reply[0], MISSING)
        return True
    try:
        pid = os.fork()
    except OSError:
        _end(reply[0], BROKEN)
        return True
    if pid == 0:
        _compare_in_fork(compare, answer, gold, seconds)
    running[pid] = reply[0]
    return True


def _reap(running: dict[int, int]) -> None:
    """Pass on the verdicts of the comparisons that have ended."""
    for pid in list(running):
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            reply = running.pop(pid)
            _end(reply, _verdict(status, usage.ru_utime + usage.ru_stime))


def _verdict(status: int, cpu_seconds: float) -> bytes:
    if os.WIFEXITED(status):
        return {0: SAME, 1: DIFFERENT}.get(os.WEXITSTATUS(status), TOO_COSTLY)
    is_starved = os.WTERMSIG(status) == signal.SIGALRM and cpu_seconds < _STARVED_SECONDS
    return STARVED if is_starved else TOO_COSTLY


def _compare_in_fork(compare: _Comparer, answer: str, gold: str, seconds: float) -> None:
    """Compare and exit: 0 for the same, 1 for different, 2 for out of memory. Does not return."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        _limit(seconds)
        code = 0 if compare(answer, gold) else 1
    except MemoryError:
        code = 2
    except BaseException:  # noqa: BLE001 — the border of the fork: whatever math-verify raises means that it could not compare
        code = 1
    finally:
        os._exit(code)


def _limit(seconds: float) -> None:
    import resource

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    with open("/proc/self/statm") as sizes:
        memory = int(sizes.read().split()[0]) * resource.getpagesize() + _EXTRA_MEMORY
    for limit, value in [
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ]:
        resource.setrlimit(limit, (value, value))


def _comparer() -> "_Comparer | None":
    """What compares two expressions, each wrapped in `$`; None without `math-verify`."""
    try:
        from math_verify import LatexExtractionConfig, parse, verify
    except ImportError:
        return None
    # LaTeX only, no fallback to text; no time limits of its own: they need signals, and here the kernel keeps them.
    config = [LatexExtractionConfig()]

    def compare(answer: str, gold: str) -> bool:
        parsed = [
            parse(text, extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
            for text in (gold, answer)
        ]
        return all(parsed) and bool(verify(parsed[0], parsed[1], timeout_seconds=None))

    compare(r"$\frac{1}{2}x^2$", "$0.5x^2$")  # so that forks find the parser's tables filled
    return compare


def _say(reply: int, word: bytes) -> None:
    with contextlib.suppress(OSError):  # whoever asked has gone
        os.write(reply, word)


def _end(reply: int, word: bytes) -> None:
    _say(reply, word)
    os.close(reply)


def compare_once() -> None:
    """One comparison, for systems without these forks: JSON `[answer, gold]` on stdin, the exit code is the verdict."""
    answer, gold = json.load(sys.stdin)
    compare = _comparer()
    os._exit(3 if compare is None else 0 if compare(answer, gold) else 1)


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[2])
    if sys.argv[1] == "once":
        compare_once()
    else:
        main(socket.socket(fileno=int(sys.argv[1])))
