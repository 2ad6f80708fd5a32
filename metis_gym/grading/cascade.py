"""Grading without a judge: a cascade of comparisons, from the strictest on, each for its own kind of answer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from metis_gym.grading.choice import LETTERS, chosen_letter
from metis_gym.grading.latex import looks_like_latex, same_latex
from metis_gym.grading.normalise import normalise
from metis_gym.grading.number import read_quantity, same_quantity
from metis_gym.records import AnswerKind, GoldAnswer, Task

__all__ = ["LONGEST_ANSWER", "CascadeGrader", "Grade", "Grader", "GradingStep"]

LONGEST_ANSWER = 300
"""Answers of this many characters or more are rejected: they hide guesses."""


class GradingStep(StrEnum):
    """What decided a grade."""

    EXACT = "exact"
    """Equal after normalisation."""
    CHOICE = "choice"
    """The chosen option."""
    NUMBER = "number"
    """Numbers within the tolerance."""
    LATEX = "latex"
    """Equal LaTeX expressions."""
    CANDIDATE = "candidate"
    """Equal to another accepted answer."""
    NO_MATCH = "no_match"
    """Nothing matched."""
    NO_ANSWER = "no_answer"
    """There was no answer."""
    TOO_LONG = "too_long"
    """The answer was too long to be one."""
    OWN = "own"
    """A grader of one's own decided."""


@dataclass(frozen=True)
class Grade:
    """A graded answer: a score in [0, 1] and what decided it."""

    score: float
    step: GradingStep


class Grader(Protocol):
    """Turns an answer into a grade."""

    def grade(self, answer: str | None, task: Task) -> Grade:
        """Grade the final answer of an episode; None when there was none.

        Raises:
            InfrastructureError: It cannot be graded now (a judge is down): the episode will be unscored.
        """
        ...


class CascadeGrader:
    """Normalised exact match, choice, number, LaTeX, candidates; the first that matches decides."""

    def grade(self, answer: str | None, task: Task) -> Grade:
        """Grade an answer.

        Raises:
            MissingDependencyError: Both sides are LaTeX, and `math-verify` is not installed.
        """
        if answer is None or not answer.strip():
            return Grade(0.0, GradingStep.NO_ANSWER)
        if len(answer) >= LONGEST_ANSWER:
            return Grade(0.0, GradingStep.TOO_LONG)
        if task.options:
            return _grade_choice(answer, task)
        step = _matching_step(answer, task.gold.value, task.gold)
        if step is GradingStep.NO_MATCH and any(
            _matching_step(answer, other, task.gold) is not GradingStep.NO_MATCH for other in task.gold.candidates
        ):
            step = GradingStep.CANDIDATE
        return Grade(float(step is not GradingStep.NO_MATCH), step)


def _grade_choice(answer: str, task: Task) -> Grade:
    chosen = chosen_letter(answer, task.options)
    return Grade(1.0, GradingStep.CHOICE) if chosen == _gold_letter(task) else Grade(0.0, GradingStep.NO_MATCH)


def _gold_letter(task: Task) -> str | None:
    """The letter of the right option; data sets give either the letter or the option's text."""
    value = task.gold.value.strip()
    if len(value) == 1 and value in LETTERS[: len(task.options)]:
        return value
    return chosen_letter(value, task.options)


def _matching_step(answer: str, gold_value: str, gold: GoldAnswer) -> GradingStep:
    if normalise(answer) == normalise(gold_value):
        return GradingStep.EXACT
    if gold.kind in (AnswerKind.NUMBER, AnswerKind.AUTO):
        quantities = read_quantity(answer), read_quantity(gold_value)
        if quantities[0] and quantities[1] and same_quantity(quantities[0], quantities[1], gold.tolerance):
            return GradingStep.NUMBER
    both_latex = looks_like_latex(answer) and looks_like_latex(gold_value)
    if gold.kind is not AnswerKind.TEXT and both_latex and same_latex(answer, gold_value):
        return GradingStep.LATEX
    return GradingStep.NO_MATCH
