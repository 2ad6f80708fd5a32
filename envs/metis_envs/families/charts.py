"""`charts`: a poster of several panels, one large and some small, on a photograph.

The question names a panel by its letter, in the same words for both values of necessity: in the large panel everything
is legible in the view, a small one is an empty grey field there and shows its chart only in a crop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import font, ink, plate, shadow
from metis_envs.scenes.panels import PanelStyle, draw_bars, draw_lines
from metis_envs.scenes.view import conceal
from metis_gym.records import AnswerKind, Box, ImageArray

__all__ = ["Charts"]

_NAMES = "PQRSTU"
_POINTS = 6
_PAPER = (252, 252, 250)
_FIELD = (150, 150, 150)
_CONCEALED_CONTRAST = 0.56
_EDGE = 14
"""Photograph around the poster, view pixels."""
_BADGE = 18
"""Side of a panel's letter, view pixels."""
_LARGE_TEXT, _LARGE_LINE = 15.0, 3.0
_SMALL_TEXT, _SMALL_LINE = 3.4, 0.42
"""Font sizes and line widths in view pixels, in the large panel and in small ones."""

_Draw = Callable[[PanelStyle], ImageArray]


@dataclass(frozen=True, eq=False)
class _Chart:
    """A chart and a question about it.

    Attributes:
        question: Ends "In panel …, ".
        answers: All answers that could be right.
        draw: Index of an answer → what draws the chart for it.
        kind: How an open answer is compared.
    """

    question: str
    answers: tuple[str, ...]
    draw: Callable[[int], _Draw]
    kind: AnswerKind = AnswerKind.TEXT


class Charts(Family):
    """Line charts and bar charts: order at a place, order of bars, values printed above bars."""

    name: ClassVar[str] = "charts"
    smallest_view: ClassVar[int] = 384
    max_choices: ClassVar[int] = 6

    def plan(self, brief: Brief) -> Blueprint:
        """Lay out the poster, draw all panels but the one that is asked for."""
        rng, canvas = brief.rng, brief.canvas
        large, small = _layout(rng, canvas)
        boxes = [large, *small]
        letters = [_LETTERS[i] for i in rng.permutation(len(boxes))]
        target = 1 + int(rng.integers(len(small))) if brief.hides else 0
        charts = [_KINDS[int(rng.integers(len(_KINDS)))](rng, brief.choices) for _ in boxes]
        shown = [int(rng.integers(len(chart.answers))) for chart in charts]
        chart, others = charts[target], [index for index in range(len(boxes)) if index != target]
        background = choose_background(rng, canvas, brief.split)

        def paint() -> ImageArray:
            scene = background.paint()
            _draw_sheet(scene, canvas)
            for box, letter in zip(boxes, letters, strict=True):
                _draw_badge(scene, box, letter, canvas)
            for index in others:
                _draw_panel(scene, boxes[index], charts[index].draw(shown[index]), canvas, small=index > 0)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            _draw_panel(scene, boxes[target], chart.draw(index), canvas, small=target > 0)

        return Blueprint(
            question=f"In panel {letters[target]}, {chart.question}",
            answers=chart.answers,
            paint=paint,
            draw_detail=draw_detail,
            region=boxes[target],
            notes=background.notes,
            explanation=(
                f"Panel {letters[target]} is small: crop it and enlarge the crop."
                if brief.hides
                else f"Panel {letters[target]} is large: read it in the view."
            ),
            kind=chart.kind,
        )


_LETTERS = "ABCD"


def _order_at_x(rng: np.random.Generator, choices: int) -> _Chart:
    """Which line is highest, second highest, … at a given x? The curves stay, their names change places."""
    count = choices or 4
    ranks = np.stack([rng.permutation(count) for _ in range(_POINTS)], axis=1)
    curves = (ranks + rng.uniform(-0.22, 0.22, ranks.shape)) / (count - 1)
    x = int(rng.integers(1, _POINTS - 1))
    rank, words = _drawn_rank(rng, count, ("highest", "lowest"))
    asked = int(np.flatnonzero(ranks[:, x] == rank)[0])
    return _naming(
        rng, count, asked, f"which line is {words} at x = {x}?", lambda s, names: draw_lines(s, curves, names)
    )


def _order_of_bars(rng: np.random.Generator, choices: int) -> _Chart:
    """Which bar is tallest, second tallest, …? The bars stay, their names change places."""
    count = choices or 4
    ranks = rng.permutation(count)
    heights = (ranks + 1 + rng.uniform(-0.25, 0.25, count)) / (count + 0.3)
    rank, words = _drawn_rank(rng, count, ("tallest", "shortest"))
    asked = int(np.flatnonzero(ranks == rank)[0])
    return _naming(rng, count, asked, f"which bar is the {words}?", lambda s, names: draw_bars(s, heights, names))


