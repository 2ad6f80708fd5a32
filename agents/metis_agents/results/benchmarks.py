"""The figures of benchmarks, from played episodes or from kept answers."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from metis_agents.episodes import Played
from metis_gym.errors import InfrastructureError
from metis_gym.grading import Grader, GradingStep, checked_grade
from metis_gym.markdown import table
from metis_gym.scores import Score
from metis_gym.tasksets import Taskset, WeightedTaskset

__all__ = ["PUBLISHED", "benchmark_json", "figures_table", "regraded", "score_benchmarks"]

_RULES = ("cascade", "rules")
_JUDGED = (GradingStep.JUDGE.value, GradingStep.OWN.value)
_SETS = (
    *("vstar", "hrbench_4k", "hrbench_8k", "treebench", "mme_realworld", "seed2plus", "charxiv_dq", "charxiv_rq"),
    *("mathvista", "mathverse", "wemath", "dynamath", "logicvista"),
)
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    system: {name: value for name, value in zip(_SETS, row, strict=True) if value is not None}
    for system, row in {
        "Qwen3-VL-8B": (86.4, 78.9, 74.6, 40.7, 61.9, 71.0, 83.0, 46.3, 76.3, 61.3, 38.8, 65.5, 54.9),
        "Metis": (91.1, 83.5, 82.0, 45.2, 70.3, 72.5, 83.4, 54.1, 78.0, 65.9, 65.2, 69.2, 56.2),
        "DeepEyesV2": (81.8, 77.9, 73.8, 42.5, 64.9, 70.5, 78.6, 48.9, 71.9, 52.7, 38.1, 57.2, 48.7),
        "Skywork-R1V4": (88.0, 82.8, 79.8, None, 71.4, *[None] * 8),
        "LLaVA-OneVision": (75.4, 63.0, 59.8, 37.3, 57.4, 65.4, None, None, 58.6, 19.3, 20.9, None, 33.3),
    }.items()
}
"""System → benchmark → per cent, as printed in the README of the reference implementation of arXiv 2604.08545. It does
not say which We-Math score, which DynaMath figure, or which judge."""


@runtime_checkable
class _Scored(Protocol):
    """A taskset that has figures of its own."""

    def score(
        self,
        scores: Mapping[str, float | None],
        no_choice: int = 0,
        *,
        measures: Mapping[str, Mapping[str, float]] | None = None,
        is_judged: bool = False,
    ) -> Score:
        """The figures of graded tasks."""
        ...


def score_benchmarks(taskset: Taskset, played: Sequence[Played], grader: str = _RULES[0]) -> tuple[Score, ...]:
    """The figures of each benchmark in a taskset; none where it holds none.

    Args:
        taskset: Where the tasks come from.
        played: The episodes.
        grader: What compared the answers.
    """
    found = []
    for part in taskset.parts if isinstance(taskset, WeightedTaskset) else (taskset,):
        if isinstance(part, _Scored):
            own = [one for one in played if part.knows(one.outcome.task_id)]
            score = part.score(
                {one.outcome.task_id: _score(one) for one in own},
                no_choice=sum(one.step == GradingStep.NO_CHOICE.value for one in own if one.outcome.scored),
                measures={one.outcome.task_id: one.measures for one in own if one.measures},
                is_judged=any(one.step in _JUDGED for one in own),
            )
            graded_by = "rules" if grader in _RULES else grader
            found.append(dataclasses.replace(score, played=_counts(own), graded_by=graded_by))
    return tuple(found)


def _counts(played: Sequence[Played]) -> dict[str, float]:
    """How the episodes went, whatever their answers."""
    scored = [one.outcome for one in played if one.outcome.scored]
    count = max(1, len(scored))
    return {
        "truncated": sum(outcome.truncated for outcome in scored),
        "unscored": len(played) - len(scored),
        "tool_rate": sum(outcome.tool_calls > 0 for outcome in scored) / count,
        "tool_calls": sum(outcome.tool_calls for outcome in scored) / count,
        "tool_cost": sum(outcome.tool_cost for outcome in scored) / count,
    }


def regraded(taskset: Taskset, played: Iterable[Played], grader: Grader) -> list[Played]:
    """The episodes with their kept answers graded again; no model is asked, and no tool runs."""
    found = []
    for one in played:
        if not one.step:  # no answer was kept: it stays as it was
            found.append(one)
            continue
        try:
            grade = checked_grade(grader.grade(one.answer, taskset.load(one.outcome.task_id)), grader)
        except InfrastructureError as error:
            outcome = dataclasses.replace(one.outcome, scored=False)
            found.append(dataclasses.replace(one, outcome=outcome, failure=str(error) or type(error).__name__))
            continue
        outcome = dataclasses.replace(one.outcome, answer_score=grade.score, true_answer_score=grade.score, scored=True)
        found.append(dataclasses.replace(one, outcome=outcome, step=grade.step.value, failure=""))
    return found


def figures_table(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, published: bool = False) -> str:
    """The primary figures of each benchmark in per cent, a column for each run; empty where no run played one.

    Args:
        runs: Name of a run → what `benchmark_json` says of its benchmarks.
        published: Put those that were published beside them; these are never called reproduced.
    """
    names = list(dict.fromkeys(score["name"] for scores in runs.values() for score in scores))
    theirs = PUBLISHED if published else {}
    rows = []
    for name in names:
        ours = [next((_cell(score) for score in scores if score["name"] == name), "–") for scores in runs.values()]
        printed = [f"{row[name]:.1f}" if name in row else "–" for row in theirs.values()]
        figures = next(
            " / ".join(score["primary"]) for scores in runs.values() for score in scores if score["name"] == name
        )
        rows.append([name, figures, *ours, *printed])
    head = ["benchmark", "figure", *runs, *(f"{system} (published)" for system in theirs)]
    return table(head, rows, aligned=True) if rows else ""


def _cell(score: Mapping[str, Any]) -> str:
    figures = [score["figures"].get(name) for name in score["primary"]]
    means = " / ".join("–" if figure is None else f"{100 * figure['mean']:.1f}" for figure in figures)
    if score.get("rows") not in (None, score["total"]):
        return f"{means} ({score['total']:,} of {score['rows']:,} rows)"
    return f"{means} (partial)" if score["scored"] < score["total"] else means


def benchmark_json(score: Score) -> dict[str, Any]:
    """For `report.json`."""
    figures = {name: dataclasses.asdict(figure) for name, figure in score.figures.items() if figure.n}
    return {
        "name": score.name,
        "figures": figures,
        "primary": list(score.primary),
        "bounds": {name: list(bounds) for name, bounds in score.bounds.items()},
        "scored": score.scored,
        "total": score.total,
        "partial": score.is_partial,
        "no_choice": score.no_choice,
        "graded_by": score.graded_by,
        **score.played,
        **score.settings,
        "notes": list(score.notes),
    }


def _score(played: Played) -> float | None:
    outcome = played.outcome
    if not outcome.scored:
        return None
    return outcome.answer_score if outcome.true_answer_score is None else outcome.true_answer_score
