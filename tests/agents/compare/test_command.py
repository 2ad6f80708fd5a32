"""`metis-gym compare`."""

import dataclasses
import re

import pytest

from metis_agents.compare import command
from metis_gym import rewards
from metis_gym.cli import main

TINY = ["--batches", "1", "--tasks", "2", "--group-size", "2", "--seeds", "1", "--workers", "1", "--quiet"]


@pytest.fixture
def planned(monkeypatch):
    """The plans that the command made; nothing is run."""
    plans = []

    class Nothing:
        def markdown(self):
            return "| table |"

    def compare(plan, folder, **options):
        plans.append((plan, folder, options))
        return Nothing()

    monkeypatch.setattr(command, "compare", compare)
    monkeypatch.setattr(command, "write_report", lambda comparison, folder: [folder / "summary.png"])
    return plans


def test_it_compares_and_writes_everything(tmp_path, capsys):
    small = ["--eval-tasks", "2", "--eval-episodes", "2", "--demonstrations", "32", "--sft.epochs", "1"]
    assert main(["compare", "--design", "accuracy", "hdpo", *TINY, *small, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "| `hdpo` (w_tool = 0.15) |" in out
    for name in ("results.csv", "history.csv", "table.md", "summary.png", "training.png", "final.png", "cost.png"):
        assert f"written: {tmp_path / name}" in out
        assert (tmp_path / name).stat().st_size > 0


def test_options_become_a_plan(planned, tmp_path):
    words = "--env MetisVQA-Discrete-v0 --designs accuracy coupled:alpha=1,gated=false hdpo --seeds 5 --timesteps 30000"
    more = f"--grader-noise .3 --choices 2 --cold-start uniform --jobs 2 --env-arg crop_grid=4 --out {tmp_path}"
    assert main(["compare", *words.split(), *more.split()]) == 0
    plan, folder, options = planned[0]
    assert plan.designs == ("accuracy", "coupled:alpha=1,gated=false", "hdpo")
    assert plan.seeds == (0, 1, 2, 3, 4)
    assert plan.settings.env == {"grader_noise": 0.3, "choices": 2, "required_share": 0.5, "crop_grid": 4}
    assert plan.settings.batches == 59
    assert (plan.settings.start.rate_none, plan.settings.start.rate_required) == (0.98, 0.98)
    assert folder == tmp_path
    assert options["processes"] == 2


def test_what_was_asked_for_is_kept_and_can_be_asked_for_again(planned, tmp_path):
    words = "--design hdpo accuracy --seeds 4 9 --lr 0.25 --env.crop-grid 2 --env.prices python=2"
    assert main(["compare", *words.split(), "--out", str(tmp_path)]) == 0
    kept = str(tmp_path / "config.json")
    assert main(["compare", "--config", kept, "--out", str(tmp_path)]) == 0
    assert main(["compare", "--config", kept, "--seeds", "2", "--out", str(tmp_path)]) == 0
    first, again, other = (plan for plan, _, _ in planned)
    assert first == again
    assert first.seeds == (4, 9)
    assert first.settings.env["prices"] == {"python": 2}
    assert dataclasses.replace(first, seeds=(0, 1)) == other


def test_batches_and_timesteps_exclude_each_other(planned, capsys):
    assert main(["compare", "--batches", "3", "--timesteps", "500"]) == 2
    assert "Expect --batches or --timesteps" in capsys.readouterr().err


def test_designs_of_ones_own_come_from_a_module(planned, tmp_path, monkeypatch):
    (tmp_path / "my_designs.py").write_text(
        "from metis_gym import rewards\n\n\n"
        "@rewards.register('mine')\nclass Mine(rewards.SingleReward):\n"
        "    def score(self, outcome):\n        return float(outcome.correct)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--design", "mine", "--modules", "my_designs"]) == 0
    assert planned[0][0].designs == ("mine",)
    assert "mine" in rewards.available()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--design", "hpdo"], "Did you mean 'hdpo'"),
        (["--design", "coupled:alhpa=1"], "Did you mean 'alpha'"),
        (["--seeds", "0"], "at least one design and one seed"),
        (["--choices", "99"], "choices"),
        (["--grader-noise", "0.9"], "grader_noise must be a share from 0 to 0.5"),
        (["--env-arg", "chioces=3"], "Did you mean 'choices'"),
        (["--env-arg", "choices"], "expected name:key=value"),
        (["--env", "MetisPatches-v0"], "Dict of boxes"),
        (["--modules", "no_such_module"], "no_such_module"),
        (["--env.choices", "99"], r"choices.*\(--env.choices\)"),
        (["--learning-rate", "-1"], "Expect `--lr` to be a finite number above 0"),
        (["--jobs", "0"], "processes must be at least 1"),
    ],
)
def test_wrong_options_are_one_message(words, message, tmp_path, capsys):
    assert main(["compare", *words, "--out", str(tmp_path), "--quiet"]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["compare", *TINY, "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err
