"""Comparing LaTeX: bounded in time and memory, side by side, restarted, in a clean environment."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from metis_gym.errors import InfrastructureError
from metis_gym.grading import latex, latex_process
from metis_gym.grading.latex import LatexWorker, same_latex

SLOW = "$9^{9^{9^{9^9}}}$"
CLOCK_SLACK = 3.0
"""Seconds that a busy machine may add to a wall-clock limit."""


@pytest.fixture
def worker():
    worker = LatexWorker()
    yield worker
    worker.close()


def timed(run):
    started = time.monotonic()
    return run(), time.monotonic() - started


@pytest.mark.parametrize(
    "costly",
    [SLOW, "$9^{9^9}$", "$(x+y+z)^{400}$", r"$\sum_{n=1}^{99999999} n^{99}$", "$99999999!$", "$" + "x^" * 40 + "x$"],
)
def test_a_costly_answer_is_wrong_within_the_limit(worker, costly):
    worker.compare("$x$", "$x$")
    verdict, seconds = timed(lambda: worker.compare(costly, "$1$"))
    assert verdict is False
    assert seconds < worker.seconds + CLOCK_SLACK


def test_costly_answers_do_not_hold_up_others(worker):
    worker.compare("$x$", "$x$")
    ended = []

    def compare(answer, gold):
        ended.append((answer, worker.compare(answer, gold)))

    slow = [threading.Thread(target=compare, args=(SLOW, "$1$")) for _ in range(3)]
    fast = [
        threading.Thread(target=compare, args=(rf"$\frac{{{n}}}{{3}}$", rf"$\frac{{{2 * n}}}{{6}}$")) for n in range(3)
    ]
    started = time.monotonic()
    for thread in (*slow, *fast):
        thread.start()
    for thread in (*slow, *fast):
        thread.join()
    assert time.monotonic() - started < worker.seconds + CLOCK_SLACK
    assert [verdict for answer, verdict in ended if answer == SLOW] == [False] * 3
    assert [verdict for answer, verdict in ended if answer != SLOW] == [True] * 3


def test_memory_is_limited(worker, monkeypatch):
    """The process that compares stays small; each comparison may add what its limit says."""
    worker.compare("$x$", "$x$")
    status = Path(f"/proc/{worker._process.pid}/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    assert peak * 1024 + latex_process._EXTRA_MEMORY < 300 << 20


def test_a_comparison_past_its_memory_is_wrong_and_the_next_one_is_answered():
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        latex_process._compare_in_fork(lambda _a, _b: len(bytearray(1 << 30)) > 0, "", "", 20.0)
    os.close(reader)
    os.close(writer)
    assert latex_process._verdict(os.waitpid(pid, 0)[1], 1.0) == latex_process.TOO_COSTLY


def test_nothing_of_the_hosts_environment_gets_in(worker, monkeypatch):
    monkeypatch.setenv("METIS_SECRET", "secret")
    worker.compare("$x$", "$x$")
    process = Path(f"/proc/{worker._process.pid}")
    assert b"METIS_SECRET" not in (process / "environ").read_bytes()
    assert (process / "cwd").resolve() == Path("/")


def test_a_killed_process_is_started_again(worker):
    worker.compare("$x$", "$x$")
    first = worker._process.pid
    os.kill(first, signal.SIGKILL)
    assert worker.compare(r"$\frac{1}{2}$", "$0.5$") is True
    assert worker._process.pid != first


def test_a_process_that_stands_still_is_an_infrastructure_error_and_is_replaced(worker, monkeypatch):
    worker.compare("$x$", "$x$")
    monkeypatch.setattr(latex, "_START_SECONDS", 0.5)
    os.kill(worker._process.pid, signal.SIGSTOP)
    with pytest.raises(InfrastructureError, match="does not answer"):
        worker.compare("$x$", "$x$")
    monkeypatch.undo()
    assert worker.compare("$x$", "$x$") is True


def test_an_interrupted_comparison_leaves_nothing_behind(worker, monkeypatch):
    worker.compare("$x$", "$x$")
    descriptors = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(latex, "_read", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2 * latex._MAX_PARALLEL):
        with pytest.raises(KeyboardInterrupt):
            worker.compare(SLOW, "$1$")
    monkeypatch.undo()
    assert worker.compare("$x$", "$x$") is True
    assert len(os.listdir("/proc/self/fd")) == descriptors
    children = Path(f"/proc/{worker._process.pid}/task/{worker._process.pid}/children")
    deadline = time.monotonic() + 60
    while children.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children.read_text() == ""


def test_the_process_ends_with_its_owner(worker):
    worker.compare("$x$", "$x$")
    process = worker._process
    worker._control.close()
    assert process.wait(timeout=60) == 0


def _in_child(queue):
    queue.put(same_latex(r"\frac{1}{4}x", r"0.25x"))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_owners_have_their_own():
    assert same_latex(r"\frac{1}{4}x", r"0.25x") is True
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) is True
    child.join()
    assert same_latex("x+x", r"2 \cdot x") is True


@pytest.mark.parametrize(
    "text", ["{" * 20 + "x" + "}" * 20, "(" * 500 + "x" + ")" * 500, "x" * 1001, "x\ud800", "x\x00", "x\n\x1b[31m"]
)
def test_what_is_too_long_or_too_deep_is_not_even_asked(text, monkeypatch):
    monkeypatch.setattr(latex._worker, "compare", None)
    assert same_latex(f"${text}$", f"${text}$") is False
