"""What a grade is, and what decided it."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Grade", "GradingStep"]


class GradingStep(StrEnum):
    """Which step of the cascade decided a grade."""

    EXACT = "exact"
    """Equal after normalisation."""
    CHOICE = "choice"
    """The chosen option."""
    NUMBER = "number"
    """Numbers within the tolerance."""
    VALUE = "value"
    """Equal times of day, equations, or lists, element by element."""
    LATEX = "latex"
    """Equal LaTeX expressions."""
    CANDIDATE = "candidate"
    """Equal to another accepted answer."""
    NO_CHOICE = "no_choice"
    """The answer names none of the options, or several."""
    NO_MATCH = "no_match"
    """Nothing matched."""
    NO_ANSWER = "no_answer"
    """There was no answer."""
    TOO_LONG = "too_long"
    """The answer was too long to be one."""
    JUDGE = "judge"
    """An LLM judge decided."""
    OWN = "own"
    """A grader of one's own decided."""


@dataclass(frozen=True)
class Grade:
    """A graded answer: a score in [0, 1] and what decided it."""

    score: float
    step: GradingStep
