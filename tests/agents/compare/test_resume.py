"""A comparison that is stopped, or cannot write, loses no finished run and ends with the same numbers."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path

import pytest
import torch

from metis_agents.compare import Plan, Store, compare
from metis_agents.compare import pool as pool_module
from metis_agents.compare import training as training_module
from metis_agents.compare.pool import run_all
from metis_agents.compare.training import make_start, train
from metis_agents.states import to_bytes
from metis_gym.errors import CheckpointError, ConfigError, InfrastructureError, StorageError

ROOT = Path(__file__).parents[3]


def runs_in(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("runs/*.json"))}


def give_starts(source, folder):
    """A store that already has the cold starts of another."""
    store = Store(folder)
    for path in Path(source).glob("starts/*"):
        store.write(f"starts/{path.name}", path.read_bytes())
    return store


class Stop(Exception):
    """Raised in the middle of a run."""


def stop_after(batches):
    counted = []

    def advance():
        counted.append(1)
        if len(counted) == batches:
            raise Stop

    return advance


def test_a_finished_run_is_never_run_again(finished, small_plan, monkeypatch):
    monkeypatch.setattr(training_module, "_Training", None)
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    comparison = compare(small_plan, finished, progress=False)
    assert comparison.designs == ("accuracy", "hdpo")
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}


def test_nothing_but_results_and_starts_is_left(finished):
    assert [path.suffix for path in sorted(finished.glob("starts/*"))] == [".json", ".safetensors"]
    assert len(list(finished.glob("runs/*"))) == 2
    assert list(finished.glob("checkpoints/*")) == []
    assert list(finished.rglob(".*")) == []


@pytest.mark.parametrize("batches", [1, 3, 4])
def test_a_stopped_run_ends_with_the_same_numbers(batches, finished, small_plan, tmp_path):
    store = give_starts(finished, tmp_path)
    with pytest.raises(Stop):
        train(small_plan.runs, store, stop_after(batches))
    seen = []
    train(small_plan.runs, store, lambda: seen.append(1))
    assert len(seen) == 6, "two runs of three batches, those of the first start included"
    assert runs_in(tmp_path) == runs_in(finished)


def test_side_by_side_or_alone_makes_no_difference(finished, small_plan, tmp_path):
    store = give_starts(finished, tmp_path)
    for run in small_plan.runs:
        train([run], store, lambda: None)
    assert runs_in(tmp_path) == runs_in(finished)


def test_runs_of_different_starts_are_not_trained_together(small, tmp_path):
    plan = Plan(designs=("hdpo",), seeds=(0, 1), settings=small)
    with pytest.raises(ConfigError, match="same cold start"):
        train(plan.runs, Store(tmp_path), lambda: None)


def test_a_killed_comparison_goes_on_and_leaves_no_process(finished, small_plan, tmp_path):
    give_starts(finished, tmp_path)
    script = tmp_path / "go.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "envs", ROOT / "agents"]))}
    (tmp_path / "pausing.py").write_text(PAUSING)
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment, stdout=subprocess.PIPE)
    # A worker says so and waits for ever; where all of them ended instead, there is nothing more to be read.
    assert process.stdout.readline() == b"a checkpoint is written\n"
    process.send_signal(signal.SIGKILL)
    # Workers share the output: its end is read when the last of them is gone.
    process.communicate()
    assert list(tmp_path.glob("checkpoints/*"))
    run_all(small_plan.runs, Store(tmp_path), progress=False)
    assert runs_in(tmp_path) == runs_in(finished)


PAUSING = """
import sys, threading
from metis_agents.compare.store import Store

write = Store.write

def write_and_wait(self, name, content):
    path = write(self, name, content)
    if name.startswith("checkpoints/"):
        sys.stdout.write("a checkpoint is written\\n")
        sys.stdout.flush()
        threading.Event().wait()
    return path

Store.write = write_and_wait
"""

SCRIPT = """
import importlib.util, sys
from metis_agents.compare import Plan, Settings, Store
from metis_agents.compare.pool import run_all
from metis_agents.sb3 import SFTConfig

MODULES = ["pausing"] if importlib.util.find_spec("pausing") else []

if __name__ == "__main__":
    settings = Settings(
        env={"grader_noise": 0.3, "choices": 4}, batches=3, tasks=2, group_size=4, eval_tasks=4, eval_episodes=2,
        checkpoint_every=1, start=SFTConfig(tasks=64, epochs=3),
    )
    run_all(Plan(designs=("accuracy", "hdpo"), seeds=(0,), settings=settings).runs, Store(sys.argv[1]), processes=2,
        modules=MODULES, progress=False)
