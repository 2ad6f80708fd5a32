"""examples/curate_and_train.py, but for its training: faults are planted, found and counted, and drawn."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from metis_agents.qwen3vl.sft.cold_start import _conversations
from metis_agents.qwen3vl.train.command import read_config
from metis_gym.images import decode
from metis_gym.tasksets import make_taskset

PATH = Path(__file__).parents[2] / "examples/curate_and_train.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("curate_and_train", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def quick(example, monkeypatch):
    """Few episodes, and a command that curates in this process, without the base model."""
    from metis_agents.curate.command import curate_command

    def command(*words, log):
        assert words[0] == "curate"
        asked = words[1 : words.index("--agent")] if "--agent" in words else words[1:]
        assert curate_command([*asked, "--workers", "1"]) == 0

    monkeypatch.setattr(example, "command", command)
    monkeypatch.setattr(example, "EPISODES", 30)
    monkeypatch.setattr(example, "COPIES", 4)
    return example


@pytest.mark.slow
def test_planted_faults_go_for_their_reasons(quick, tmp_path, sandbox_kwargs):
    for name, count in (("run", quick.EPISODES), ("copies", quick.COPIES)):
        quick.record(tmp_path / name, 3, count, quick.Sloppy())
    quick.curate(tmp_path, tmp_path / "base")
    rows = {row["planted"]: row for row in quick.became_of(tmp_path)}
    assert sum(row["trajectories"] for row in rows.values()) == 34
    expected = {"wrong": "wrong_answer", "failing": "recorded_error", "elsewhere": "visual_relevance"}
    for planted, row in rows.items():
        kind = planted.partition(",")[0]
        if kind in expected:
            assert row["kept"] == 0
            assert f"{expected[kind]} {row['trajectories']}" in row["dropped"]
        elif kind in ("redundant", "needed", "direct"):  # what the base model would say is not asked here
            assert row["kept"] >= row["trajectories"] - 1  # the stand-in for a judge errs now and then
    assert rows["a copy"]["kept"] == 0
    assert {"redundant", "needed", "direct"} < {planted.partition(",")[0] for planted in rows}
    for out, count in (("raw", None), ("few", 5)):
        quick.write_raw(tmp_path, tmp_path / out, count=count, seed=0)
        assert len(list(_conversations(str(tmp_path / out)))) == (count or 34)


def test_the_stand_in_for_a_judge_finds_the_marked_patch(example):
    taskset = make_taskset("patches:answers=choice,max_source=1024", split="train", view_size=example.VIEW)
    found = []
    for number in range(40):
        task = taskset.build(taskset.draw(np.random.default_rng(number)))
        left, top = task.region[:2]
        place = example.framed_place(task.images[0].view)
        found.append(place == (left * 4 // example.SOURCE, top * 4 // example.SOURCE))
    assert np.mean(found) >= 0.95


def test_its_trainings_can_be_asked_for(example):
    known = [word for name, value in example.ENV.items() for word in (f"--{example.option(name)}", str(value))]
    fixed = ["--out", "x", "--threads", "1", "--samples", "0", "--seed", "0", *known]
    for words in (example.SEES, example.BASE, (*example.ARM, "--sft-steps", "250"), example.RL):
        config = read_config([*fixed, *words, *([] if "--sized" in words else ["--sized", "tiny"])])
        assert (config.env["view_size"], config.env["answers"]) == (example.VIEW, "choice")
        assert (config.cold_start is None) == (words is example.RL)


def test_results_become_a_table_and_a_figure(example, tmp_path):
    rows = [
        {"seed": seed, "arm": arm, "trajectories": 7, **dict.fromkeys(example.METRICS, 10.0 * place + seed)}
        for seed in range(3)
        for place, arm in enumerate(example.ARMS)
    ]
    # Of 20, 21 and 22: t(.975, 2) = 4.303 times 1 / sqrt(3) is 2.48.
    assert "| curated | 7 | 21.0 ± 2.5 (20, 21, 22) |" in example.table(rows)
    assert decode(example.draw(rows, "png")).std() > 10
    example.write_csv(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open() as stream:
        assert [json.loads(row["seed"]) for row in csv.DictReader(stream)] == [row["seed"] for row in rows]
