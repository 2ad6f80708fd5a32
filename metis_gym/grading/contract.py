"""What is asked of every grader, and the shortest way to one of your own."""

from abc import ABC, abstractmethod
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.grading.cascade import MAX_ANSWER, Grade, GradingStep
from metis_gym.records import Task
from metis_gym.registries import lacking, path_of

__all__ = ["SimpleGrader", "checked_grade", "grader_problems"]


class SimpleGrader(ABC):
    """A grader that is one function: the score of an answer. Blank and overlong answers never reach it."""

    @abstractmethod
    def score(self, answer: str, task: Task) -> float:
        """The score of an answer, from 0 (wrong) to 1 (right).

        Raises:
            InfrastructureError: It cannot be graded now: the episode will be unscored.
        """

    def grade(self, answer: str | None, task: Task) -> Grade:
        """Grade the final answer of an episode; None when there was none."""
        if answer is None or not answer.strip():
            return Grade(0.0, GradingStep.NO_ANSWER)
        if len(answer) >= MAX_ANSWER:
            return Grade(0.0, GradingStep.TOO_LONG)
        score = float(self.score(answer, task))
        return Grade(score, GradingStep.OWN if score > 0 else GradingStep.NO_MATCH)


def grader_problems(made: Any) -> list[str]:
    """What a finished grader lacks."""
    return lacking(made, ("grade",))


def checked_grade(grade: Any, grader: object) -> Grade:
    """A grade that is one.

    Raises:
        ConfigError: The grader returned something else, or a score outside [0, 1].
    """
    if isinstance(grade, Grade) and 0.0 <= grade.score <= 1.0:
        return grade
    where = f"the grader {path_of(type(grader))} is not finished"
    if isinstance(grade, Grade):
        raise ConfigError(f"{where}: a score must be from 0 to 1, actually: {grade.score!r}")
    raise ConfigError(
        f"{where}: it returned {type(grade).__name__} {grade!r:.80} instead of a metis_gym.grading.Grade; "
        "a SimpleGrader returns a plain score from score()"
    )
