"""Comparisons that are small enough for tests: a few tasks, a few batches, hardly any cold start."""

import dataclasses

import pytest

from metis_agents.compare import Plan, Settings, Store
from metis_agents.compare.pool import run_all
from metis_agents.compare.records import CURVES, Played, Result
from metis_agents.sb3 import CloningConfig

SMALL = Settings(
    env={"grader_noise": 0.3, "choices": 4},
    batches=3,
    tasks=2,
    group_size=4,
    eval_tasks=4,
    eval_episodes=2,
    checkpoint_every=1,
    start=CloningConfig(tasks=64, epochs=3),
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


def played(redundant, needed, right=1.0, episodes=100):
    """One task of each kind, so that rates are what they are given as."""
    rows = []
    for rate in (redundant, needed):
        rows.append((episodes, right * episodes, rate * episodes, rate * episodes, rate * episodes))
    return Played(necessity=("none", "required"), sums=tuple(rows))


def result(design="hdpo", seed=0, redundant=0.0, needed=1.0, right=1.0, batches=5, **env):
    """A made-up result."""
    curve = {name: [0.5] * batches for name in CURVES}
    curve["redundant_rate"] = [redundant] * batches
    curve["tool_recall"] = [needed] * batches
    return Result(
        design=design,
        seed=seed,
        env={"grader_noise": 0.3, "choices": 4, **env},
        curve=curve,
        final=played(redundant, needed, right),
        without_tools=played(0, 0, right / 2),
        start=played(0.97, 0.99),
        start_without_tools=played(0, 0, 0.6),
    )


def changed(settings, **values):
    return dataclasses.replace(settings, **values)
