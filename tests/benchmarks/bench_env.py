"""Speed of the environments, beside a trivial Gymnasium environment in the same run.

python tests/benchmarks/bench_env.py
"""

import functools
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import gymnasium as gym
import numpy as np

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.dialects import DIALECTS
from metis_gym.tasksets import make_taskset

CHATTER = "<reason>Let me think about this image.</reason>"


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Median of one run in milliseconds."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(1e3 * (time.perf_counter() - start))
    return median(taken)


def row(what: str, value: float, target: str, unit: str = "ms") -> None:
    """Print one line of the table."""
    print(f"| {what:<62} | {value:>9.3f} {unit:<4} | {target:<22} |")


def text_env(taskset: str, **kwargs: object) -> gym.Env:
    """The text environment with a task that is in the cache."""
    env = gym.make("MetisVQA-v0", taskset=taskset, max_turns=10**9, disable_env_checker=True, **kwargs)
    env.reset(seed=0)
    return env


def bench_steps() -> None:
    """Steps and cached resets."""
    trivial = gym.make("CartPole-v1", disable_env_checker=True)
    trivial.reset(seed=0)
    rng = np.random.default_rng(0)

    def trivial_step() -> None:
        if trivial.step(int(rng.integers(2)))[2]:
            trivial.reset()

    row("CartPole-v1: step", milliseconds(trivial_step, 2000), "for comparison")
    row("CartPole-v1: reset", milliseconds(trivial.reset, 2000), "for comparison")

    env = text_env("signs:max_source=2240")
    dialect = DIALECTS.create("metis")
    view = env.unwrapped.episode.task.images[0].view
    floor = milliseconds(lambda: (dialect.parse(CHATTER), view.copy()), 2000)

    def step() -> None:
        env.step(CHATTER)

    def fresh_step() -> float:
        env.reset(options={"task_id": env.unwrapped.episode.task.task_id})
        start = time.perf_counter()
        step()
        return 1e3 * (time.perf_counter() - start)

    stepped = median(fresh_step() for _ in range(500))
    row("MetisVQA-v0: step without a call", stepped, "")
    row("  of which above parsing plus copying the view", stepped - floor, "< 0.1 ms")
    task_id = env.unwrapped.episode.task.task_id
    row("MetisVQA-v0: cached reset", milliseconds(lambda: env.reset(options={"task_id": task_id}), 500), "< 1 ms")

    numeric = gym.make("MetisVQA-Discrete-v0", disable_env_checker=True)
    _, info = numeric.reset(seed=0)

    def numeric_episode() -> None:
        numeric.reset(options={"task_id": info["task_id"]})
        numeric.step(0)

    row("MetisVQA-Discrete-v0: cached reset and answer", milliseconds(numeric_episode, 2000), "")
    crops = gym.make("MetisVQA-Discrete-v0", disable_env_checker=True, max_turns=1)

    def numeric_crop() -> None:
        crops.reset(options={"task_id": info["task_id"]})
        crops.step(7)
        crops.step(0)

    row("MetisVQA-Discrete-v0: cached reset, crop and answer", milliseconds(numeric_crop, 2000), "")


def bench_scenes() -> None:
    """Fresh scenes of about 2048 px."""
    for family in ("patches", "signs", "sums", "spotting", "charts"):
        taskset = make_taskset(family, split="train", view_size=512, options={"max_source": 2048})
        seeds = [s for s in range(80) if max(_size(taskset, s)) == 2048][:20]
        for seed in range(1000, 1016):  # reads every photograph once
            taskset.build(taskset.task_id(seed))
        taken = median(milliseconds(functools.partial(taskset.build, taskset.task_id(seed)), 1) for seed in seeds)
        row(f"{family}: a fresh 2048-px scene", taken, "< 200 ms" if family == "charts" else "< 60 ms")
    small = make_taskset("patches", split="train", view_size=64, options={"max_source": 1024, "answers": "choice"})
    numbers = iter(range(10**6))
    row(
        "patches: a fresh scene of the numeric view",
        milliseconds(lambda: small.build(small.task_id(next(numbers))), 60),
        "",
    )


def _size(taskset: object, seed: int) -> tuple[int, int]:
    canvas = taskset.blueprint(seed)[1].canvas
    return canvas.width, canvas.height


def bench_import() -> None:
    """Importing."""
    code = "import time, gymnasium; t = time.perf_counter(); import metis_gym; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(5)
    ]
    row("import metis_gym, beyond gymnasium's own", median(runs), "< 0.3 s", "s")


def main() -> None:
    """Print the table."""
    print(f"| {'what (median)':<62} | {'measured':>14} | {'target':<22} |")
    print(f"|{'-' * 64}|{'-' * 16}|{'-' * 24}|")
    bench_steps()
    bench_scenes()
    bench_import()


if __name__ == "__main__":
    main()