def _value_of_bar(rng: np.random.Generator, choices: int) -> _Chart:
    """Which number is printed above a bar? The bars are all drawn alike; only the numbers say how much."""
    bars = 4
    name = int(rng.integers(bars))
    values = [str(value) for value in rng.choice(np.arange(10, 100), size=max(choices, 12) + bars, replace=False)]
    answers, others = tuple(values[: choices or 12]), values[-bars:]
    heights = rng.uniform(0.3, 1.0, bars)

    def draw(index: int) -> _Draw:
        labels = [answers[index] if bar == name else others[bar] for bar in range(bars)]
        return lambda style: draw_bars(style, heights, _NAMES[:bars], labels)

    return _Chart(f"which number is printed above bar {_NAMES[name]}?", answers, draw, AnswerKind.NUMBER)


_KINDS = (_order_at_x, _order_of_bars, _value_of_bar)


def _drawn_rank(rng: np.random.Generator, count: int, ends: tuple[str, str]) -> tuple[int, str]:
    """A rank, 0 for the lowest, and its words."""
    top, bottom = ends
    ranks = {count - 1: top, count - 2: f"second {top}", 0: bottom}
    rank = list(ranks)[int(rng.integers(len(ranks)))]
    return rank, ranks[rank]


def _naming(
    rng: np.random.Generator,
    count: int,
    asked: int,
    question: str,
    draw: Callable[[PanelStyle, list[str]], ImageArray],
) -> _Chart:
    """A chart in which the answer decides who bears the asked name; the others take the rest in a drawn order."""
    names = tuple(_NAMES[:count])
    order = rng.permutation(count)

    def named(index: int) -> _Draw:
        rest = [names[i] for i in order if i != index]
        given = [*rest[:asked], names[index], *rest[asked:]]
        return lambda style: draw(style, given)

    return _Chart(question, names, named)


def _layout(rng: np.random.Generator, canvas: Canvas) -> tuple[Box, list[Box]]:
    """The boxes of the large panel and of two or three small ones, in source pixels on the cells."""
    margin, gap, width, height = _EDGE + 6, 12, canvas.view_width, canvas.view_height
    count = int(rng.integers(2, 4))
    is_mirrored = bool(rng.random() < 0.5)
    if width >= height:
        split = round(0.64 * (width - 2 * margin))
        spans = _spans(margin + _BADGE, height - margin, count, gap + _BADGE)
        large = (margin + 8, margin + _BADGE, margin + split, height - margin - 8)
        small = [(margin + split + gap, top, width - margin - 8, bottom - 8) for top, bottom in spans]
    else:
        split = round(0.66 * (height - 2 * margin))
        large = (margin + 8, margin + _BADGE, width - margin - 8, margin + split)
        spans = _spans(margin + 8, width - margin - 8, count, gap)
        small = [(left, margin + split + gap + _BADGE, right, height - margin - 8) for left, right in spans]
    if is_mirrored and width >= height:
        large, *small = [(width - right, top, width - left, bottom) for left, top, right, bottom in [large, *small]]
    return canvas.box(*large), [canvas.box(*box) for box in small]


def _spans(start: int, end: int, count: int, gap: int) -> list[tuple[int, int]]:
    length = (end - start - gap * (count - 1)) // count
    return [(start + i * (length + gap), start + i * (length + gap) + length) for i in range(count)]


def _draw_sheet(scene: ImageArray, canvas: Canvas) -> None:
    edge = _EDGE * canvas.factor
    box = (edge, edge, canvas.width - edge, canvas.height - edge)
    shadow(scene, box, blur=4 * canvas.factor)
    plate(scene, box, _PAPER)


def _draw_badge(scene: ImageArray, box: Box, letter: str, canvas: Canvas) -> None:
    """The panel's letter above its upper left corner."""
    side = _BADGE * canvas.factor
    left, top = box[0], box[1] - side
    covered = ink(letter, font("sans-bold", round(0.88 * side)), side, side)[:, :, None]
    area = scene[top : top + side, left : left + side]
    area[:] = np.rint(area * (1 - covered)).astype(np.uint8)


def _draw_panel(scene: ImageArray, box: Box, draw: _Draw, canvas: Canvas, *, small: bool) -> None:
    left, top, right, bottom = box
    text, line = (_SMALL_TEXT, _SMALL_LINE) if small else (_LARGE_TEXT, _LARGE_LINE)
    style = PanelStyle(right - left, bottom - top, text * canvas.factor, line * canvas.factor, hollow=small)
    drawn = draw(style)
    if small:
        detail: NDArray[np.float64] = (drawn.astype(np.float64) - 255.0) * _CONCEALED_CONTRAST
        drawn = conceal(detail, _FIELD, canvas.factor)
    scene[top:bottom, left:right] = drawn
