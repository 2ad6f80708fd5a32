"""Plaques, posters and boards with large print, legible in the view, and small print, which is not.

A notice hangs a little askew on its wall, casts a shadow and catches the light. Its plate is painted at half the size
of the scene; what is printed on it is drawn at full size, one row at a time.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.concealment import conceal_among
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import Colour, FontName, faded, font, paste_ink, text_width
from metis_envs.scenes.sheets import Sheet
from metis_gym.records import Box, ImageArray

__all__ = ["Notice", "NoticeStyle", "conceal_row", "hang", "lay_out", "row_box", "write_row"]

_LARGE = range(17, 31)
"""Font sizes of large print in view pixels: capitals are then 12 view pixels high or more."""
SMALL = 4.2
"""Font size of small print in view pixels: its strokes are thinner than a view pixel."""
_WIDEST, _HIGHEST = 0.9, 0.86
_TILT = 1.6
_GRAIN = 3.0


@dataclass(frozen=True, kw_only=True)
class NoticeStyle:
    """How a notice looks.

    Attributes:
        name: What it is, for captions.
        fill: Colour of the plate.
        ink: Colour of the print.
        border: Colour of a line inside the edge.
        face: Font of the large print.
        small_face: Font of the small print.
        radius: Of the corners, as a share of the height.
        has_screws: Whether it is screwed to the wall.
        gloss: How much it catches the light.
    """

    name: str
    fill: Colour
    ink: Colour
    border: Colour
    face: FontName = "sans-bold"
    small_face: FontName = "sans"
    radius: float = 0.02
    has_screws: bool = False
    gloss: float = 0.0


@dataclass(frozen=True)
class Notice:
    """A notice in its place. Lengths are in source pixels.

    Attributes:
        style: The look.
        canvas: The scene.
        centre: Its middle, x and y.
        size: Width and height.
        angle: Degrees against the clock.
        rows: For each row of print its height above (-) or below the middle, font size, and the width of its longest
            text.
        large: How many of the rows, the first ones, are large print.
    """

    style: NoticeStyle
    canvas: Canvas
    centre: tuple[int, int]
    size: tuple[int, int]
    angle: float
    rows: tuple[tuple[int, int, int], ...]
    large: int

    def middle(self, row: int) -> tuple[float, float]:
        """Where the middle of a row is, x and y."""
        tilt, below = math.radians(self.angle), self.rows[row][0]
        return self.centre[0] + below * math.sin(tilt), self.centre[1] + below * math.cos(tilt)


def lay_out(
    rng: np.random.Generator,
    canvas: Canvas,
    style: NoticeStyle,
    large: Sequence[Sequence[str]],
    small: Sequence[Sequence[str]],
) -> Notice:
    """Choose size, place and tilt of a notice whose rows have room for each of their possible texts.

    Args:
        rng: Chooses.
        canvas: The scene.
        style: The look.
        large: For each row of large print all texts that it may carry.
        small: The same for small print, which stands below.

    Raises:
        ValueError: A text is too long to be legible.
    """
    heights = _LARGE[
        : bisect.bisect_left(_LARGE, True, key=lambda size: not _fits(canvas, style, large, len(small), size))
    ]
    if not heights:
        raise ValueError(f"no legible size for {large!r} in a view of {canvas.view_width} px")
    size = canvas.px(heights[int(rng.integers(len(heights) // 2, len(heights)))])
    small_size = round(SMALL * canvas.factor)
    width, height = _extent(style, large, len(small), size, small_size)
    rows, top = [], -height / 2 + 0.8 * size
    for texts in large:
        rows.append((round(top + 0.5 * size), size, max(text_width(text, font(style.face, size)) for text in texts)))
        top += 1.35 * size
    top += 0.1 * size
    for texts in small:
        face = font(style.small_face, small_size)
        rows.append((round(top + 0.7 * small_size), small_size, max(text_width(text, face) for text in texts)))
        top += 1.6 * small_size
    room = [max(0, whole - side * 1.04) / 2 for whole, side in ((canvas.width, width), (canvas.height, height))]
    centre = (
        round(canvas.width / 2 + rng.uniform(-0.9, 0.9) * room[0]),
        round(canvas.height / 2 + rng.uniform(-0.9, 0.9) * room[1]),
    )
    return Notice(style, canvas, centre, (width, height), float(rng.uniform(-_TILT, _TILT)), tuple(rows), len(large))


def _extent(
    style: NoticeStyle, large: Sequence[Sequence[str]], small_count: int, size: int, small_size: int
) -> tuple[int, int]:
    widest = max(text_width(text, font(style.face, size)) for texts in large for text in texts)
    return round(widest + 1.6 * size), round(size * (1.35 * len(large) + 1.5) + 1.6 * small_size * small_count)


def _fits(canvas: Canvas, style: NoticeStyle, large: Sequence[Sequence[str]], small_count: int, view_size: int) -> bool:
    width, height = _extent(style, large, small_count, canvas.px(view_size), round(SMALL * canvas.factor))
    return width <= _WIDEST * canvas.width and height <= _HIGHEST * canvas.height


def hang(half: ImageArray, notice: Notice, rng: np.random.Generator) -> None:
    """Paint the notice, without its print, on a scene at half its size, in place."""
    style, draft, plate = notice.style, Draft(notice.canvas, half), _plate(notice)
    line = max(4, notice.size[1] // 70)
    outline = plate.outline(radius=style.radius * plate.height)
    blur = 4 * notice.canvas.factor
    draft.shadow(outline, blur=1.2 * blur, drop=(0.5 * blur, blur), strength=0.55)
    draft.place(outline, _glossy(style, rng), grain=_GRAIN, seed=int(rng.integers(1 << 31)))
    inset = 3 * line
    for edge, colour, width in ((line / 4, _darker(style.fill), line / 2), (inset, style.border, line)):
        corners = plate.outline(inset=edge)
        for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
            draft.line([start, end], colour, width)
    if style.has_screws:
        for x in (2.6 * inset, plate.width - 2.6 * inset):
            for y in (2.6 * inset, plate.height - 2.6 * inset):
                _screw(draft, plate, (x, y), inset, style)


def _plate(notice: Notice) -> Sheet:
    """Where its plate is."""
    tilt = math.radians(notice.angle)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    corners = []
    for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        across, down = x * notice.size[0], y * notice.size[1]
        corners.append(
            (notice.centre[0] + across * cosine + down * sine, notice.centre[1] - across * sine + down * cosine)
        )
    return Sheet(notice.size[0], notice.size[1], tuple(corners), notice.canvas)


def _glossy(style: NoticeStyle, rng: np.random.Generator) -> Image.Image:
    """Its surface, small: its colour, and the light that falls on it."""
    across = np.linspace(-1, 1, 64)[None, :] * rng.uniform(-1, 1) + np.linspace(-1, 1, 64)[:, None]
    shine = np.exp(-8 * (across - rng.uniform(-0.8, 0.8)) ** 2)
    light = style.gloss * 70 * shine - 9 * across
    return Image.fromarray(np.clip(np.array(style.fill) + light[:, :, None], 0, 255).astype(np.uint8))


def _screw(draft: Draft, plate: Sheet, at: tuple[float, float], radius: float, style: NoticeStyle) -> None:
    (x, y), slot = at, 0.6 * radius
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rim = [plate.at(x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle))) for angle in angles]
    draft.fill(rim, style.border, light=(1.3, 1.0, 0.7, 0.9))
    draft.line([plate.at(x - slot, y + 0.7 * slot), plate.at(x + slot, y - 0.7 * slot)], style.ink, radius / 4)


def _darker(colour: Colour) -> Colour:
    red, green, blue = (int(0.55 * part) for part in colour)
    return red, green, blue


def write_row(scene: ImageArray, notice: Notice, row: int, text: str) -> None:
    """Print one row on a scene of full size, in place: large print in the middle, small print from the left."""
    _, size, widest = notice.rows[row]
    style, is_small = notice.style, row >= notice.large
    face = font(style.small_face if is_small else style.face, size)
    width, height = widest + size // 2, round(1.4 * size)
    mask = Image.new("L", (width, height), 0)
    left = size // 4 if is_small else (width - text_width(text, face)) / 2
    ImageDraw.Draw(mask).text((left, height / 2), text, fill=240, font=face, anchor="lm")
    turned = mask.rotate(notice.angle, Image.Resampling.BILINEAR, expand=True)
    x, y = notice.middle(row)
    ink = faded(style.ink, style.fill) if is_small else style.ink
    paste_ink(scene, turned, ink, round(x - turned.width / 2), round(y - turned.height / 2))


def row_box(notice: Notice, row: int) -> Box:
    """What the texts of a row may cover, in source pixels, on the cells."""
    _, size, widest = notice.rows[row]
    tilt = abs(math.radians(notice.angle))
    x, y = notice.middle(row)
    half_width, half_height = widest / 2 + 0.5 * size, 0.8 * size + tilt * (widest / 2 + size)
    factor = notice.canvas.factor
    left, top = max(0, math.floor((x - half_width) / factor)), max(0, math.floor((y - half_height) / factor))
    right = min(notice.canvas.view_width, math.ceil((x + half_width) / factor))
    bottom = min(notice.canvas.view_height, math.ceil((y + half_height) / factor))
    return notice.canvas.box(left, top, right, bottom)


def conceal_row(scene: ImageArray, notice: Notice, row: int, texts: Sequence[str], shown: int) -> None:
    """Print one of some texts so that the view is the same for each of them, in place."""

    def draw(image: ImageArray, text: int) -> None:
        write_row(image, notice, row, texts[text])

    conceal_among(scene, (row_box(notice, row),), draw, shown, range(len(texts)), notice.canvas.factor)
