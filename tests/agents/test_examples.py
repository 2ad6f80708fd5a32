"""The examples run, as a user runs them; the demo with fewer seeds and batches."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(example, *arguments, warnings="error"):
    paths = os.pathsep.join(map(str, [ROOT, ROOT / "envs", ROOT / "agents"]))
    done = subprocess.run(
        [sys.executable, "-W", warnings, str(ROOT / "examples" / example), *arguments],
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


@pytest.mark.slow
def test_environments_of_another_process_give_the_same(sandbox_kwargs):
    pytest.importorskip("openenv")
    out = run("serve_and_play.py", warnings="default")
    assert "the same image: True" in out and "images that a tool returned: 1" in out and "over: True, calls: 1" in out


@pytest.mark.slow
def test_trl_trains_a_tiny_model_that_samples_by_itself(tmp_path):
    from trl.chat_template_utils import qwen3_vl_chat_template

    from metis_agents.qwen3vl.model.models import ModelConfig, new_tiny
    from metis_agents.trl import environment_class

    instructions = environment_class(taskset="sums").instructions
    loaded = new_tiny(
        [instructions, "Question: how much? Answer with the letter of the right option."] * 8, ModelConfig()
    )
    loaded.tokenizer.chat_template = qwen3_vl_chat_template
    loaded.save_pretrained(tmp_path / "tiny")
    words = [
        "--model",
        str(tmp_path / "tiny"),
        "--taskset",
        "sums",
        "--steps",
        "1",
        "--group-size",
        "2",
        "--tokens",
        "16",
    ]
    out = run("train_trl.py", *words, "--cpu", "--out", str(tmp_path / "out"), warnings="default")
    assert "'accuracy'" in out and "'unscored': '0'" in out
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_the_verl_script_is_a_command_line(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "metis-gym"
    program.write_text(f'#!/bin/sh\n[ "$1" = verl-check ] || exec {sys.executable} -m metis_gym "$@"\n')
    program.chmod(0o755)
    paths = os.pathsep.join(map(str, [ROOT, ROOT / "envs", ROOT / "agents"]))
    done = subprocess.run(
        ["sh", str(ROOT / "examples" / "train_verl.sh"), "--dry-run", "trainer.save_freq=20"],
        env={**os.environ, "PYTHONPATH": paths, "PATH": f"{folder}:{os.environ['PATH']}", "NODES": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "trainer.nnodes=2" in done.stdout and done.stdout.strip().endswith("trainer.save_freq=20")


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
