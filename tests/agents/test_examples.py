"""The examples run, as a user runs them; the demo with fewer seeds and batches."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(example, *arguments):
    paths = os.pathsep.join(map(str, [ROOT, ROOT / "envs", ROOT / "agents"]))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / example), *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_design_of_ones_own_is_compared_from_a_script(tmp_path):
    small = ["--batches", "1", "--start-tasks", "32", "--eval-tasks", "4", "--jobs", "2"]
    out = run("compare_rewards.py", *small, "--out", str(tmp_path))
    assert "| `halving` |" in out
    assert "hdpo: redundant calls" in out
    assert (tmp_path / "summary.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_prints_its_table_and_where_its_image_is(tmp_path):
    out = run("demo.py", "--seeds", "1", "--batches", "2", "--out", str(tmp_path))
    for design in ("(cold start)", "accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "hdpo"):
        assert f"\n{design} " in out
    assert f"Look at {tmp_path / 'summary.png'}" in out
    assert (tmp_path / "summary.png").stat().st_size > 10_000


def test_a_room_of_minigrid_is_trained_and_its_table_printed(tmp_path):
    pytest.importorskip("minigrid")
    small = ["--seeds", "1", "--batches", "1", "--episodes", "4", "--designs", "hdpo:w_tool=0.15"]
    out = run("minigrid_hint.py", *small, "--out", str(tmp_path))
    assert "| `hdpo:w_tool=0.15` |" in out
    assert (tmp_path / "results.csv").read_text().startswith("design,seed,redundant,needed,right,calls")


def test_the_room_of_minigrid_tells_what_it_came_to():
    pytest.importorskip("minigrid")
    example = runpy.run_path(str(ROOT / "examples" / "minigrid_hint.py"))
    needed = []
    for seed in range(20):
        env = example["TwoBoxes"]()
        env.reset(seed=seed)
        needed.append(env.needed)
        for action in (env.actions.done, (env.actions.left, env.actions.right)[env.prize], env.actions.toggle):
            *_, ended, _, info = env.step(action)
        assert ended
        assert info == {"correct": True, "tool_calls": 1, "needed": env.needed}
    assert {True, False} == set(needed)
