"""Cards: sheets with a coloured head and dark ink, near (legible in the view) or far (ink concealed from the view).

Lengths of a card's content are in *em*, the size of its text; a far card is the same card with a smaller em.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import Colour, FontName, font, shadow
from metis_envs.scenes.view import conceal
from metis_gym.records import Box, ImageArray

__all__ = ["CARD_COLOURS", "Content", "Ink", "Pen", "Placed", "draw_card", "draw_frame", "place_cards", "rows"]

CARD_COLOURS: dict[str, Colour] = {
    "red": (200, 40, 40),
    "green": (40, 135, 60),
    "blue": (40, 80, 195),
    "yellow": (235, 200, 50),
    "purple": (130, 50, 160),
}
"""Colours of the head, by which a card is named."""

NEAR_EM = (17, 26)
FAR_EM = 3.6
"""Text sizes in view pixels: capitals of a near card are at least 12 view pixels high, those of a far one 2 or 3."""

_HEAD = 1.0
"""Height of the head in em; at least 3 view pixels."""
_PAPER, _FIELD = (252, 252, 248), (150, 150, 150)
_INK, _CONCEALED_INK = 25, 145.0
_MAX_SHARE = 0.88
_ATTEMPTS = 80
_GAP = 4

Ink: TypeAlias = NDArray[np.float64]
"""How much of each pixel is covered with ink: shape (height, width), in [0, 1]."""


class Pen:
    """Draws ink in em; the origin is the upper left corner of the content.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        em: Pixels of one em.
    """

    def __init__(self, width: int, height: int, em: float) -> None:
        self.em = em
        self._image = Image.new("L", (width, height), 0)
        self._draw = ImageDraw.Draw(self._image)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "lm", face: FontName = "sans", size: float = 1.0
    ) -> None:
        """Text with its anchor, as Pillow names them, at a point."""
        self._draw.text(self._at(x, y), text, fill=255, font=font(face, max(1, round(size * self.em))), anchor=anchor)

    def line(self, points: Sequence[tuple[float, float]], width: float = 0.12) -> None:
        """A line through points."""
        thickness = max(1, round(width * self.em))
        self._draw.line([self._at(*point) for point in points], fill=255, width=thickness, joint="curve")

    def circle(self, x: float, y: float, radius: float, width: float = 0.12) -> None:
        """A circle's outline."""
        left_top, right_bottom = self._at(x - radius, y - radius), self._at(x + radius, y + radius)
        self._draw.ellipse([left_top, right_bottom], outline=255, width=max(1, round(width * self.em)))

    @property
    def ink(self) -> Ink:
        """What was drawn."""
        return np.asarray(self._image, dtype=np.float64) / 255.0

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return x * self.em, y * self.em


@dataclass(frozen=True)
class Content:
    """What a card carries.

    Attributes:
        width: Width in em.
        height: Height in em, without the head.
        draw: Draws it.
    """

    width: float
    height: float
    draw: Callable[[Pen], None]


def rows(lines: Sequence[tuple[str, str]], *, width: float = 13.0, pitch: float = 1.5) -> Content:
    """Content with a label at the left and a value at the right of each line."""

    def draw(pen: Pen) -> None:
        for number, (label, value) in enumerate(lines):
            middle = (number + 0.5) * pitch + 0.3
            pen.text(0.6, middle, label)
            pen.text(width - 0.6, middle, value, anchor="rm", face="sans-bold")

    return Content(width=width, height=pitch * len(lines) + 0.6, draw=draw)


@dataclass(frozen=True)
class Placed:
    """A card in its place: its box in source pixels, on the cells, head included."""

    box: Box
    colour: str
    is_far: bool
    em: float
    canvas: Canvas

    @property
    def paper(self) -> Box:
        """The box without the head."""
        left, top, right, bottom = self.box
        return left, top + _head(self.em) * self.canvas.factor, right, bottom


def _head(em: float) -> int:
    return max(3, round(_HEAD * em))


def place_cards(
    rng: np.random.Generator, canvas: Canvas, contents: Sequence[Sequence[Content]], are_far: Sequence[bool]
) -> list[Placed | None]:
    """Find places for cards that do not overlap.

    Args:
        rng: Chooses sizes, places and colours.
        canvas: The scene.
        contents: For each card all contents that it may carry: it is made for the largest of them.
        are_far: For each card whether it is far.

    Returns:
        One for each card, in order; None where no place was left. The first card always has one.

    Raises:
        ValueError: The first card is too large for the scene.
    """
    colours = [list(CARD_COLOURS)[i] for i in rng.permutation(len(CARD_COLOURS))]
    placed: list[Placed | None] = []
    for possible, is_far, colour in zip(contents, are_far, colours, strict=False):
        width, height = max(content.width for content in possible), max(content.height for content in possible)
        em = FAR_EM if is_far else _near_em(rng, canvas, width, height)
        size = (round(width * em), round(height * em) + _head(em))
        box = _free_place(rng, canvas, size, [card.box for card in placed if card is not None])
        placed.append(None if box is None else Placed(box, colour, is_far, em, canvas))
    return placed


def _near_em(rng: np.random.Generator, canvas: Canvas, width: float, height: float) -> float:
    room = min(canvas.view_width * _MAX_SHARE / width, canvas.view_height * _MAX_SHARE / (height + _HEAD))
    if room < NEAR_EM[0]:
        view = f"{canvas.view_width} x {canvas.view_height}"
        raise ValueError(f"a card of {width:g} x {height:g} em is not legible in a view of {view}")
    return float(rng.uniform(NEAR_EM[0], min(room, NEAR_EM[1])))


def _free_place(rng: np.random.Generator, canvas: Canvas, size: tuple[int, int], taken: Sequence[Box]) -> Box | None:
    gap = _GAP * canvas.factor
    for _ in range(_ATTEMPTS):
        box = canvas.place(rng, *size)
        if all(
            box[0] >= other[2] + gap or other[0] >= box[2] + gap or box[1] >= other[3] + gap or other[1] >= box[3] + gap
            for other in taken
        ):
            return box
    return None


def draw_frame(scene: ImageArray, card: Placed) -> None:
    """Draw a card without its ink, in place."""
    left, top, right, bottom = card.box
    shadow(scene, card.box, blur=max(2, round(card.em * card.canvas.factor / 3)))
    scene[top:bottom, left:right] = _FIELD if card.is_far else _PAPER
    scene[top : card.paper[1], left:right] = CARD_COLOURS[card.colour]


def draw_card(scene: ImageArray, card: Placed, content: Content) -> None:
    """Draw the ink of a card's content on its paper, in place; on a far card concealed."""
    left, top, right, bottom = card.paper
    em = card.em * card.canvas.factor
    pen = Pen(right - left, bottom - top, em)
    content.draw(pen)
    covered = pen.ink[:, :, None]
    if card.is_far:
        detail = np.repeat(covered * -_CONCEALED_INK, 3, axis=2)
        scene[top:bottom, left:right] = conceal(detail, _FIELD, card.canvas.factor)
    else:
        plain = np.asarray(_PAPER, dtype=np.float64)
        scene[top:bottom, left:right] = np.rint(plain * (1 - covered) + _INK * covered).astype(np.uint8)
