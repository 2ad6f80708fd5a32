"""Scripted agents and evaluation."""

import json

import numpy as np
import pytest

from metis_agents.agents import make_agent
from metis_agents.evaluate import compare_table, evaluate, needs_table
from metis_agents.scripted import (
    SCRIPTED,
    AlwaysToolAgent,
    NeverToolAgent,
    OracleAgent,
    RandomAgent,
)
from metis_gym.cli import main
from metis_gym.errors import ConfigError, UnknownNameError
from metis_gym.records import Necessity

NUMERIC = "MetisVQA-Discrete-v0"


def play(agent, episodes=60, **kwargs):
    return evaluate(agent, kwargs.pop("env_id", NUMERIC), episodes, seed=0, progress=False, **kwargs)


def test_the_oracle_is_right_with_the_fewest_calls():
    metrics = play(OracleAgent()).metrics
    assert metrics["accuracy"].mean == 1.0
    assert metrics["redundant_rate"].mean == 0.0
    assert metrics["tool_recall"].mean == 1.0


def test_always_tool_calls_once_everywhere():
    report = play(AlwaysToolAgent())
    assert {outcome.tool_calls for outcome in report.outcomes} == {1}
    assert report.metrics["redundant_rate"].mean == 1.0
    assert report.metrics["accuracy"].mean == 1.0


@pytest.mark.parametrize(
    ("choices", "chance"),
    [pytest.param(2, 1 / 2, marks=pytest.mark.slow), (4, 1 / 4), pytest.param(8, 1 / 8, marks=pytest.mark.slow)],
)
def test_never_tool_is_at_chance_where_a_tool_is_required(choices, chance):
    report = play(NeverToolAgent(), 400, choices=choices)
    assert report.metrics["accuracy_none"].mean == 1.0
    assert report.metrics["tool_calls"].mean == 0.0
    guesses = report.metrics["accuracy_required"]
    assert abs(guesses.mean - chance) < 4 * np.sqrt(chance * (1 - chance) / guesses.n)


@pytest.mark.parametrize(
    "taskset", ["patches", *(pytest.param(name, marks=pytest.mark.slow) for name in ("charts", "spotting"))]
)
def test_never_tool_is_at_chance_on_open_questions_too(taskset):
    kwargs = {"taskset": taskset, "answers": "open", "required_share": 1.0, "max_source": 1792}
    report = play(NeverToolAgent(), 40, env_id="MetisVQA-v0", **kwargs)
    # Open questions have 4 to 90 possible answers: at most a quarter right, plus four standard errors.
    assert report.metrics["accuracy"].mean <= 0.25 + 4 * np.sqrt(0.25 * 0.75 / 40)


def test_random_is_bad_at_everything():
    metrics = play(RandomAgent(), 200).metrics
    assert metrics["accuracy"].mean < 0.45
    assert 0.5 < metrics["redundant_rate"].mean < 0.95  # at least one of two calls, each with probability a half: .75


def test_the_text_view_agrees_with_the_numeric_view(sandbox_kwargs):
    kwargs = {"taskset": "patches", "answers": "choice", "max_source": 1792, **sandbox_kwargs}
    report = play(OracleAgent(), 10, env_id="MetisVQA-v0", **kwargs)
    assert report.metrics["accuracy"].mean == 1.0
    assert report.metrics["tool_errors"].mean == 0.0


def test_reports_depend_on_the_seed_and_not_on_the_workers():
    alone, together = play(RandomAgent(), 20), play(RandomAgent(), 20, workers=2)
    assert alone.outcomes == together.outcomes
    assert str(alone) == str(together)
    other = evaluate(RandomAgent(), NUMERIC, 20, seed=1, progress=False)
    assert other.outcomes != alone.outcomes


def test_the_test_split_is_the_default():
    assert all("/test/" in outcome.task_id for outcome in play(OracleAgent(), 3).outcomes)
    assert all("/train/" in outcome.task_id for outcome in play(OracleAgent(), 3, split="train").outcomes)


