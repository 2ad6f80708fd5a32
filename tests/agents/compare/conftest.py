"""Comparisons that are small enough for tests: a few tasks, a few batches, hardly any cold start."""

import sys
from pathlib import Path

import pytest

from metis_agents.compare import Plan, Settings, Store
from metis_agents.compare.pool import run_all
from metis_agents.sb3 import SFTConfig

sys.path.insert(0, str(Path(__file__).parent))

SMALL = Settings(
    env={"grader_noise": 0.3, "choices": 4},
    batches=3,
    tasks=2,
    group_size=4,
    eval_tasks=4,
    eval_episodes=2,
    checkpoint_every=1,
    start=SFTConfig(tasks=64, epochs=3),
)


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(scope="session")
def small_plan():
    return Plan(designs=("accuracy", "hdpo"), seeds=(0,), settings=SMALL)


@pytest.fixture(scope="session")
def finished(small_plan, tmp_path_factory):
    """The folder of a comparison that ran through; tests read it only."""
    folder = tmp_path_factory.mktemp("finished")
    run_all(small_plan.runs, Store(folder), progress=False)
    return folder
