"""Checkpoints are whole or not there; journals go on where the checkpoint was."""

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from metis_agents.qwen3vl.train.checkpoints import Checkpoints
from metis_agents.qwen3vl.train.metrics_log import MetricsLog
from metis_gym.errors import CheckpointError, MissingDependencyError


def state(number):
    return {"batches_done": number, "policy": {"w": torch.full((1000,), float(number))}, "order": {"state": 1 << 100}}


def test_what_was_written_is_read(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.write(7, state(7))
    read = checkpoints.read()
    assert read["batches_done"] == 7
    assert read["order"] == {"state": 1 << 100}
    assert torch.equal(read["policy"]["w"], torch.full((1000,), 7.0))


def test_only_the_latest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for number in (1, 2, 3):
        checkpoints.write(number, state(number))
    assert checkpoints.numbers() == [2, 3]
    assert checkpoints.read(2)["batches_done"] == 2


def test_a_file_size_limit_leaves_the_last_checkpoint_whole(tmp_path):
    """A disk that runs full, stood in for by a limit on file sizes: writing fails midway."""
    code = f"""
import resource, signal, sys, torch
from pathlib import Path
from metis_agents.qwen3vl.train.checkpoints import Checkpoints
from metis_gym.errors import CheckpointError
checkpoints = Checkpoints(Path({str(tmp_path)!r}))
checkpoints.write(1, {{"w": torch.zeros(10)}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.write(2, {{"w": torch.zeros(1_000_000)}})
except CheckpointError as error:
    sys.stdout.write(str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "the last whole one is 1" in done.stdout
    assert Checkpoints(tmp_path).numbers() == [1]
    assert Checkpoints(tmp_path).read()["w"].numel() == 10
    assert [path.name for path in tmp_path.iterdir()] == ["000001"]


def test_a_run_killed_while_writing_leaves_nothing_that_is_read(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, state(1))
    (tmp_path / "000002.part").mkdir()
    (tmp_path / "000002.part" / "state.safetensors").write_bytes(b"half")
    assert checkpoints.read()["batches_done"] == 1
    checkpoints.write(2, state(2))
    assert checkpoints.numbers() == [1, 2]


@pytest.mark.parametrize("damage", ["shorter", "gone", "other bytes"])
def test_a_damaged_file_is_named(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.write(1, state(1)) / "state.safetensors"
    if damage == "gone":
        path.unlink()
    elif damage == "shorter":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(CheckpointError, match="000001"):
        checkpoints.read()


def test_no_checkpoint_is_an_error_that_says_so(tmp_path):
    with pytest.raises(CheckpointError, match=r"Expect a checkpoint in .*, actually: none"):
        Checkpoints(tmp_path / "nothing").read()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, state(1))
    with pytest.raises(CheckpointError, match=r"Expect checkpoint 5 in .*, actually: \[1\]"):
        checkpoints.read(5)


def test_a_checkpoint_holds_no_code(tmp_path):
    """Nothing in a file that somebody hands on can run when it is read."""
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="surprise cannot be saved"):
        checkpoints.write(1, {"surprise": print})
    assert checkpoints.numbers() == []
    path = checkpoints.write(1, {"number": 1}) / "state.safetensors"
    saved = io.BytesIO()
    torch.save({"surprise": print}, saved)
    path.write_bytes(saved.getvalue()[: path.stat().st_size].ljust(path.stat().st_size, b"\0"))
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.read()


@pytest.mark.parametrize(
    "manifest", ["", "[" * 100_000, "[]", "{}", '{"format": 2, "files": 3}', '{"format": [], "files": {}}']
)
def test_a_damaged_manifest_is_named(tmp_path, manifest):
    checkpoints = Checkpoints(tmp_path)
    (checkpoints.write(1, state(1)) / "manifest.json").write_text(manifest)
    with pytest.raises(CheckpointError, match="000001"):
        checkpoints.read()


def test_a_journal_drops_what_comes_after_the_checkpoint(tmp_path):
    journal = MetricsLog(tmp_path, tensorboard=False)
    for batch in range(4):
        journal.write(batch, {"a": float(batch), "nothing": float("nan")})
    journal.close()
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"batch": 4, "a"')  # killed while writing
    journal = MetricsLog(tmp_path, start=2, tensorboard=False)
    journal.write(2, {"a": 20.0})
    journal.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"batch": 0, "a": 0.0}, {"batch": 1, "a": 1.0}, {"batch": 2, "a": 20.0}]


def test_tensorboard_gets_the_same_figures(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    journal = MetricsLog(tmp_path)
    journal.write(3, {"batch/accuracy": 0.5})
    journal.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("batch/accuracy")] == [(3, 0.5)]


def test_wandb_that_is_not_installed_is_an_error_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependencyError, match="pip install wandb"):
        MetricsLog(tmp_path, tensorboard=False, wandb="project")


def test_samples_are_a_table_with_images_in_wandb(tmp_path, monkeypatch):
    """A stand-in with the calls of W&B that are used; what it is given is what was recorded."""
    from qwen_toys import SCRIPT, ScriptedEngine, equipment, player

    from metis_agents.qwen3vl.rollouts.evaluation import play_tasks

    class Table:
        def __init__(self, columns):
            self.columns, self.rows = columns, []

        def add_data(self, *cells):
            assert len(cells) == len(self.columns)
            self.rows.append(dict(zip(self.columns, cells, strict=True)))

    logged = []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: None)
    fake = SimpleNamespace(init=lambda **_: run, Table=Table, Image=lambda pixels: ("image", pixels.shape))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    kit = equipment()
    acting = player(kit, ScriptedEngine(kit.tokenizer, SCRIPT))
    outcomes = play_tasks(acting, episodes=3, seed=0, samples=tmp_path / "samples", sampled=3)
    acting.close()
    log = MetricsLog(tmp_path, tensorboard=False, wandb="project")
    log.show_samples(7, tmp_path / "samples")
    log.close()
    [(step, values)] = logged
    rows = values["samples"].rows
    assert step == 7
    assert [row["task"] for row in rows] == [outcome.task_id for outcome in outcomes]
    assert [row["tool calls"] for row in rows] == [1, 0, 2]
    assert [row["correct"] for row in rows] == [outcome.correct for outcome in outcomes]
    assert all(row["first image"] == ("image", (64, 64, 3)) for row in rows)
    assert [row["last image"][1] for row in rows] == [(64, 96, 3), (64, 64, 3), (64, 96, 3)]
    assert "assistant: <reason></reason><answer>blue</answer>" in rows[1]["conversation"]
