"""Two ranks take the steps that one would: gradients, design memory and reports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_ranks import CASES, groups_of, summary, train

from metis_agents.rl import Ranks, distributed


def run(folder, *arguments):
    script = Path(__file__).with_name("two_ranks.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script, folder, *arguments], env=environment, check=True, timeout=240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run(folder)
    return folder


@pytest.mark.parametrize("case", [*CASES, "uneven"])
def test_two_ranks_are_one(folder, case):
    one = json.loads(json.dumps(summary(*train(case, groups_of(case), Ranks()))))
    for rank in (0, 1):
        two = json.loads((folder / f"{case}.{rank}.json").read_text())
        largest = max(map(abs, one["parameters"]))
        assert two["parameters"] == pytest.approx(one["parameters"], rel=0, abs=1e-12 * largest)
        assert two["batch"] == one["batch"]
        assert two["design"] == one["design"]
        for ours, theirs in zip(one["updates"], two["updates"], strict=True):
            assert theirs == pytest.approx(ours, rel=1e-9, abs=1e-12)


def test_a_killed_rank_is_an_error_that_says_what_to_do(tmp_path):
    run(tmp_path, "lost")
    for operation in ("gather", "sum_gradients"):
        message = (tmp_path / f"{operation}.txt").read_text()
        assert message.startswith("rank 0 of 2 lost touch with another rank")
        assert "start all ranks again with --resume" in message


def test_one_process_is_one_rank():
    ranks = Ranks()
    assert (ranks.size, ranks.rank, ranks.gather("me")) == (1, 0, ["me"])
    ranks.sum_gradients([])


def test_many_gradients_travel_together_and_narrow_ones_are_added_up_in_float32(monkeypatch):
    sent = []

    def add(tensor, op, group):
        assert op == distributed.dist.ReduceOp.SUM
        assert tensor.dtype == torch.float32
        sent.append(tensor.numel())
        tensor.mul_(3.0).add_(0.5)

    monkeypatch.setattr(distributed.dist, "all_reduce", add)
    monkeypatch.setattr(distributed, "_BUCKET", 100)
    ranks = Ranks()
    ranks._several = True
    sizes = [(10, 3), (40,), (25,), (7, 50), (1,), ()]
    types = [torch.float32, torch.bfloat16] * 3
    parameters = [torch.nn.Parameter(torch.zeros(size, dtype=kind)) for size, kind in zip(sizes, types, strict=True)]
    frozen = torch.nn.Parameter(torch.zeros(9), requires_grad=False)
    for number, parameter in enumerate(parameters):
        parameter.grad = None if number == 2 else torch.full_like(parameter, float(number))
    ranks.sum_gradients([*parameters[:3], frozen, *parameters[3:]])
    assert sent == [95, 350, 2]
    assert frozen.grad is None
    for number, parameter in enumerate(parameters):
        assert parameter.grad.dtype == parameter.dtype
        assert parameter.grad.shape == parameter.shape
        assert (parameter.grad == (0.5 if number == 2 else 3.0 * number + 0.5)).all()
