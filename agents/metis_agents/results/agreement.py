"""Rules and an LLM judge on the same answers: how often they agree, benchmark by benchmark, and where they do not."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

from metis_agents.episodes import Played
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.grading import GRADERS, CascadeGrader
from metis_gym.markdown import table
from metis_gym.records import Task
from metis_gym.tasksets import Taskset

__all__ = ["Agreement", "Verdicts", "check_judge", "judge_all"]

_MAX_FAILURES = 20
_MAX_NAMED = 100


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What both said about an answer.

    Attributes:
        task_id: The task.
        family: Its benchmark.
        answer: The final answer.
        by_rules: Is it right by the rules? None if they could not say.
        by_judge: And by the judge? None if it gave no verdict.
    """

    task_id: str
    family: str
    answer: str
    by_rules: bool | None
    by_judge: bool | None

    @property
    def differ(self) -> bool:
        """Did both say something, and not the same?"""
        return None not in (self.by_rules, self.by_judge) and self.by_rules is not self.by_judge


@dataclass(frozen=True)
class Agreement:
    """The verdicts on all answers.

    Attributes:
        judge: The judge.
        verdicts: One for each answer, in order.
    """

    judge: str
    verdicts: tuple[Verdicts, ...]

    def __str__(self) -> str:
        """The confusion table of rules and judge."""
        families = dict.fromkeys(one.family for one in self.verdicts)
        rows = [[family, *map(str, self.counts(family).values())] for family in families]
        head = ["benchmark", *(name.replace("_", " ") for name in self.counts())]
        names = [one.task_id.partition("@")[0] for one in self.verdicts if one.differ]
        more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
        differing = f"\n\nThey differ in: {', '.join(names[:_MAX_NAMED])}{more}." if names else ""
        return f"Rules and the judge {self.judge} on the same answers:\n\n{table(head, rows, aligned=True)}{differing}"

    def counts(self, family: str | None = None) -> dict[str, int]:
        """How many answers both find right, only one of them, neither; and on how many one of them said nothing."""
        seen = Counter((one.by_rules, one.by_judge) for one in self.verdicts if family is None or one.family == family)
        return {
            "both_right": seen[True, True],
            "right_by_rules_only": seen[True, False],
            "right_by_judge_only": seen[False, True],
            "both_wrong": seen[False, False],
            "no_verdict": sum(count for pair, count in seen.items() if None in pair),
        }

    def to_json(self) -> dict[str, Any]:
        """For `report.json`."""
        families = dict.fromkeys(one.family for one in self.verdicts)
        return {
            "judge": self.judge,
            "all": self.counts(),
            "benchmarks": {family: self.counts(family) for family in families},
            "differing": [dataclasses.asdict(one) for one in self.verdicts if one.differ],
        }


@runtime_checkable
class _Judge(Protocol):
    """A grader that can be asked about any answer, whatever rules say."""

    def verdict(self, answer: str | None, task: Task) -> bool:
        """Is the answer right?"""
        ...


def check_judge(grader: str) -> None:
    """See that a grader is a judge.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(GRADERS.make(grader), _Judge):
        raise ConfigError(
            f"judge-all compares rules with a judge, and the grader is {grader!r}: name one with "
            "--grader judge:model=NAME,base_url=URL"
        )


def judge_all(played: Sequence[Played], taskset: Taskset, grader: str, *, parallel: int = 1) -> Agreement:
    """Ask rules and a judge about every answer that was kept; no model plays.

    Args:
        played: The episodes.
        taskset: Where their tasks come from.
        grader: The judge.
        parallel: So many requests at a time.

    Raises:
        ConfigError: The grader is no judge.
        InfrastructureError: Twenty answers in a row got no verdict.
    """
    check_judge(grader)
    answered = [one for one in played if one.outcome.scored and one.step]
    slices = [answered[start::parallel] for start in range(parallel)]
    with ThreadPoolExecutor(parallel) as pool:
        found = list(chain.from_iterable(pool.map(lambda part: list(_asked(part, taskset, grader)), slices)))
    place = {one.outcome.task_id: number for number, one in enumerate(answered)}
    return Agreement(grader, tuple(sorted(found, key=lambda one: place[one.task_id])))


def _asked(played: Sequence[Played], taskset: Taskset, grader: str) -> Iterator[Verdicts]:
    judge, rules, failures = GRADERS.make(grader), CascadeGrader(), 0
    assert isinstance(judge, _Judge)
    for one in played:
        task = taskset.load(one.outcome.task_id)
        by_rules = by_judge = None
        try:
            by_rules = rules.grade(one.answer, task).score > 0
            by_judge, failures = judge.verdict(one.answer, task), 0
        except InfrastructureError as error:
            failures += 1
            if failures >= _MAX_FAILURES:
                raise InfrastructureError(f"the last {failures} answers got no verdict; the last: {error}") from error
        yield Verdicts(
            task_id=task.task_id,
            family=task.family,
            answer=one.answer or "",
            by_rules=by_rules,
            by_judge=by_judge,
        )
