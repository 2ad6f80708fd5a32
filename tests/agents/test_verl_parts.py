"""What of the verl adapter needs no verl: rows, the place of the hinge, settings, tasks, and the command line."""

import json
import shlex

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_agents.rl import joined
from metis_agents.verl.advantage import Row, handed_over, join_rows, metis_advantage, split_hinge, with_hinge
from metis_agents.verl.settings import VerlSettings
from metis_agents.verl.tasks import MetisTasks
from metis_gym import rewards
from metis_gym.cli import main
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

SEEDS = st.integers(0, 2**32 - 1)


def outcome(task, score, calls):
    return Outcome(task_id=task, answer_score=score, format_score=1.0, tool_calls=calls)


def random_rows(random):
    """Rows of several groups, mixed up and of unequal sizes (unscored sessions are not there), with padding."""
    rows = [
        Row(f"uid{task}", outcome(f"t{task}", float(random.random() < 0.6), int(random.integers(0, 4))))
        for task in range(random.integers(1, 5))
        for _ in range(random.integers(1, 7))
    ]
    rows += [Row(f"pad{index}", None) for index in range(random.integers(0, 3))]
    return [rows[place] for place in random.permutation(len(rows))]


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_rows_are_compared_by_their_prompt_wherever_they_stand(seed):
    random = np.random.default_rng(seed)
    rows, design = random_rows(random), rewards.make("hdpo:w_tool=0.4")
    found = join_rows(design, rows)
    for group in {row.group for row in rows}:
        places = [place for place, row in enumerate(rows) if row.group == group]
        if rows[places[0]].outcome is None:
            assert np.isnan(found.total_N[places]).all()
            continue
        alone = joined(design, [[rows[place].outcome for place in places]])
        assert found.total_N[places] == pytest.approx(alone.total_N, abs=1e-12)
        assert found.hinge_N[places] == pytest.approx(alone.hinge_N, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_total_and_hinge_come_back_and_no_model_token_sees_the_hinge(seed):
    random = np.random.default_rng(seed)
    rows, width = int(random.integers(1, 6)), 12
    mask = torch.zeros(rows, width, dtype=torch.int64)
    hinge = torch.zeros(rows, 1)
    for row in range(rows):
        turns, place = int(random.integers(1, 3)), 0
        for _ in range(turns):
            length = int(random.integers(1, 4))
            mask[row, place : place + length] = 1
            place += length + int(random.integers(1, 3))
        hinge[row] = float(random.random()) if turns > 1 else 0.0
    total = torch.tensor(random.normal(size=(rows, 1)), dtype=torch.float32)
    written = with_hinge(total * mask, mask, hinge)
    assert torch.equal(written * mask, total * mask)
    read_total, read_hinge = split_hinge(written, mask)
    assert torch.equal(read_total, total) and torch.equal(read_hinge, hinge)
    padded = torch.nn.functional.pad(written, (0, 5)), torch.nn.functional.pad(mask, (0, 5))
    assert all(torch.equal(a, b) for a, b in zip(split_hinge(*padded), (total, hinge), strict=True))


def test_a_hinge_without_a_place_is_refused():
    with pytest.raises(ConfigError, match="m has no place"):
        with_hinge(torch.ones(1, 3), torch.tensor([[1, 1, 0]]), torch.ones(1, 1))


def test_the_estimator_wants_outcomes():
    mask = torch.ones(2, 3)
    with pytest.raises(ConfigError, match="metis_sync"):
        metis_advantage(torch.zeros(2, 3), mask)
    found = join_rows(rewards.make("hdpo"), [Row("a", outcome("t", 1.0, 0)), Row("a", outcome("t", 0.0, 0))])
    with handed_over(found):
        advantages, _ = metis_advantage(torch.zeros(2, 3), mask)
        with pytest.raises(ConfigError, match="Expect 3 advantages"):
            metis_advantage(torch.zeros(3, 3), torch.ones(3, 3))
    assert advantages[:, 0].tolist() == pytest.approx([0.7071, -0.7071], abs=1e-4)
    with pytest.raises(ConfigError, match="metis_sync"):  # and only while they are handed over
        metis_advantage(torch.zeros(2, 3), mask)


def test_settings_travel_as_text_and_are_checked():
    made = VerlSettings(env={"taskset": "signs", "prices": {"python": 2.0}}, design="hdpo:w_tool=0.2", tasks=7)
    assert VerlSettings.of({"metis": made.as_text()}) == made
    for wrong in (None, "{", '{"task": 1}', '{"tasks": 0}', '{"design": "hdp"}'):
        with pytest.raises(ConfigError):
            VerlSettings.of({} if wrong is None else {"metis": wrong})


def test_rows_are_ids_that_the_environment_loads():
    text = VerlSettings(env={"taskset": "sums"}, tasks=5, test_tasks=3).as_text()
    train, test = MetisTasks("train", config={"metis": text}), MetisTasks(["test"], config={"metis": text})
    assert (len(train), len(test), len(MetisTasks("train", config={"metis": text}, max_samples=2))) == (5, 3, 2)
    assert train[1]["extra_info"]["task_id"] == MetisTasks("train", config={"metis": text})[1]["extra_info"]["task_id"]
    ids = {row["extra_info"]["task_id"] for row in (train[0], train[1], test[0])}
    assert len(ids) == 3
    assert train._taskset.load(train[0]["extra_info"]["task_id"]).question


def test_the_command_line_is_verls(capsys):
    words = ["verl", "--dry-run", "--taskset", "signs", "--design", "hdpo:w_tool=0.3", "--nodes", "2", "--gpus", "8"]
    assert main([*words, "--set", 'prices={"python": 2.5}', "--set", "grader=it's", "trainer.logger=[console]"]) == 0
    line = shlex.split(capsys.readouterr().out)
    assert line[1:3] == ["-m", "verl.trainer.main_ppo"] and line[-1] == "trainer.logger=[console]"
    given_ = dict(word.split("=", 1) for word in line[3:])
    assert given_["trainer.nnodes"] == "2" and given_["trainer.v1.trainer_mode"] == "metis_sync"
    read = json.loads(given_["+data.metis"][1:-1].replace("\\'", "'"))
    assert read["env"] == {"taskset": "signs", "prices": {"python": 2.5}, "grader": "it's"}
    assert main(["verl", "--dry-run", "--tasks", "10", "--minibatch", "4"]) == 2
    assert main(["verl", "--dry-run", "save_freq"]) == 2
    assert "save_freq" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["verl", "--dry-run", "--taskest", "signs"])
