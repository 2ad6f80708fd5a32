"""How fast sessions are, ours beside a Jupyter kernel and a plain subprocess, in one run.

python tests/benchmarks/bench_sandbox.py

All are measured ready for use, with numpy, Pillow and matplotlib imported. "in" is from the opening of a session with
an image to the end of a crop of it, "shared" the same when an earlier session was opened with the same `SharedImages`.
"MB back" is how much memory of the host eight returned images of 20 megapixels cost.

    python tests/benchmarks/bench_sandbox.py namespace landlock    # these rows only
"""

import os
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from metis_gym.errors import MetisError
from metis_gym.sandbox import SandboxLimits, SharedImages
from metis_gym.sandbox.backends import ZygoteBackend
from metis_gym.sandbox.containers.backend import DockerBackend
from tests.benchmarks.alternatives import JupyterBackend, plain_subprocess

_IMAGE = """
import numpy as np
from PIL import Image
shown = Image.fromarray(np.random.randint(0, 256, (384, 512, 3), 'uint8'))
"""
_PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.title('a')"
_CROP = "image_1.crop((0, 0, 640, 640))"
_LARGE_BACK = "from PIL import Image\nfor _ in range(8):\n    Image.new('RGB', (5000, 4000)).show()"
_OURS = ("namespace", "landlock", "docker")
_PAUSE = 0.02
"""Seconds between two new sessions, as between two episodes; sessions/s is what comes without."""
_COLUMNS = (
    "new session",
    "trivial run",
    "image back",
    "plot",
    "12 MP in",
    "33 MP in",
    "12 MP shared",
    "sessions/s",
    "MB idle",
    "MB back",
)


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
    session.run(_IMAGE)
    session.run(_PLOT)
    kept: list[Any] = []
    few = max(1, opens // 10)
    row = [
        p50(lambda: kept.append(backend.open()), opens, pause=_PAUSE),
        p50(lambda: session.run("1"), runs),
        p50(lambda: session.run("shown"), max(5, runs // 5)),
        p50(lambda: session.run(_PLOT), max(5, runs // 10)),
    ]
    for one in (*kept, session):
        one.close()
    rates = [sessions_per_second(backend, opens), idle_megabytes(backend, max(3, few))]
    return [*row, *images_in(backend, few), *rates, megabytes_back(backend)]


def images_in(backend: Any, count: int) -> list[float]:
    """Median milliseconds until an image was opened and cropped: of 12, of 33 megapixels, and of 12 that are shared."""
    rng = np.random.default_rng(0)
    large, larger = (rng.integers(0, 256, (*sides, 3), np.uint8) for sides in ((3024, 4032), (4320, 7680)))
    shared = SharedImages([large])
    opened: list[Any] = []

    def enter(images: Any) -> None:
        opened.append(backend.open(images=images))
        opened[-1].run(_CROP, timeout=60)

    taken = []
    for images in ([large], [larger], shared):
        if images is shared and count > 1:
            enter(shared)
        taken.append(p50(lambda images=images: enter(images), count, pause=_PAUSE))  # type: ignore[misc]
        while opened:
            opened.pop().close()
    return taken


def megabytes_back(backend: Any) -> float:
    """Peak of the host's memory while a run returns eight images of 20 megapixels. NaN for what returns one only."""
    if getattr(backend, "name", "") not in _OURS:
        return float("nan")
    session = backend.open(limits=SandboxLimits(memory_bytes=2 << 30))
    session.run("1")
    tracemalloc.start()
    session.run(_LARGE_BACK)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    session.close()
    return peak / 1e6


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
        if len(sys.argv) > 1 and name.split()[0] not in sys.argv[1:]:
            continue
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
