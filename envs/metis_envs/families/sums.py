"""`sums`: calculations on a worksheet, a note or a board, of which one is asked for."""

import zlib
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Brief
from metis_envs.families.worksheets import OPEN_ANSWERS, ROWS, WorksheetFamily, WorksheetTask, list_content

__all__ = ["Sums", "expression_split"]

_TEST_SHARE = 5
_LETTERS = "abcdefgh"
_TITLES = ("Exercises", "Mental maths", "Homework", "Practice", "Page {page}")

_WORDINGS = (
    "What is the result of calculation {letter} on {sheet}?",
    "What does calculation {letter} on {sheet} come to?",
    "Work out calculation {letter} on {sheet}. What do you get?",
    "On {sheet}, what is the value of calculation {letter}?",
    "Which number belongs behind calculation {letter} on {sheet}?",
    "Solve calculation {letter} on {sheet}: what is its result?",
    "What comes out of calculation {letter} on {sheet}?",
)

_Operation = Callable[[np.random.Generator], tuple[str, int]]


def _plus(rng: np.random.Generator) -> tuple[str, int]:
    a, b = (int(n) for n in rng.integers(11, 90, size=2))
    return f"{a} + {b}", a + b


def _minus(rng: np.random.Generator) -> tuple[str, int]:
    a, b = sorted((int(n) for n in rng.integers(11, 99, size=2)), reverse=True)
    return f"{a} − {b}", a - b


def _times(rng: np.random.Generator) -> tuple[str, int]:
    a, b = int(rng.integers(3, 20)), int(rng.integers(3, 13))
    return f"{a} × {b}", a * b


def _divided(rng: np.random.Generator) -> tuple[str, int]:
    a, b = int(rng.integers(3, 26)), int(rng.integers(3, 13))
    return f"{a * b} ÷ {b}", a


def _three_terms(rng: np.random.Generator) -> tuple[str, int]:
    a, b, c = (int(n) for n in rng.integers(3, 40, size=3))
    return f"{a} + {b} + {c}", a + b + c


_OPERATIONS: tuple[_Operation, ...] = (_plus, _minus, _times, _divided, _three_terms)


def expression_split(expression: str) -> str:
    """The split that an expression belongs to: a fifth of all are for "test"."""
    return "test" if zlib.crc32(expression.encode()) % _TEST_SHARE == 0 else "train"


class Sums(WorksheetFamily):
    """Calculations of one kind, one under the other; the answer decides which stands in which row."""

    name: ClassVar[str] = "sums"

    def draw_task(self, brief: Brief) -> WorksheetTask:
        """Draw as many expressions of one kind as there are answers, all with different results."""
        results = self._expressions(brief, brief.choices or OPEN_ANSWERS)
        rows = brief.choices or ROWS
        asked = int(brief.rng.integers(rows))
        title = _TITLES[int(brief.rng.integers(len(_TITLES)))].format(page=int(brief.rng.integers(3, 90)))
        values = [f"{expression} =" for expression in results.values()]
        labels = [f"{letter})" for letter in _LETTERS[:rows]]
        return WorksheetTask(
            wordings=_WORDINGS,
            fields=(("letter", _LETTERS[asked]),),
            answers=tuple(str(result) for result in results),
            content=list_content(title, labels, values, asked, value_x=2.2),
            explanation="read the calculation and work it out",
        )

    def _expressions(self, brief: Brief, count: int) -> dict[int, str]:
        """Result → expression."""
        operation = _OPERATIONS[int(brief.rng.integers(len(_OPERATIONS)))]
        found: dict[int, str] = {}
        while len(found) < count:  # ends: every operation has at least 20 results in each split
            expression, result = operation(brief.rng)
            if result not in found and expression_split(expression) == brief.split:
                found[result] = expression
        return found
