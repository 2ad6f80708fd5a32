"""Two ranks that share weights take the steps that one would, and go on from a distributed checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def run(folder, *parts):
    script = Path(__file__).with_name("two_shards.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script, folder, *parts], env=environment, check=True, timeout=280)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run(tmp_path_factory.mktemp("shards"), "imitation", "full", "lora", "resume")


def test_two_shards_are_one_model(tmp_path):
    assert_two_are_one(run(tmp_path, "full"), "full")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["full", "lora"])
def test_two_shards_are_one_model_with_every_part(folder, case):
    assert_two_are_one(folder, case)


def assert_two_are_one(folder, case):
    one = json.loads((folder / f"{case}.one.json").read_text())
    two = json.loads((folder / f"{case}.json").read_text())
    moved = np.array(one["end"]) - np.array(one["start"])
    largest = np.abs(moved).max()
    assert largest > 1e-4
    np.testing.assert_allclose(np.array(two["whole"]) - np.array(one["start"]), moved, rtol=0, atol=1e-3 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["full", "lora"])
def test_a_distributed_checkpoint_goes_on_exactly(folder, case):
    two = json.loads((folder / f"{case}.json").read_text())
    assert two["done"] == 1
    assert two["resumed"] == two["whole"]


@pytest.mark.slow
def test_two_shards_imitate_as_one_model(folder):
    one = json.loads((folder / "imitation.one.json").read_text())
    moved = np.array(one["end"]) - np.array(one["start"])
    largest = np.abs(moved).max()
    assert largest > 1e-4
    two = np.array(json.loads((folder / "imitation.json").read_text())) - np.array(one["start"])
    # Adam divides by the size of a gradient: where that is rounding noise, so is the step. Nearly all must agree.
    agreeing = np.isclose(two, moved, rtol=0, atol=1e-2 * largest)
    assert agreeing.mean() > 0.99
