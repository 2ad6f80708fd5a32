"""`geometry`: a figure with its measures on a card: area, perimeter, hypotenuse, third angle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.cards import OPEN_ANSWERS, CardFamily, CardTask
from metis_envs.families.family import Brief
from metis_envs.families.sums import expression_split
from metis_envs.scenes.cards import Content, Pen
from metis_gym.records import AnswerKind

__all__ = ["Geometry"]

_WIDTH, _HEIGHT = 12.6, 8.0
_TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29), (9, 40, 41))
_CORNERS = {
    "rectangle": [(2.2, 1.4), (9.2, 1.4), (9.2, 5.8), (2.2, 5.8), (2.2, 1.4)],
    "right": [(2.4, 1.2), (2.4, 6.0), (9.6, 6.0), (2.4, 1.2)],
    "triangle": [(2.0, 6.0), (5.0, 1.2), (10.0, 6.0), (2.0, 6.0)],
}

_Labels = tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class _Figure:
    """A figure: its outline, what is asked, and measures → (labels with their places, result)."""

    outline: str
    question: str
    explanation: str
    draw: Callable[[np.random.Generator], tuple[_Labels, int]]


def _sides(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(3, 25)), int(rng.integers(3, 20))


def _rectangle_area(rng: np.random.Generator) -> tuple[_Labels, int]:
    a, b = _sides(rng)
    return ((5.7, 6.8, f"{a} cm"), (10.6, 3.6, f"{b} cm")), a * b


def _rectangle_perimeter(rng: np.random.Generator) -> tuple[_Labels, int]:
    a, b = _sides(rng)
    return ((5.7, 6.8, f"{a} cm"), (10.6, 3.6, f"{b} cm")), 2 * (a + b)


def _right_area(rng: np.random.Generator) -> tuple[_Labels, int]:
    a, b = _sides(rng)
    return ((6.0, 7.0, f"{2 * a} cm"), (1.2, 3.6, f"{b}")), a * b


def _hypotenuse(rng: np.random.Generator) -> tuple[_Labels, int]:
    a, b, c = _TRIPLES[int(rng.integers(len(_TRIPLES)))]
    k = int(rng.integers(1, 7))
    return ((6.0, 7.0, f"{b * k} cm"), (1.2, 3.6, f"{a * k}")), c * k


def _third_angle(rng: np.random.Generator) -> tuple[_Labels, int]:
    a, b = int(rng.integers(25, 85)), int(rng.integers(25, 85))
    return ((2.0, 7.0, f"{a}°"), (9.6, 7.0, f"{b}°")), 180 - a - b


_FIGURES = (
    _Figure("rectangle", "What is the area of the rectangle on {card}, in cm²?", "multiply the sides", _rectangle_area),
    _Figure(
        "rectangle",
        "What is the perimeter of the rectangle on {card}, in cm?",
        "add up the sides",
        _rectangle_perimeter,
    ),
    _Figure(
        "right",
        "What is the area of the right triangle on {card}, in cm²?",
        "halve the product of the legs",
        _right_area,
    ),
    _Figure("right", "How long is the hypotenuse of the triangle on {card}, in cm?", "apply Pythagoras", _hypotenuse),
    _Figure(
        "triangle", "How many degrees has the third angle of the triangle on {card}?", "subtract from 180", _third_angle
    ),
)


class Geometry(CardFamily):
    """Rectangles and triangles; the drawing is the same for all measures, only the labels differ."""

    name: ClassVar[str] = "geometry"
    ability: ClassVar[str] = "maths"

    def draw_task(self, brief: Brief) -> CardTask:
        """Draw as many sets of measures as there are answers, all with different results."""
        figure = _FIGURES[int(brief.rng.integers(len(_FIGURES)))]
        found: dict[int, _Labels] = {}
        while len(found) < (brief.choices or OPEN_ANSWERS):  # ends: every figure has dozens of results in each split
            labels, result = figure.draw(brief.rng)
            if expression_split(f"{figure.question} {labels}") == brief.split:
                found.setdefault(result, labels)
        return CardTask(
            question=figure.question,
            answers=tuple(str(result) for result in found),
            contents=tuple(_content(figure.outline, labels) for labels in found.values()),
            kind=AnswerKind.NUMBER,
            explanation=f"read the measures and {figure.explanation}",
        )


def _content(outline: str, labels: _Labels) -> Content:
    def draw(pen: Pen) -> None:
        pen.line(_CORNERS[outline])
        for x, y, text in labels:
            pen.text(x, y, text, anchor="mm")

    return Content(width=_WIDTH, height=_HEIGHT, draw=draw)