"""


@pytest.mark.slow
def test_processes_change_nothing(finished, small_plan, tmp_path):
    give_starts(finished, tmp_path)
    compare(small_plan, tmp_path, processes=2, progress=False)
    assert runs_in(tmp_path) == runs_in(finished)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(finished, small_plan, tmp_path):
    """With the kernel's limit on the size of files: what fits is kept, what does not is no half file."""
    give_starts(finished, tmp_path)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "sys.argv[1:] = sys.argv[1:]; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        f"exec(compile({SCRIPT!r}.replace('processes=2', 'processes=1'), 'go.py', 'exec'))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "envs", ROOT / "agents"]))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "StorageError" in done.stderr
    assert "Finished runs are kept" in done.stderr
    assert list(tmp_path.glob("checkpoints/*")) == list(tmp_path.glob("checkpoints/.*")) == []
    run_all(small_plan.runs, Store(tmp_path), progress=False)
    assert runs_in(tmp_path) == runs_in(finished)


def test_finished_runs_survive_when_the_next_cannot_be_written(finished, small_plan, tmp_path, monkeypatch):
    store = give_starts(finished, tmp_path)
    train(small_plan.runs[:1], store, lambda: None)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match=r"cannot be written: No space left on device\. Finished runs are kept"):
        train(small_plan.runs[1:], store, lambda: None)
    monkeypatch.undo()
    assert list(runs_in(tmp_path)) == [f"{small_plan.runs[0].key}.json"]
    train(small_plan.runs, store, lambda: None)
    assert runs_in(tmp_path) == runs_in(finished)


def full_disk(descriptor):
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_made_is_a_clear_error(small_plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.* cannot be written"):
        compare(small_plan, tmp_path / "file" / "out", progress=False)


def test_a_result_that_is_no_json_is_named(finished, small_plan, tmp_path):
    store = give_starts(finished, tmp_path)
    for run in small_plan.runs:
        store.write(f"runs/{run.key}.json", b"{")
    with pytest.raises(StorageError, match="is no JSON"):
        compare(small_plan, tmp_path, progress=False)


def test_a_cold_start_is_made_once(small_plan, finished, tmp_path, monkeypatch):
    start, store = small_plan.runs[0].start, give_starts(finished, tmp_path)
    monkeypatch.setattr(training_module, "cold_start", None)
    make_start(start, store)
    assert json.loads(store.read(f"starts/{start.key}.json")).keys() == {"with_tools", "without"}


def test_a_wrong_number_of_processes_raises(small_plan, tmp_path):
    with pytest.raises(ConfigError, match="processes must be at least 1, actually: 0"):
        compare(small_plan, tmp_path, processes=0)


def test_a_worker_that_dies_is_named(small_plan, finished, tmp_path, monkeypatch):
    give_starts(finished, tmp_path)
    (tmp_path / "deadly.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InfrastructureError, match="Finished runs are kept"):
        compare(small_plan, tmp_path, processes=2, modules=["deadly"], progress=False)


class Unhurried(ProcessPoolExecutor):
    """Gives out a job when the one before it is over, as a machine without time to spare may."""

    last = None

    def submit(self, *args):
        if self.last is not None:
            wait([self.last])
        self.last = super().submit(*args)
        return self.last


def test_a_worker_that_dies_before_all_jobs_are_given_out_is_named(small_plan, finished, tmp_path, monkeypatch):
    give_starts(finished, tmp_path)
    (tmp_path / "deadly_at_once.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(pool_module, "ProcessPoolExecutor", Unhurried)
    with pytest.raises(InfrastructureError, match="Finished runs are kept"):
        compare(small_plan, tmp_path, processes=2, modules=["deadly_at_once"], progress=False)


class Trap:
    """Runs when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (open, (self.marker, "w"))


@pytest.mark.parametrize("part", ["starts", "checkpoints"])
def test_a_folder_that_somebody_else_made_runs_nothing(part, small_plan, finished, tmp_path):
    store, run = give_starts(finished, tmp_path / "store"), small_plan.runs[0]
    key = run.start.key if part == "starts" else run.key
    saved = io.BytesIO()
    torch.save(Trap(tmp_path / "ran"), saved)
    for content in (pickle.dumps(Trap(tmp_path / "ran")), saved.getvalue(), b"", to_bytes({"model": b"", "curve": 3})):
        store.write(f"{part}/{key}.safetensors", content)
        with pytest.raises(CheckpointError, match=part):
            train([run], store, lambda: None)
    assert not (tmp_path / "ran").exists()
