"""Boards and signs that carry text legible in the view: chalkboards, street signs, museum labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import Colour, FontName, font, paste, plate, shadow, text_width
from metis_gym.records import Box, ImageArray

__all__ = ["Board", "BoardStyle", "draw_board", "fitting_board"]

_MIN_TEXT = 17
"""Font size in view pixels: capitals are then 12 view pixels high."""
_MAX_TEXT = 34
_WIDEST_SHARE = 0.86
_PADDING = 0.75


@dataclass(frozen=True, kw_only=True)
class BoardStyle:
    """How a board looks.

    Attributes:
        name: What it is, for captions.
        fill: Colour of the board.
        ink: Colour of the text.
        border: Colour of a line inside the edge, or none.
        face: Font.
        rounded: Corner radius as a share of the text size.
    """

    name: str
    fill: Colour
    ink: Colour
    border: Colour | None = None
    face: FontName = "sans-bold"
    rounded: float = 0.0


@dataclass(frozen=True)
class Board:
    """A board in its place: the box in source pixels, on the cells; the text size in view pixels."""

    style: BoardStyle
    box: Box
    text_size: int
    canvas: Canvas


def fitting_board(rng: np.random.Generator, canvas: Canvas, style: BoardStyle, texts: Sequence[str]) -> Board:
    """Choose a size and a place so that each of the texts would be comfortably legible in the view.

    The board is made for the longest of the texts, so neither its size nor its place tells which one it carries.

    Args:
        rng: Chooses size and place.
        canvas: The scene.
        style: The look.
        texts: All texts that the board may carry; a line break starts a new line.

    Raises:
        ValueError: A text is too long to be legible.
    """
    max_lines = max(text.count("\n") + 1 for text in texts)
    lines = [line for text in texts for line in text.split("\n")]
    sizes = [size for size in range(_MIN_TEXT, _MAX_TEXT + 1) if _fits(canvas, style, lines, max_lines, size)]
    if not sizes:
        raise ValueError(f"no legible size for {max(lines, key=len)!r} in a view of {canvas.view_width} px")
    size = sizes[int(rng.integers(len(sizes) // 2, len(sizes)))]
    width, height = _extent(style, lines, max_lines, size)
    return Board(style, canvas.place(rng, width, height), size, canvas)


def _extent(style: BoardStyle, lines: Sequence[str], line_count: int, size: int) -> tuple[int, int]:
    """Width and height in view pixels."""
    widest = max(text_width(line, font(style.face, size)) for line in lines)
    return round(widest + 2 * _PADDING * size), round(size * (1.3 * line_count - 0.3 + 2 * _PADDING))


def _fits(canvas: Canvas, style: BoardStyle, lines: Sequence[str], line_count: int, size: int) -> bool:
    width, height = _extent(style, lines, line_count, size)
    return width <= _WIDEST_SHARE * canvas.view_width and height <= _WIDEST_SHARE * canvas.view_height


def draw_board(scene: ImageArray, board: Board, text: str) -> None:
    """Draw a board with its text on a scene, in place."""
    left, top, right, bottom = board.box
    style, size = board.style, board.text_size * board.canvas.factor
    shadow(scene, board.box, blur=max(2, size // 3))
    line_width = max(1, size // 12)
    plate(scene, board.box, style.fill, border=style.border, width=line_width, radius=int(style.rounded * size))
    stamp = Image.new("RGBA", (right - left, bottom - top), (*style.ink, 0))
    pen = ImageDraw.Draw(stamp)
    lines = text.split("\n")
    for row, line in enumerate(lines):
        middle_y = stamp.height / 2 + (row - (len(lines) - 1) / 2) * 1.3 * size
        pen.text((stamp.width / 2, middle_y), line, fill=(*style.ink, 255), font=font(style.face, size), anchor="mm")
    paste(scene, stamp, left, top)
