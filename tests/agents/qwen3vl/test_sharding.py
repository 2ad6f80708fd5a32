"""Two ranks that share weights take the steps that one would, and go on from a distributed checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from qwen_toys import equipment

from metis_agents.qwen3vl.model import sharding


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


def test_a_sharded_run_starts_without_whole_float32_weights(monkeypatch):
    """The copy that plays is the memory that was loaded; units are wide one at a time, and reduced in float32."""
    kit = equipment(dtype="bfloat16")
    kit.model.to(torch.bfloat16)
    loaded = {name: (weight.data_ptr(), weight.clone()) for name, weight in kit.model.named_parameters()}
    playing = sharding.playing_copy(kit.model)
    units, policies = [], []

    def spread(unit, mp_policy):
        wide = {name for name, weight in kit.model.named_parameters() if weight.dtype == torch.float32 and len(weight)}
        own = {id(weight) for weight in unit.parameters()}
        assert all(id(weight) in own for name, weight in kit.model.named_parameters() if name in wide)
        units.append(len(wide))
        policies.append(mp_policy)
        for weight in unit.parameters():
            weight.data = weight.data.new_empty(0)  # FSDP keeps its shard, and lets the whole weight go

    monkeypatch.setattr(sharding, "fully_shard", spread)
    sharding.shard(kit.scorer, compute=torch.bfloat16)
    assert len(units) == kit.model.config.text_config.num_hidden_layers + 1
    assert all(units)
    assert {(policy.param_dtype, policy.reduce_dtype) for policy in policies} == {(torch.bfloat16, torch.float32)}
    for name, weight in playing.named_parameters():
        pointer, before = loaded[name]
        assert weight.data_ptr() == pointer
        assert torch.equal(weight, before)
        assert not weight.requires_grad
    assert playing.lm_head.weight is playing.model.language_model.embed_tokens.weight, "still tied"
