"""`geometry`: figures with their measures on a worksheet: area, perimeter, hypotenuse, diagonal.

All figures of a worksheet have one shape, and each is drawn to a scale of its own, as the worksheet says. So every
figure is drawn to scale, whatever its measures, and the drawing does not tell them.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from metis_envs.families.family import Brief
from metis_envs.families.worksheets import OPEN_ANSWERS, ROWS, WorksheetFamily, WorksheetTask, turned
from metis_envs.scenes.prints import Print
from metis_envs.scenes.worksheets import Content, Line

__all__ = ["Geometry"]

_CELL_WIDTH, _CELL_HEIGHT = 7.2, 4.7
_BASE, _TALLEST = 3.0, 2.4
_CORNERS = {"rectangle": (0.55, 3.6), "right": (3.7, 3.6)}
"""Lower left corner of a figure in its cell: beside a rectangle its height stands at the right, else at the left."""
_RIGHT_ANGLE = 0.35
_MEASURES = range(10, 100)
"""All measures have two digits."""
_LETTERS = "ABCDEF"
_LABEL = 0.86
_TWO_DIGITS, _UNIT = 1.1, 1.6
"""Widths of a measure and of its unit, in em."""

_SIDES = {
    "train": ((4, 3), (5, 2), (7, 4), (9, 5), (8, 5), (5, 3), (12, 5)),
    "test": ((3, 4), (7, 5), (3, 2), (8, 3), (9, 4)),
}
_LEGS = {"train": ((4, 3), (12, 5), (2, 1), (6, 4)), "test": ((3, 4), (6, 5), (8, 5))}
"""Width and height of rectangles, and legs of right triangles, at scale 1."""


@dataclass(frozen=True)
class _Kind:
    """A question about one kind of figure; `{figure}` and `{sheet}` are named."""

    figure: str
    measure: str
    wordings: tuple[str, ...]
    explanation: str

    def result(self, width: int, height: int, scale: int) -> int:
        """The answer for a figure of these sides, times a scale."""
        diagonal = math.isqrt(width**2 + height**2)
        at_one = {"area": width * height, "perimeter": 2 * (width + height), "half": width * height // 2}
        return (
            at_one[self.measure] * scale**2
            if self.measure in ("area", "half")
            else (at_one.get(self.measure, diagonal) * scale)
        )


def _wordings(asked: str, ends: tuple[str, str, str]) -> tuple[str, ...]:
    shape, unit, how = ends
    return (
        f"What is the {asked} of {shape} {{letter}} on {{sheet}}, in {unit}?",
        f"{how} of {shape} {{letter}} on {{sheet}}, in {unit}?",
        f"On {{sheet}}, find the {asked} of {shape} {{letter}}. How many {unit} is it?",
        f"Work out the {asked} of {shape} {{letter}} on {{sheet}}. What is it in {unit}?",
        f"How many {unit} is the {asked} of {shape} {{letter}} on {{sheet}}?",
        f"Look at {shape} {{letter}} on {{sheet}}: what is its {asked} in {unit}?",
        f"In {unit}, what {asked} has {shape} {{letter}} on {{sheet}}?",
    )


_KINDS = (
    _Kind("rectangle", "area", _wordings("area", ("rectangle", "cm²", "How large is the area")), "multiply the sides"),
    _Kind(
        "rectangle",
        "perimeter",
        _wordings("perimeter", ("rectangle", "cm", "How long is the perimeter")),
        "add up the sides",
    ),
    _Kind(
        "right",
        "half",
        _wordings("area", ("the right triangle", "cm²", "How large is the area")),
        "halve the product of the legs",
    ),
    _Kind(
        "right",
        "diagonal",
        _wordings("hypotenuse", ("the right triangle", "cm", "How long is the hypotenuse")),
        "apply Pythagoras",
    ),
    _Kind(
        "rectangle",
        "diagonal",
        _wordings("diagonal", ("rectangle", "cm", "How long is the diagonal")),
        "apply Pythagoras",
    ),
)


class Geometry(WorksheetFamily):
    """Rectangles or right triangles; the answer decides which measures stand at which figure."""

    name: ClassVar[str] = "geometry"
    generation: ClassVar[int] = 3
    aspects: ClassVar[tuple[float, ...]] = (1.0, 4 / 3, 3 / 4)

    def draw_task(self, brief: Brief) -> WorksheetTask:
        """Draw a kind, a shape, and as many scales as there are answers."""
        rng, canvas = brief.rng, brief.canvas
        kind = _KINDS[int(rng.integers(len(_KINDS)))]
        shapes = [
            shape for shape in (_SIDES if kind.figure == "rectangle" else _LEGS)[brief.split] if _fits(kind, shape)
        ]
        width, height = shapes[int(rng.integers(len(shapes)))]
        possible = [scale for scale in range(1, 50) if width * scale in _MEASURES and height * scale in _MEASURES]
        scales = [possible[i] for i in rng.permutation(len(possible))[: brief.choices or OPEN_ANSWERS]]
        count = brief.choices or ROWS
        asked = int(rng.integers(count))
        return WorksheetTask(
            wordings=kind.wordings,
            fields=(("letter", _LETTERS[asked]),),
            answers=tuple(str(kind.result(width, height, scale)) for scale in scales),
            content=_content(
                kind.figure, (width, height), scales, asked, count, is_upright=canvas.view_height > canvas.view_width
            ),
            explanation=f"read the measures and {kind.explanation}",
        )


def _fits(kind: _Kind, shape: tuple[int, int]) -> bool:
    """Whether what is asked for is a whole number."""
    width, height = shape
    if kind.measure == "diagonal":
        return math.isqrt(width**2 + height**2) ** 2 == width**2 + height**2
    return kind.measure != "half" or width * height % 2 == 0


def _content(
    figure: str, shape: tuple[int, int], scales: list[int], asked: int, count: int, *, is_upright: bool
) -> Content:
    """The figures in two or three columns, each with its letter, and the measures for every answer."""
    width, height = shape
    columns = 3 if count > ROWS and not is_upright else 2
    unit = min(_BASE / width, _TALLEST / height)
    base, rise = width * unit, height * unit
    corners = [
        (_CORNERS[figure][0] + _CELL_WIDTH * (place % columns), _CORNERS[figure][1] + _CELL_HEIGHT * (place // columns))
        for place in range(count)
    ]
    lines: list[Line] = []
    for x, y in corners:
        top_right = () if figure == "right" else ((x + base, y - rise),)
        lines.append(((x, y), (x + base, y), *top_right, (x, y - rise), (x, y)))
        if figure == "right":
            lines.append(((x, y - _RIGHT_ANGLE), (x + _RIGHT_ANGLE, y - _RIGHT_ANGLE), (x + _RIGHT_ANGLE, y)))
    fixed = [
        Print(x - 0.15, y - rise - 0.45, letter, "lm", "sans-bold", _LABEL)
        for (x, y), letter in zip(corners, _LETTERS, strict=False)
    ]
    for x, y in corners:
        fixed += [Print(*place, " cm", "lm", "sans", _LABEL) for place in _places(figure, x, y, base, rise)]
    varying = tuple(
        tuple(
            text
            for (x, y), scale in zip(corners, turned(scales, index, asked, count), strict=True)
            for text in (
                Print(*place, str(side * scale), "rm", "sans", _LABEL)
                for place, side in zip(_places(figure, x, y, base, rise), shape, strict=True)
            )
        )
        for index in range(len(scales))
    )
    rows = -(-count // columns)
    total = _CELL_WIDTH * columns, _CELL_HEIGHT * rows + 1.2
    fixed.append(Print(total[0] / 2, total[1] - 0.6, "each figure to its own scale", "mm", "sans", 0.74))
    return Content(
        width=total[0], height=total[1], title="Geometry", fixed=tuple(fixed), lines=tuple(lines), varying=varying
    )


def _places(figure: str, x: float, y: float, base: float, rise: float) -> tuple[tuple[float, float], ...]:
    """Where the measures of a figure end: below it, and beside its upright side."""
    beside = x + base + 0.3 + _TWO_DIGITS if figure == "rectangle" else x - 0.3 - _UNIT
    return (x + base / 2 + (_TWO_DIGITS - _UNIT) / 2, y + 0.62), (beside, y - rise / 2)
