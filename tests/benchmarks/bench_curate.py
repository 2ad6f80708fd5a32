"""Speed and memory of the cheap stages of `metis-gym curate`, and of finding duplicates.

python tests/benchmarks/bench_curate.py [--samples 2000] [--many 100000] [--workers 2]

Trajectories have two images of 500 px, as JPEG. The alternative in the same run is Pillow's own decoding and dHash of
the same images, which is the least that any such filter must do. Memory is that of the parent process, which grows by
the ledger and by the index of duplicates, and by nothing else; a tenth, three tenths and all of `--many` small
trajectories are used for it, each number in a process of its own, which is named where it dies.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from metis_agents.curate.curating import curate
from metis_agents.curate.options import Options
from metis_agents.curate.stages.duplicates import DuplicatesStage
from metis_agents.curate.stages.stage import Item
from metis_gym.search.index.dhash import dhash
from metis_gym.terminal import say


def picture(seed: int, side: int) -> bytes:
    """A JPEG of this side, with as much detail as a photograph of its size on disk."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    noisy = np.clip(np.asarray(small, dtype=np.int16) + rng.integers(-12, 13, (side, side, 3)), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def write(path: Path, count: int, side: int, pictures: int) -> list[bytes]:
    """A file of trajectories that share a stock of images."""
    stock = [picture(seed, side) for seed in range(pictures)]
    coded = [base64.b64encode(data).decode() for data in stock]
    asked = '{"name": "python", "arguments": {"code": "image_1.crop((0, 0, 9, 9))"}}'
    call = f"<reason>Look.</reason><tool_call>{asked}</tool_call>"
    with path.open("w") as stream:
        for number in range(count):
            row = number * 7919 % 10007
            question = f"<image>\nWhich of the {number % 97} things stands beside number {number} in row {row}?"
            said = [
                question,
                call,
                "Code execution result:\nImages:\n<image>",
                "<reason>So.</reason><answer>red</answer>",
            ]
            roles = ["user", "assistant", "user", "assistant"]
            messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
            images = ["data:image/jpeg;base64," + coded[(number + shift) % pictures] for shift in (0, 1)]
            stream.write(json.dumps({"messages": messages, "images": images}) + "\n")
    return stock


def cpu() -> float:
    """CPU seconds of this process and of all that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def resident() -> float:
    """Memory of this process now, megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def speed(count: int, folder: Path) -> None:
    """Trajectories a second, and those of Pillow alone."""
    stock = write(folder / "fast.jsonl", count, 500, 64)
    rows = []
    for workers in (1, 2):
        options = Options(kind="sft", inputs=(str(folder / "fast.jsonl"),), execute=False, dialect="source")
        start, used = time.perf_counter(), cpu()
        marks: dict[str, tuple[float, float]] = {}

        def note(text: str, marks: dict[str, tuple[float, float]] = marks) -> None:
            marks.setdefault(text.partition(":")[0], (time.perf_counter(), cpu()))

        curate(options, folder / f"out{workers}", workers=workers, say=note)
        wall, work = marks["read"][0] - start, marks["read"][1] - used
        rows.append((f"read, images, structure: {workers} workers", count / wall, count / work))
    used = time.process_time()
    for data in stock * 4:
        with Image.open(io.BytesIO(data)) as image:
            dhash(np.array(image.convert("RGB")))
    alone = len(stock) * 4 / 2 / (time.process_time() - used)
    rows.append(("Pillow and dHash of the two images alone", alone, alone))
    say(f"| {'what':<42} | a second | a CPU second | target |\n|---|---|---|---|")
    for what, wall, work in rows:
        say(f"| {what:<42} | {wall:>8.0f} | {work:>12.0f} | {'≥ 150' if '2 w' in what else '':<6} |")


def duplicates(count: int) -> None:
    """Seconds for finding near duplicates among so many samples, each with one image and some 20 words."""
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(5_000)]
    hashes = rng.integers(0, 1 << 62, (count, 4), dtype=np.uint64)

    def items():
        for number in range(count):
            text = " ".join(words[n] for n in rng.integers(0, 5_000, 20))
            yield Item(
                f"{number:016x}",
                0,
                {"question": text, "images": str(number), "hashes": [hashes[number].tobytes().hex()]},
            )

    before, used = resident(), time.process_time()
    DuplicatesStage().decide_whole(items())
    taken = time.process_time() - used
    say(f"\nduplicates of {count:,}: {taken:.0f} CPU seconds (target: < 240), {resident() - before:.0f} MB left over")


def memory(count: int, workers: int) -> None:
    """Memory after each stage, with a tenth, three tenths and all of many small trajectories."""
    for share in (count // 10, 3 * count // 10, count):
        command = [sys.executable, __file__, "--once", str(share), "--workers", str(workers)]
        ended = subprocess.run(command, check=False).returncode
        if ended:
            say(f"{share:>9,} trajectories: the process ended with {ended}")


def once(count: int, workers: int, folder: Path) -> None:
    """Curate so many small trajectories, and say how much memory this process had after each stage."""
    write(folder / "many.jsonl", count, 48, 64)
    options = Options(kind="sft", inputs=(str(folder / "many.jsonl"),), execute=False, dialect="source")
    seen: dict[str, float] = {}

    def note(text: str) -> None:
        seen.setdefault(text.partition(":")[0], resident())

    before, start = resident(), cpu()
    curate(options, folder / "out", workers=workers, say=note)
    stages = ", ".join(f"{name} {seen[name]:.0f} MB" for name in ("read", "structure", "duplicates", "write"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    used = f"{cpu() - start:.0f} CPU seconds, {size:.0f} MB of files"
    say(f"{count:>9,} trajectories: before {before:.0f} MB, {stages}; {used}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--once", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-curate-")))
        if given.once:
            once(given.once, given.workers, folder)
            return
        if given.samples:
            speed(given.samples, folder)
        if given.many:
            duplicates(given.many)
            say("\nresident memory of the parent process after each stage:")
            memory(given.many, given.workers)


if __name__ == "__main__":
    main()