def test_tables_have_a_row_for_each_family_and_agent():
    reports = [play(agent(), 8) for agent in SCRIPTED.values()]
    lines = str(reports[0]).splitlines()
    assert lines[0].startswith("oracle on MetisVQA-Discrete-v0, 8 episodes")
    assert [line.split("|")[1].strip() for line in lines[2:6]] == ["family", "-" * 9, "patches", "all"]
    assert len({len(line) for line in lines[2:6]}) == 1, "columns are aligned"
    rows = [line for line in compare_table(reports).splitlines()[2:] if line.startswith("|")]
    names = [line.split("|")[1].strip() for line in rows]
    assert names == list(SCRIPTED)


def test_only_tasks_whose_necessity_is_known_count_as_redundant():
    assert {outcome.necessity for outcome in play(OracleAgent(), 30).outcomes} == {Necessity.NONE, Necessity.REQUIRED}


@pytest.mark.parametrize(("episodes", "workers"), [(0, 1), (1, 0)])
def test_wrong_arguments_raise(episodes, workers):
    with pytest.raises(ConfigError, match="at least 1"):
        evaluate(OracleAgent(), NUMERIC, episodes, seed=0, workers=workers)


def test_the_table_of_needs_names_the_tools_that_were_called():
    reports = [play(agent(), 20) for agent in (OracleAgent, NeverToolAgent)]
    family, needy, *_, tools = (cell.strip() for cell in needs_table(reports).splitlines()[2].strip("|").split("|"))
    assert family == "patches"
    assert needy == f"{round(20 * reports[0].metrics['tool_calls'].mean)} of 20"
    assert tools == "python"


def test_unknown_agents_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'oracle'"):
        make_agent("oracel")


def test_the_command(capsys):
    arguments = [
        "--agent",
        "oracle",
        "--taskset",
        "signs:max_source=1792,required_share=0",
        "--episodes",
        "6",
        "--workers",
        "1",
        "--quiet",
    ]
    assert main(["eval", *arguments]) == 0
    out = capsys.readouterr().out
    assert "oracle on MetisVQA-v0, 6 episodes" in out
    assert "| signs " in out
    assert main(["eval", "--agent", "nobody", "--quiet"]) == 2
    assert "unknown agent 'nobody'" in capsys.readouterr().err


def test_the_command_reports_what_is_lost_to_the_best_policy(tmp_path, capsys):
    arguments = ["eval", "--env", NUMERIC, "--episodes", "30", "--workers", "1", "--quiet", "--out", str(tmp_path)]
    assert main([*arguments, "--agent", "always-tool", "oracle", "--lam", "0.25", "--tool-noise", "0"]) == 0
    assert "regret" in capsys.readouterr().out
    always, oracle = (
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("1-always-tool", "2-oracle")
    )
    none = 30 - round(30 * oracle["metrics"]["tool_calls"]["mean"])
    assert always["metrics"]["regret"]["mean"] == pytest.approx(0.25 * none / 30)  # a call too many on each of these
    assert always["metrics"]["excess_calls"]["mean"] == pytest.approx(none / 30)
    assert oracle["metrics"]["regret"]["mean"] == 0.0
    assert oracle["metrics"]["accuracy_partial"] is None, "no episode speaks for it"
    (free,) = [row["regret"]["mean"] for row in always["regret_curve"] if row["lam"] == 0.0]
    assert free == 0.0
    frontier = oracle["frontier"]
    assert [frontier["optimal"][0][name] for name in ("calls", "cost", "accuracy")] == [
        frontier["agent"][name] for name in ("calls", "cost", "accuracy")
    ]
    assert frontier["optimal"][-1]["calls"] == 0.0


def test_the_command_takes_a_saved_policy(tmp_path, capsys):
    from metis_agents.sb3 import HDPO

    HDPO("MultiInputPolicy", NUMERIC, tasks=1, group_size=2, seed=0, device="cpu").save(tmp_path / "mine.zip")
    arguments = ["--taskset", "patches", "--episodes", "5", "--quiet"]
    assert main(["eval", "--agent", str(tmp_path / "mine.zip"), *arguments]) == 0
    assert "mine on MetisVQA-Discrete-v0, 5 episodes" in capsys.readouterr().out
    assert main(["eval", "--agent", str(tmp_path / "yours.zip"), *arguments]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_progress_bar_is_shown_on_stderr(capfd):
    evaluate(OracleAgent(), NUMERIC, 4, seed=0)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "oracle on MetisVQA-Discrete-v0" in captured.err
