"""`sums`: arithmetic written on a board in the image. Legible in the view: no tool is needed."""

import zlib
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.boards import BoardStyle, draw_board, fitting_board
from metis_gym.records import AnswerKind, ImageArray, Necessity

__all__ = ["Sums", "expression_split"]

_OPEN_ANSWERS = 12
_TEST_SHARE = 5

_STYLES = (
    BoardStyle(name="chalkboard", fill=(38, 66, 54), ink=(240, 240, 232), border=(122, 84, 48), face="sans-bold"),
    BoardStyle(name="whiteboard", fill=(248, 249, 250), ink=(24, 42, 120), border=(150, 155, 160), rounded=0.2),
    BoardStyle(name="note", fill=(252, 228, 112), ink=(40, 34, 20), face="sans"),
    BoardStyle(
        name="till", fill=(16, 20, 18), ink=(110, 245, 140), border=(70, 74, 78), face="mono-bold", rounded=0.25
    ),
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


class Sums(Family):
    """A sum on a chalkboard, a whiteboard, a note or a till."""

    name: ClassVar[str] = "sums"
    ability: ClassVar[str] = "maths"
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE,)

    def plan(self, brief: Brief) -> Blueprint:
        """Draw as many expressions of one kind as there are answers, all with different results."""
        rng, canvas = brief.rng, brief.canvas
        results = self._expressions(brief, brief.choices or _OPEN_ANSWERS)
        expressions = tuple(results.values())
        background = choose_background(rng, canvas, brief.split)
        style = _STYLES[int(rng.integers(len(_STYLES)))]
        board = fitting_board(rng, canvas, style, [f"{expression} = ?" for expression in expressions])

        def draw_detail(scene: ImageArray, index: int) -> None:
            draw_board(scene, board, f"{expressions[index]} = ?")

        return Blueprint(
            question="What is the result of the calculation in the picture?",
            answers=tuple(str(result) for result in results),
            paint=background.paint,
            draw_detail=draw_detail,
            region=board.box,
            notes=background.notes,
            explanation="Read the calculation in the view and work it out.",
            kind=AnswerKind.NUMBER,
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
