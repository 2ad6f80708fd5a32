"""Lists in a scene: two sheets of one size and kind, with the same lines; one in large print, one in small print.

Large print is legible in the view. Small print is 3.6 view pixels high: its strokes are thinner than a cell, so it can
be concealed. Both sheets have a title in large print, and each has some print of the other size as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Draft, Points, lit
from metis_envs.scenes.drawing import Colour, FontName, faded, font, text_width
from metis_envs.scenes.sheets import Sheet, lay_sheet, print_text, roughen
from metis_gym.records import Box, ImageArray

__all__ = ["SMALL_PRINT", "ListLook", "ListSheet", "lay_lists"]

SMALL_PRINT = 3.6
"""Font size of small print in view pixels."""

_SIZES = (20, 19, 18, 17, 16, 15, 14)
"""Font sizes of large print in view pixels, the preferred ones first."""
_ATTEMPTS = 12
_MARGIN = 7
"""View pixels between a sheet and whatever is beside it."""
_PITCH, _SMALL_PITCH = 1.32, 1.6
_TITLE, _FOOT = 1.7, 3.2
_PAD = 0.55
_GAP = 0.8
_SMALL_GAP = 2.6


@dataclass(frozen=True, kw_only=True)
class ListLook:
    """How a sheet looks.

    Attributes:
        fill: Its colour.
        ink: Of the print.
        head: Of a band behind the title, or none.
        border: Of a line along its edge, or none.
        rounded: Radius of its corners as a share of the text size.
        face: Font of lines in small print: one with thin strokes.
        large_face: Font of lines in large print.
        title_face: Font of titles and further large print.
        sign: A pictogram on a sheet in small print.
        held_by: "pin", "bolts", "tape" or nothing.
    """

    fill: Colour
    ink: Colour
    head: Colour | None = None
    border: Colour | None = None
    rounded: float = 0.0
    face: FontName = "sans"
    large_face: FontName = "sans"
    title_face: FontName = "sans-bold"
    sign: str = ""
    held_by: str = ""


@dataclass(frozen=True, kw_only=True)
class ListSheet:
    """A sheet with a list, in its place. Lengths are in source pixels.

    Attributes:
        sheet: Where it is.
        look: How it looks.
        title: In large print.
        fields: The beginning of each line.
        em: Text size of large print.
        is_small: Are its lines in small print?
        other_print: What it says in print of the other size: one line in large print, or several in small print.
        column: Where values begin, from the left edge of the lines.
        corner: Upper left corner of the lines, in the sheet's pixels.
        widest: Width of the widest value.
        other_at: Where the other print begins.
    """

    sheet: Sheet
    look: ListLook
    title: str
    fields: tuple[str, ...]
    em: int
    is_small: bool
    other_print: tuple[str, ...]
    column: float
    corner: tuple[float, float]
    widest: float
    other_at: tuple[float, float]

    @property
    def text_size(self) -> int:
        """Of its lines."""
        return _small(self.sheet.canvas) if self.is_small else self.em

    @property
    def pitch(self) -> float:
        """From line to line."""
        return self.text_size * (_SMALL_PITCH if self.is_small else _PITCH)

    @property
    def values_box(self) -> Box:
        """All that values may touch, on the cells."""
        left, top = self.corner
        spare = 2.5 * self.sheet.canvas.factor if self.is_small else 0
        right = left + self.column + self.widest
        return self.sheet.cells(left + self.column - spare, top - spare, right + spare, self._bottom + spare)

    @property
    def box(self) -> Box:
        """All lines, on the cells."""
        left, top, _, _ = self.sheet.cells(*self.corner, self.corner[0] + self.column, self._bottom)
        values = self.values_box
        return min(left, values[0]), min(top, values[1]), values[2], values[3]

    @property
    def _bottom(self) -> float:
        return self.corner[1] + len(self.fields) * self.pitch

    def paint(self, draft: Draft, rng: np.random.Generator) -> None:
        """Paint the sheet without any print."""
        look, sheet, em = self.look, self.sheet, self.em
        radius = look.rounded * em
        corners = sheet.outline(0, radius)
        is_fixed = look.held_by == "bolts"
        draft.shadow(corners, blur=em * (0.35 if is_fixed else 0.6), drop=(0.15 * em, 0.35 * em), strength=0.5)
        first, second, third, fourth = (float(part) for part in rng.uniform(0.86, 1.06, size=4))
        light = (first, second, third, fourth)
        seed = int(rng.integers(1 << 31))
        draft.fill(corners, look.border or look.fill, light=light, seed=seed)
        if look.border is not None:
            inset = 0.16 * em
            draft.fill(sheet.outline(inset, max(0.0, radius - inset)), look.fill, light=light, seed=seed)
        if look.head is not None:
            draft.fill(sheet.quad(0, 0, sheet.width, _TITLE * em), look.head, light=light, seed=seed)
        self._hold(draft)

    def _hold(self, draft: Draft) -> None:
        sheet, em = self.sheet, self.em
        if self.look.held_by == "bolts":
            for x in (0.4 * em, sheet.width - 0.4 * em):
                for y in (0.4 * em, sheet.height - 0.4 * em):
                    _dot(draft, sheet.at(x, y), 0.13 * em, (150, 150, 148))
        elif self.look.held_by == "pin":
            colour = ((196, 34, 34), (30, 84, 176), (226, 178, 30))[len(self.title) % 3]
            _dot(draft, sheet.at(0.5 * sheet.width, 0.28 * em), 0.3 * em, colour, shadow=0.3 * em)
        elif self.look.held_by == "tape":
            for x in (0.0, sheet.width):
                ends = [
                    sheet.at(x + dx * em, dy * em) for dx, dy in ((-0.9, 0.2), (-0.5, -0.5), (0.9, 0.1), (0.5, 0.8))
                ]
                draft.fill(ends, (226, 218, 186))

    def print_frame(self, scene: ImageArray, rng: np.random.Generator) -> None:
        """Print everything but the values."""
        look, sheet, em = self.look, self.sheet, self.em
        if self.is_small:
            roughen(scene, self.box, rng)
        title_ink = look.ink if look.head is None else _contrast(look.head)
        place = (_PAD * em, (0.5 * _TITLE + 0.08) * em)
        print_text(scene, sheet, place, self.title, font(look.title_face, em), title_ink)
        for number, field in enumerate(self.fields):
            print_text(scene, sheet, (self.corner[0], self._middle(number)), field, self._face, self._ink)
        left, top = self.other_at
        other = font(look.title_face, em) if self.is_small else font("sans", _small(sheet.canvas))
        ink = look.ink if self.is_small else faded(look.ink, look.fill)
        for number, line in enumerate(self.other_print):
            print_text(scene, sheet, (left, top + number * 1.5 * other.size), line, other, ink)
        self._print_sign(scene)

    def _print_sign(self, scene: ImageArray) -> None:
        """A pictogram at the right of the lines in small print, where there is room."""
        right = self.values_box[2] - self.values_box[0] + self.corner[0] + self.column
        room = self.sheet.width - right
        size = round(min(2.6 * self.em, 0.8 * room))
        if not (self.is_small and self.look.sign and size > self.em):
            return
        middle = min((self.corner[1] + self._bottom) / 2, self.sheet.height - 0.6 * size)
        x = right + 0.5 * room - 0.15 * self.em
        if abs(middle - self.other_at[1]) > 0.5 * (size + self.em):
            print_text(scene, self.sheet, (x, middle), self.look.sign, font("sans", size), self.look.ink, anchor="mm")

    def print_values(self, scene: ImageArray, values: Sequence[str]) -> None:
        """Print what the lines say."""
        left = self.corner[0] + self.column
        for number, value in enumerate(values):
            print_text(scene, self.sheet, (left, self._middle(number)), value, self._face, self._ink)

    @property
    def _ink(self) -> Colour:
        """Of its lines."""
        return faded(self.look.ink, self.look.fill) if self.is_small else self.look.ink

    @property
    def _face(self) -> ImageFont.FreeTypeFont:
        return font(self.look.face if self.is_small else self.look.large_face, self.text_size)

    def _middle(self, number: int) -> float:
        return self.corner[1] + (number + 0.5) * self.pitch


def lay_lists(
    rng: np.random.Generator,
    canvas: Canvas,
    looks: Sequence[ListLook],
    titles: Sequence[str],
    fields: tuple[str, ...],
    values: Sequence[str],
    other_print: tuple[str, tuple[str, ...]],
    *,
    turn: float,
) -> tuple[ListSheet, ListSheet]:
    """Lay two sheets side by side or one below the other: the first in large print, the second in small print.

    Args:
        rng: Chooses sizes and places.
        canvas: The scene.
        looks: Of the two.
        titles: Of the two.
        fields: The beginning of each line; the same on both.
        values: All values that lines may have.
        other_print: A line in large print for the sheet in small print, and lines in small print for the other one.
        turn: Most degrees by which a sheet is turned.

    Raises:
        ValueError: No legible size fits into the view.
    """
    boxes, size = _fitting(rng, canvas, looks, (*titles, other_print[0]), fields, values)
    em = size * canvas.factor
    order = rng.permutation(2)
    sheets = []
    for number in range(2):
        sheet = lay_sheet(rng, canvas, boxes[int(order[number])], turn=turn, tilt=turn / 150)
        is_small = number == 1
        text = _small(canvas) if is_small else em
        face = font(looks[number].face if is_small else looks[number].large_face, text)
        column = max(text_width(field, face) for field in fields) + text * (_SMALL_GAP if is_small else _GAP)
        lines = len(fields) * text * (_SMALL_PITCH if is_small else _PITCH)
        other_height = (1.3 * em) if is_small else 2 * 1.5 * _small(canvas)
        room = sheet.height - _TITLE * em - _PAD * em - lines - other_height
        is_first = (not is_small) or bool(rng.random() < 0.6)
        above, between = room * rng.uniform(0.1, 0.35), room * rng.uniform(0.25, 0.5)
        start = _TITLE * em + above
        top = start if is_first else start + other_height + between
        other_top = (start + lines + between if is_first else start) + (0.65 * em if is_small else _small(canvas))
        sheets.append(
            ListSheet(
                sheet=sheet,
                look=looks[number],
                title=titles[number],
                fields=fields,
                em=em,
                is_small=is_small,
                other_print=(other_print[0],) if is_small else other_print[1],
                column=float(column),
                corner=(_PAD * em + (rng.uniform(0, 1.5) * em if is_small else 0.0), float(top)),
                widest=float(max(text_width(value, face) for value in values) + 2),
                other_at=(_PAD * em, float(other_top)),
            )
        )
    return sheets[0], sheets[1]


def _fitting(
    rng: np.random.Generator,
    canvas: Canvas,
    looks: Sequence[ListLook],
    large: Sequence[str],
    fields: Sequence[str],
    values: Sequence[str],
) -> tuple[list[Box], int]:
    """Two boxes of one size, and the size of large print in view pixels."""
    for size in _SIZES:
        text, titles = font(looks[0].large_face, size), [font(look.title_face, size) for look in looks]
        line = max(text_width(field, text) for field in fields) + max(text_width(value, text) for value in values)
        width = round(
            max(line + _GAP * size, *(text_width(text, title) for text in large for title in titles))
            + 2.4 * _PAD * size
        )
        height = round(size * (_TITLE + _PITCH * len(fields) + 2 * _PAD) + _FOOT * SMALL_PRINT)
        is_beside = 2 * width + 3 * _MARGIN <= canvas.view_width and height + 2 * _MARGIN <= canvas.view_height
        is_below = width + 2 * _MARGIN <= canvas.view_width and 2 * height + 3 * _MARGIN <= canvas.view_height
        if is_beside or is_below:
            beside = is_beside and (not is_below or rng.random() < 0.5)
            return _boxes(rng, canvas, width, height, beside=beside), size
    raise ValueError(f"two lists of {len(fields)} lines do not fit into {canvas.view_width} x {canvas.view_height}")


def _boxes(rng: np.random.Generator, canvas: Canvas, width: int, height: int, *, beside: bool) -> list[Box]:
    """Places for two sheets, somewhat larger than they must be where there is room."""
    room_x = canvas.view_width - (2 * width + 3 * _MARGIN if beside else width + 2 * _MARGIN)
    room_y = canvas.view_height - (height + 2 * _MARGIN if beside else 2 * height + 3 * _MARGIN)
    width += round(rng.uniform(0, 0.3) * room_x / (2 if beside else 1))
    height += round(rng.uniform(0, 0.3) * room_y / (1 if beside else 2))
    boxes = []
    for number in range(2):
        slots = (canvas.view_width // 2, canvas.view_height) if beside else (canvas.view_width, canvas.view_height // 2)
        origin = (number * slots[0] * beside, number * slots[1] * (not beside))
        left = origin[0] + int(rng.integers(_MARGIN // 2, max(_MARGIN // 2 + 1, slots[0] - width - _MARGIN // 2 + 1)))
        top = origin[1] + int(rng.integers(_MARGIN // 2, max(_MARGIN // 2 + 1, slots[1] - height - _MARGIN // 2 + 1)))
        boxes.append(canvas.box(left, top, left + width, top + height))
    return boxes


def _small(canvas: Canvas) -> int:
    return round(SMALL_PRINT * canvas.factor)


def _contrast(colour: Colour) -> Colour:
    return (28, 28, 30) if sum(colour) > 390 else (246, 246, 242)


def _dot(draft: Draft, at: tuple[float, float], radius: float, colour: Colour, *, shadow: float = 0.0) -> None:
    if shadow:
        draft.shadow(_circle(at, radius), blur=shadow, drop=(shadow, 1.5 * shadow), strength=0.6)
    draft.fill(_circle(at, radius), colour, light=(1.3, 1.0, 0.6, 0.9))
    if shadow:
        draft.fill(_circle((at[0] - 0.3 * radius, at[1] - 0.3 * radius), 0.3 * radius), lit(colour, 1.5))


def _circle(at: tuple[float, float], radius: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return [(at[0] + radius * float(np.cos(angle)), at[1] + radius * float(np.sin(angle))) for angle in angles]
