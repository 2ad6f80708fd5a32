"""How fast sessions are, ours beside a Jupyter kernel and a plain subprocess, in one run.

python tests/benchmarks/bench_sandbox.py

All are measured ready for use, with numpy, Pillow and matplotlib imported.
"""

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from metis_gym.errors import MetisError
from metis_gym.sandbox.backends import ZygoteBackend
from metis_gym.sandbox.containers.backend import DockerBackend
from tests.benchmarks.alternatives import JupyterBackend, plain_subprocess

_PICTURE = """
import numpy as np
from PIL import Image
shown = Image.fromarray(np.random.randint(0, 256, (384, 512, 3), 'uint8'))
"""
_PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.title('a')"
_LARGE = np.zeros((3024, 4032, 3), np.uint8)
_PAUSE = 0.02
"""Seconds between two new sessions, as between two episodes; sessions/s is what comes without."""
_COLUMNS = ("new session", "trivial run", "picture back", "plot", "12 MP in", "sessions/s", "MB idle")


def p50(call: Callable[[], object], count: int, pause: float = 0.0) -> float:
    """Median milliseconds of a call, with a pause before each."""
    taken = []
    for _ in range(count):
        time.sleep(pause)
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def measure(backend: Any, *, opens: int, runs: int) -> list[float]:
    """One row of the table."""
    backend.open().close()
    session = backend.open()
    session.run(_PICTURE)
    session.run(_PLOT)
    kept: list[Any] = []
    row = [
        p50(lambda: kept.append(backend.open()), opens, pause=_PAUSE),
        p50(lambda: session.run("1"), runs),
        p50(lambda: session.run("shown"), max(5, runs // 5)),
        p50(lambda: session.run(_PLOT), max(5, runs // 10)),
        p50(lambda: kept.append(backend.open(images=[_LARGE])), max(3, opens // 10)),
    ]
    for one in (*kept, session):
        one.close()
    return [*row, sessions_per_second(backend, opens), idle_megabytes(backend, max(3, opens // 10))]


def sessions_per_second(backend: Any, count: int) -> float:
    """Sessions opened and closed by four threads."""

    def work() -> None:
        for _ in range(max(1, count // 4)):
            backend.open().close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 4 * max(1, count // 4) / (time.perf_counter() - start)


def idle_megabytes(backend: Any, count: int) -> float:
    """Memory that a session adds, shared pages counted once, over all processes that descend from this one.

    NaN for containers, whose processes descend from the engine.
    """
    if getattr(backend, "name", "") == "docker":
        return float("nan")
    before = private_bytes()
    sessions = [backend.open() for _ in range(count)]
    for session in sessions:
        session.run("x = 1")
    grown = private_bytes() - before
    for session in sessions:
        session.close()
    return grown / count / 1e6


def private_bytes() -> int:
    """Sum of the private pages of all descendants."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family, grew = {os.getpid()}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in family} - family
        family |= more
        grew = bool(more)
    total = 0
    for pid in family - {os.getpid()}:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total


def main() -> None:
    """Print the table."""
    rows: list[tuple[str, Callable[[], Any], int, int]] = [
        ("namespace", lambda: ZygoteBackend("namespace"), 200, 500),
        ("landlock", lambda: ZygoteBackend("landlock"), 200, 500),
        ("docker (our containers)", lambda: DockerBackend(containers=1), 100, 200),
        ("Jupyter kernel", lambda: JupyterBackend(words=False), 8, 100),
        ("plain subprocess", plain_subprocess, 12, 200),
    ]
    measured: dict[str, list[float]] = {}
    print(f"{'p50 in ms':<24}" + "".join(f"{column:>14}" for column in _COLUMNS), flush=True)
    for name, make, opens, runs in rows:
        try:
            backend = make()
            measured[name] = measure(backend, opens=opens, runs=runs)
            backend.close()
        except MetisError as error:
            print(f"{name:<24}  left out: {str(error).splitlines()[0][:120]}", flush=True)
            continue
        print(f"{name:<24}" + "".join(f"{value:>14.2f}" for value in measured[name]), flush=True)
    if {"namespace", "Jupyter kernel"} <= set(measured):
        ours, theirs = measured["namespace"], measured["Jupyter kernel"]
        print(
            f"namespace beside a Jupyter kernel: a new session is {theirs[0] / ours[0]:.0f}× and a trivial run "
            f"{theirs[1] / ours[1]:.0f}× as fast"
        )


if __name__ == "__main__":
    main()
