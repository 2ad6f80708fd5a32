"""`sums`: calculations on a worksheet, a note or a board, of which one is asked for."""

import zlib
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Brief
from metis_envs.families.worksheets import OPEN_ANSWERS, PITCH, ROWS, WorksheetFamily, WorksheetTask, turned
from metis_envs.scenes.prints import Print
from metis_envs.scenes.worksheets import Content

__all__ = ["Sums", "expression_split"]

_TEST_SHARE = 5
_LETTERS = "abcdefgh"
_FIRST, _DIGIT, _BETWEEN = 2.1, 0.7, 1.5
"""Where the first number begins, width of a digit, room for a sign, in em."""
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

_Numbers = tuple[int, ...]
_Operation = Callable[[np.random.Generator], tuple[_Numbers, int]]


def _plus(rng: np.random.Generator) -> tuple[_Numbers, int]:
    a, b = (int(n) for n in rng.integers(11, 90, size=2))
    return (a, b), a + b


def _minus(rng: np.random.Generator) -> tuple[_Numbers, int]:
    a, b = sorted((int(n) for n in rng.integers(11, 99, size=2)), reverse=True)
    return (a, b), a - b


def _times(rng: np.random.Generator) -> tuple[_Numbers, int]:
    a, b = int(rng.integers(11, 30)), int(rng.integers(3, 10))
    return (a, b), a * b


def _divided(rng: np.random.Generator) -> tuple[_Numbers, int]:
    b = int(rng.integers(3, 10))
    a = int(rng.integers(-(-100 // b), 60))
    return (a * b, b), a


def _three_terms(rng: np.random.Generator) -> tuple[_Numbers, int]:
    a, b, c = (int(n) for n in rng.integers(11, 40, size=3))
    return (a, b, c), a + b + c


_OPERATIONS: tuple[tuple[str, tuple[int, ...], _Operation], ...] = (
    ("+", (2, 2), _plus),
    ("−", (2, 2), _minus),
    ("×", (2, 1), _times),
    ("÷", (3, 1), _divided),
    ("+", (2, 2, 2), _three_terms),
)
"""Sign, digits of each number, and what draws numbers and result. All numbers of a place have the same digits."""


def expression_split(expression: str) -> str:
    """The split that an expression belongs to: a fifth of all are for "test"."""
    return "test" if zlib.crc32(expression.encode()) % _TEST_SHARE == 0 else "train"


class Sums(WorksheetFamily):
    """Calculations of one kind, one under the other; the answer decides which stands in which row."""

    name: ClassVar[str] = "sums"
    generation: ClassVar[int] = 3

    def draw_task(self, brief: Brief) -> WorksheetTask:
        """Draw as many calculations of one kind as there are answers, all with different results."""
        sign, digits, operation = _OPERATIONS[int(brief.rng.integers(len(_OPERATIONS)))]
        results = _calculations(brief, sign, operation, brief.choices or OPEN_ANSWERS)
        rows = brief.choices or ROWS
        asked = int(brief.rng.integers(rows))
        title = _TITLES[int(brief.rng.integers(len(_TITLES)))].format(page=int(brief.rng.integers(3, 90)))
        return WorksheetTask(
            wordings=_WORDINGS,
            fields=(("letter", _LETTERS[asked]),),
            answers=tuple(str(result) for result in results),
            content=_content(title, sign, digits, list(results.values()), asked, rows),
            explanation="read the calculation and work it out",
        )


def _calculations(brief: Brief, sign: str, operation: _Operation, count: int) -> dict[int, _Numbers]:
    """Result → numbers."""
    found: dict[int, _Numbers] = {}
    while len(found) < count:  # ends: every operation has at least 20 results in each split
        numbers, result = operation(brief.rng)
        if result not in found and expression_split(f" {sign} ".join(map(str, numbers))) == brief.split:
            found[result] = numbers
    return found


def _content(
    title: str, sign: str, digits: tuple[int, ...], calculations: list[_Numbers], asked: int, rows: int
) -> Content:
    """Rows with letters, numbers in columns, and signs between them."""
    edges = [_FIRST]
    for count in digits:
        edges.append(edges[-1] + _DIGIT * count + _BETWEEN)
    fixed, middles = [], [(row + 0.5) * PITCH + 0.35 for row in range(rows)]
    for row, y in enumerate(middles):
        fixed.append(Print(0.6, y, f"{_LETTERS[row]})"))
        signs = [*(sign for _ in digits[1:]), "="]
        fixed += [
            Print(edge - _BETWEEN / 2, y, one, "mm", "sans-bold") for edge, one in zip(edges[1:], signs, strict=True)
        ]
    varying = tuple(
        tuple(
            Print(edge - _BETWEEN - 0.1, y, str(number), "rm", "sans")
            for numbers, y in zip(turned(calculations, index, asked, rows), middles, strict=True)
            for number, edge in zip(numbers, edges[1:], strict=True)
        )
        for index in range(len(calculations))
    )
    height = PITCH * rows + 0.7
    return Content(width=max(9.0, edges[-1] + 0.4), height=height, title=title, fixed=tuple(fixed), varying=varying)
