"""The stage `answer`: the trajectory's final answer is right, where the source says what is right.

Reason: `wrong_answer`. By default only trajectories of built-in tasks are looked at, whose grading is exact: answers of
other sources are often sentences, which rules misjudge. It is no filter of the paper's.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from metis_agents.curate.records import Sample, Verdict, dropped, kept, undecided
from metis_agents.curate.stages.stage import SampleStage
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.grading import GRADERS
from metis_gym.records import AnswerKind, GoldAnswer, Task

__all__ = ["AnswerStage", "graded_task"]

WHICH = ("built-in", "all", "none")


@dataclass(frozen=True)
class AnswerStage(SampleStage):
    """Drops trajectories that end in a wrong answer.

    Attributes:
        which: Which trajectories: "built-in", "all" whose right answer is known, or "none".
        grader: What compares answers.
    """

    which: str = "built-in"
    grader: str = "cascade"

    name: ClassVar[str] = "answer"
    about: ClassVar[str] = "the final answer is right"

    def __post_init__(self) -> None:
        if self.which not in WHICH:
            raise ConfigError(f"--check-answers must be one of {', '.join(WHICH)}, actually: {self.which!r}")

    @property
    def settings(self) -> dict[str, Any]:
        """Who is looked at, and by whom."""
        return {"which": self.which, "grader": self.grader}

    def decide(self, sample: Sample) -> Verdict:
        """Grade the final answer."""
        if self.which == "none" or not sample.gold or (self.which == "built-in" and not sample.rebuild):
            return kept()
        try:
            grade = GRADERS.make(self.grader).grade(sample.answer, graded_task(sample))
        except InfrastructureError as error:
            return undecided("grader_failed", str(error))
        if grade.score > 0:
            return kept()
        return dropped("wrong_answer", f"answered {sample.answer!r:.200}, right is {sample.gold!r:.200}")


def graded_task(sample: Sample) -> Task:
    """A task without images, to grade an answer to the sample's question."""
    letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(sample.options)])
    kind = AnswerKind.CHOICE if sample.options else AnswerKind.AUTO
    return Task(
        task_id=sample.id,
        family=sample.source,
        question=sample.question,
        images=(),
        gold=GoldAnswer(value=sample.gold, kind=kind, candidates=sample.candidates),
        options=sample.options,
        alternatives=letters,
    )
