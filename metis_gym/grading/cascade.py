"""Grading without a judge: what an answer says is compared with the gold answer by value, the strictest reading first.

`metis_gym.grading.values` says when two values are equal, `metis_gym.grading.phrases` what may stand around one, and
`metis_gym.grading.choice` which option an answer chooses. Where the possible answers of an open question are known, an
answer that is literally another one of them is wrong, however freely it could be read otherwise.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from metis_gym.grading.choice import LETTERS, chosen_letters, letters_of
from metis_gym.grading.colours import colours_said
from metis_gym.grading.labels import stated_labels
from metis_gym.grading.latex import looks_like_latex
from metis_gym.grading.markup import formulas
from metis_gym.grading.normalise import MAX_LENGTH, forms
from metis_gym.grading.phrases import listed_answers, readings, shared_words, without_words
from metis_gym.grading.steps import Grade, GradingStep
from metis_gym.grading.values import Comparison
from metis_gym.records import AnswerKind, Task

__all__ = ["MAX_ANSWER", "CascadeGrader", "Grade", "Grader", "GradingStep", "right_letters"]

MAX_ANSWER = 300
"""Answers of this many characters or more are rejected: they hide guesses. Where a right answer is itself about as
long, its length and what may stand around it are the limit."""
_AROUND = 100


class Grader(Protocol):
    """Turns an answer into a grade."""

    def grade(self, answer: str | None, task: Task) -> Grade:
        """Grade the final answer of an episode; None when there was none.

        Raises:
            InfrastructureError: It cannot be graded now (a judge is down): the episode will be unscored.
        """
        ...


class CascadeGrader:
    """Normalised text, choice, number, other values, LaTeX, candidates; the first that matches decides."""

    def grade(self, answer: str | None, task: Task) -> Grade:
        """Grade an answer.

        Raises:
            MissingDependencyError: Both sides are LaTeX, and `math-verify` is not installed.
            InfrastructureError: Both sides are LaTeX, and the machine has no time to compare them.
        """
        if answer is None or not answer.strip():
            return Grade(0.0, GradingStep.NO_ANSWER)
        if len(answer) >= _limit(task):
            return Grade(0.0, GradingStep.TOO_LONG)
        step = _choice_step(answer, task) if task.options else _open_step(answer, task)
        return Grade(float(step not in (GradingStep.NO_MATCH, GradingStep.NO_CHOICE)), step)


def _limit(task: Task) -> int:
    longest = max(map(len, (task.gold.value, *task.gold.candidates, *task.options)))
    return max(MAX_ANSWER, min(longest + _AROUND, MAX_LENGTH) if longest + _AROUND > MAX_ANSWER else 0)


def _choice_step(answer: str, task: Task) -> GradingStep:
    chosen = chosen_letters(answer, task.options, task.question)
    if not chosen:
        return GradingStep.NO_CHOICE
    return GradingStep.CHOICE if chosen <= right_letters(task) else GradingStep.NO_MATCH


def right_letters(task: Task) -> frozenset[str]:
    """The letters of the right option and of those that read the same. Data sets give a letter or the option's text."""
    value = task.gold.value.strip()
    is_letter = len(value) == 1 and value in LETTERS[: len(task.options)]
    by_text = letters_of(value, task.options)
    if by_text and not (is_letter and task.gold.kind is AnswerKind.CHOICE):
        return by_text
    return (
        letters_of(task.options[LETTERS.index(value)], task.options)
        if is_letter
        else chosen_letters(value, task.options)
    )


def _open_step(answer: str, task: Task) -> GradingStep:
    gold = task.gold
    if gold.kind is AnswerKind.LETTERS:
        is_right = stated_labels(answer) == stated_labels(gold.value)
        return GradingStep.CHOICE if is_right else GradingStep.NO_MATCH
    comparison = Comparison(gold.kind, gold.tolerance, gold.decimals, gold.absolute)
    right = frozenset[str]().union(*(forms(text, is_gold=True) for text in (gold.value, *gold.candidates)))
    wrong = frozenset[str]().union(*(forms(text, is_gold=True) for text in _alternatives(task))) - right
    for reading in _readings(answer, task.question):
        if wrong and forms(reading) & wrong:
            return GradingStep.NO_MATCH
        step = comparison.step(reading, gold.value)
        if step is not None:
            return step
        if any(comparison.step(reading, other) is not None for other in gold.candidates):
            return GradingStep.CANDIDATE
    if any(forms(colour) & right for colour in colours_said(answer, task.question, _alternatives(task))):
        return GradingStep.EXACT
    return _step_without_shared_words(answer, task) if wrong else GradingStep.NO_MATCH


def _alternatives(task: Task) -> tuple[str, ...]:
    """The possible answers, as far as they are known."""
    listed = listed_answers(task.question)
    return task.alternatives or (listed if task.gold.value in listed else ())


def _readings(answer: str, question: str) -> Iterator[str]:
    yield answer
    if looks_like_latex(answer) or "$" in answer:
        yield from formulas(answer)
    yield from readings(answer, question)


def _step_without_shared_words(answer: str, task: Task) -> GradingStep:
    """Whether the answer says all that tells the gold answer from the other possible ones."""
    shared = shared_words(_alternatives(task))
    if not shared or re.search(r"\d", task.gold.value):
        return GradingStep.NO_MATCH
    wanted = forms(without_words(task.gold.value, shared), is_gold=True)
    said = frozenset[str]().union(*(forms(without_words(text, shared)) for text in readings(answer, task.question)))
    return GradingStep.EXACT if said & wanted else GradingStep.NO_MATCH
