"""Does collecting keep both cores busy? Two ways to use them, each beside one process, in the same run.

* Worker processes of one training: `GroupVecEnv(workers=2)` beside `workers=0`.
* Trainings beside each other: `compare(processes=2)` beside `processes=1`, start of the processes included.

Busy cores are CPU seconds of all processes by wall-clock seconds. On a machine that others use, look at the ratios.
"""

import os
import sys
import tempfile
import time

import numpy as np
import torch

from metis_agents.compare import Plan, Settings, compare
from metis_agents.sb3 import GroupVecEnv, SFTConfig

ROUNDS = 12
SETTINGS = Settings(
    env={"grader_noise": 0.3, "choices": 4},
    batches=25,
    eval_tasks=8,
    eval_episodes=2,
    start=SFTConfig(tasks=16, epochs=1),
)


def used():
    """CPU seconds of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(work):
    """Wall-clock seconds and busy cores of a piece of work, which ends its processes itself."""
    started, before = time.perf_counter(), used()
    work()
    seconds = time.perf_counter() - started
    return seconds, (used() - before) / seconds


def collect(workers):
    """Rounds of random episodes, 16 tasks × 16 members."""

    def work():
        random = np.random.default_rng(0)
        env = GroupVecEnv(tasks=16, group_size=16, workers=workers)
        for number in range(ROUNDS):
            env.begin(number)
            active = np.arange(env.num_envs)
            while len(active):
                returned = env.play(active, random.integers(0, env.action_space.n, len(active)))
                active = active[~(returned.terminated | returned.truncated)]
        env.close()

    return work


def train(processes):
    """Two designs with two seeds."""

    def work():
        plan = Plan(designs=("accuracy", "hdpo"), seeds=(0, 1), settings=SETTINGS)
        with tempfile.TemporaryDirectory() as folder:
            compare(plan, folder, processes=processes, progress=False)

    return work


def main():
    """Print a line for each way."""
    torch.set_num_threads(1)
    for name, work in (("one training, worker processes", collect), ("four trainings, processes", train)):
        alone, together = (0, 2) if work is collect else (1, 2)
        (first, _), (second, busy) = measure(work(alone)), measure(work(together))
        sys.stdout.write(
            f"collect: {name}: with 2 it takes {second / first:.2f} × the time that it takes without "
            f"({second:.1f} s, not {first:.1f} s), {busy:.2f} cores busy\n"
        )


if __name__ == "__main__":
    main()
