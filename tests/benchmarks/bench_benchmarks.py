"""Speed and memory of whole benchmarks: rows without images by a scripted agent, and one image of 8K.

python tests/benchmarks/bench_benchmarks.py

Targets: 200 short rows a second on two cores, memory that does not grow over 30,000 rows, and less than 1.5 s to decode
an 8K image and shrink it to what a model is shown.
"""

import base64
import io
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from metis_agents.agents import make_agent
from metis_agents.evaluate import evaluate
from metis_envs.benchmarks.decoding import VIEW_PIXELS, decoded
from metis_envs.scenes.photographs import photograph
from metis_gym.images.transforms import shrink
from metis_gym.tasksets import make_taskset

_ROWS, _FEW, _MANY = 4_000, 5_000, 30_000
_TARGET_ROWS, _TARGET_SECONDS, _TARGET_MB = 200, 1.5, 60
_EIGHT_K = (7680, 4320)


def write_rows(path: Path, count: int) -> Path:
    """Questions without images, as one version of MathVerse has them."""
    rows = [
        {
            "problem_index": str(number),
            "problem_version": "Text Only",
            "question": f"Problem {number}: which is right?\nChoices:\nA:{number}\nB:{number + 1}\nC:0\nD:1",
            "answer": "ABCD"[number % 4],
            "question_type": "multi-choice",
            "image": "",
        }
        for number in range(count)
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def play(path: Path, workers: int) -> tuple[float, float]:
    """Play all rows, and keep every episode; the seconds that it takes, and those of computing in all processes."""
    start, computed = time.perf_counter(), computing()
    with tempfile.TemporaryDirectory() as folder:
        report = evaluate(
            make_agent("never-tool"),
            "MetisVQA-v0",
            "all",
            0,
            workers=workers,
            progress=False,
            out=Path(folder) / "run",
            taskset=f'benchmark:mathverse,path="{path}"',
        )
    assert not report.benchmarks[0].is_partial
    return time.perf_counter() - start, computing() - computed


def computing() -> float:
    """Seconds that this process and those that it waited for have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def megabytes_after(path: Path, marks: tuple[int, ...]) -> list[float]:
    """What the process holds after so many rows of an evaluation's episodes, played one after the other."""
    from metis_agents.episodes import EnvFactory, one_by_one
    from metis_agents.play import requests_of

    taskset = make_taskset(f'benchmark:mathverse,path="{path}"', split="test", view_size=448)
    make_env = EnvFactory("MetisVQA-v0", {"taskset": f'benchmark:mathverse,path="{path}"', "split": "test"})
    requests = enumerate(requests_of(make_env, taskset.task_ids(), 1, 0))
    found = []
    for played in one_by_one(make_agent("never-tool"), make_env, list(requests)):
        if played.number + 1 in marks:
            found.append(resident())
    return found


def resident() -> float:
    """Megabytes of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def eight_k(format_: str) -> str:
    """A photograph of 33 megapixels, in base64 as in a TSV."""
    pixels = np.asarray(Image.fromarray(photograph("astronaut")).resize(_EIGHT_K, Image.Resampling.BICUBIC))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=format_)
    return base64.b64encode(stream.getvalue()).decode()


def seconds_to_show(text: str) -> float:
    """Least CPU time to decode an image and to shrink it, of three."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        shrink(decoded(text, Path(), "row"), VIEW_PIXELS)
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    """Print the table."""
    print("| what | measured | target |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        short = write_rows(Path(folder) / "short.json", _ROWS)
        for workers in (1, 2):
            wall, cpu = play(short, workers)
            what = f"rows a second, {workers} process{'es' * (workers > 1)}"
            told = f"{_ROWS / wall:.0f}; {_ROWS / cpu:.0f} a second of computing"
            print(f"| {what} | {told} | ≥ {_TARGET_ROWS} |", flush=True)
        few, many = megabytes_after(write_rows(Path(folder) / "long.json", _MANY), (_FEW, _MANY))
        print(f"| MB more after {_MANY:,} rows than after {_FEW:,} | {many - few:.1f} | < {_TARGET_MB} |", flush=True)
    for format_ in ("JPEG", "PNG"):
        seconds = seconds_to_show(eight_k(format_))
        print(f"| s for an 8K {format_}, CPU | {seconds:.2f} | < {_TARGET_SECONDS} |", flush=True)


if __name__ == "__main__":
    main()
