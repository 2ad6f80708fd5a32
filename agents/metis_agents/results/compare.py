"""`metis-gym results`: evaluations side by side."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metis_agents.chat.usage import Usage
from metis_agents.results.benchmarks import figures_table
from metis_agents.results.report import markdown_table
from metis_agents.results.store import REPORT, read_outcomes, read_settings
from metis_gym.errors import StorageError
from metis_gym.markdown import table
from metis_gym.metrics import Estimate, summarise
from metis_gym.records import Outcome
from metis_gym.terminal import say

__all__ = ["RunResults", "compare_runs", "read_run", "results_command"]


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """What an evaluation left behind; it may be running.

    Attributes:
        name: The folder's name, longer where two runs have the same.
        settings: What it was begun with.
        outcomes: One for each episode that is over.
        metrics: Of these.
        usage: What the model used; None where it is not known.
        cost: Of its tokens; None where it is not known.
        benchmarks: The figures of each benchmark that it played whole, as `report.json` has them.
    """

    name: str
    settings: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Estimate]
    usage: Usage | None
    cost: float | None
    benchmarks: tuple[Mapping[str, Any], ...] = ()


def read_run(folder: str | Path) -> RunResults:
    """Read the folder of an evaluation.

    Raises:
        StorageError: It holds none, or one without an episode, or it cannot be read.
    """
    outcomes = tuple(played.outcome for played in read_outcomes(folder))
    if not outcomes:
        raise StorageError(f"{folder} holds an evaluation without an episode")
    report = _report(Path(folder))
    try:
        usage = None if report.get("usage") is None else Usage.from_json(report["usage"])
    except ValueError as error:
        raise StorageError(f"cannot read {Path(folder) / REPORT}: {error}") from error
    return RunResults(
        name=str(folder),
        settings=read_settings(folder),
        outcomes=outcomes,
        metrics=summarise(outcomes),
        usage=usage,
        cost=report.get("cost"),
        benchmarks=tuple(report.get("benchmarks", ())),
    )


def compare_runs(runs: Sequence[RunResults], *, wide: bool = False) -> str:
    """Markdown tables of what the runs found, the figures of benchmarks included, and what they used.

    Below stand the settings that differ.

    Args:
        runs: At least one.
        wide: With the columns that do not fit 100 characters.
    """
    rows = {run.name: run.metrics for run in runs}
    used = [[run.name, str(len(run.outcomes)), *_used(run)] for run in runs]
    head = ["run", "episodes", "tool cost", "tokens read", "written", "cost"]
    parts = [markdown_table("run", rows, wide=wide), table(head, used, aligned=True)]
    parts[1:1] = filter(None, [figures_table({run.name: run.benchmarks for run in runs})])
    different = _different([run.settings for run in runs])
    parts += [f"These runs differ in: {', '.join(different)}."] if different else []
    return "\n\n".join(parts)


def results_command(argv: Sequence[str]) -> int:
    """Print evaluations side by side."""
    parser = argparse.ArgumentParser(prog="metis-gym results", description="Evaluations side by side.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a folder that `metis-gym eval --out RUN` wrote")
    parser.add_argument("--wide", action="store_true", help="show all columns, however wide the table")
    given = parser.parse_args(argv)
    say(compare_runs([read_run(folder) for folder in given.runs], wide=given.wide))
    return 0


def _report(folder: Path) -> dict[str, Any]:
    path = folder / REPORT
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    return found if isinstance(found, dict) else {}


def _used(run: RunResults) -> list[str]:
    tool_cost = run.metrics["tool_cost"]
    tokens = ["–", f"{sum(outcome.tokens for outcome in run.outcomes):,}"]
    if run.usage is not None:
        tokens = [f"{run.usage.prompt_tokens:,}", f"{run.usage.completion_tokens:,}"]
    cost = "–" if run.cost is None else f"{run.cost:.4g}"
    return ["–" if tool_cost.n == 0 else f"{tool_cost.mean:.2f}", *tokens, cost]


def _different(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """What does not have the same value in all runs, agents apart."""
    flat = [{"episodes": one.get("episodes"), "seed": one.get("seed"), "env": one.get("env_id")} for one in settings]
    for values, one in zip(flat, settings, strict=True):
        values |= {f"env.{name}": value for name, value in dict(one.get("env", {})).items()}
    names = sorted({name for values in flat for name in values})
    return [name for name in names if len({json.dumps(values.get(name)) for values in flat}) > 1]
