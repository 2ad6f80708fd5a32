"""Labelled things in a place: on shelves, on a line, on a lake, in the sky; labels in large or in small print."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFont

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Draft, lit
from metis_envs.scenes.drawing import Colour, faded, font, text_width
from metis_envs.scenes.lists import SMALL_PRINT
from metis_envs.scenes.objects import LABEL, THINGS, Thing, draw_thing
from metis_envs.scenes.sheets import Sheet, lay_sheet, print_mask, print_text, roughen
from metis_gym.records import Box, ImageArray

__all__ = ["Labelled", "draw_stands", "place_sheets"]

_INK: Colour = (32, 32, 38)
_MAX_LARGE = 30
_SMALL_HALF = 4.6
"""Half the side of a label in small print, in view pixels."""
_MIN_SIDE = 46
"""Smallest side of a thing in view pixels, where there is room."""
_SHELF: Colour = (112, 82, 54)


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A thing in its place.

    Attributes:
        name: What it is, such as "crate".
        setting: Where it is.
        colour: By name.
        sheet: Its square.
        is_small: Is its label in small print?
        shift: Where small print is on the label, as shares of it from the middle.
    """

    name: str
    setting: str
    colour: str
    sheet: Sheet
    is_small: bool
    shift: tuple[float, float]

    @property
    def thing(self) -> Thing:
        """The kind of thing that it is."""
        return THINGS[self.setting][self.name]

    @property
    def label(self) -> tuple[float, float, float]:
        """The middle of its label and half its side, in the sheet's pixels; that of small print is small."""
        x, y, half = (share * self.sheet.width for share in self.thing.label)
        if not self.is_small:
            return x, y, half
        return x + self.shift[0] * half, y + self.shift[1] * half, _SMALL_HALF * self.sheet.canvas.factor

    @property
    def label_box(self) -> Box:
        """Its label, on the cells."""
        x, y, half = self.label
        return self.sheet.cells(x - half, y - half, x + half, y + half)

    @property
    def print_box(self) -> Box:
        """All that may be printed, on the cells."""
        if not self.is_small:
            return self.label_box
        (x, y, half), spare = self.label, 1.5 * self.sheet.canvas.factor
        return self.sheet.cells(x - half - spare, y - half - spare, x + half + spare, y + half + spare)

    def paint(self, draft: Draft, rng: np.random.Generator) -> None:
        """Paint it without its print."""
        x, y, half = (length / self.sheet.width for length in self.label)
        draw_thing(draft, self.sheet, self.thing, self.colour, (x, y, half), rng)

    def print_frame(self, scene: ImageArray, rng: np.random.Generator) -> None:
        """Print what its label says besides the text: a bar code, if it has one."""
        if self.is_small:
            if self.thing.plate == "box":
                x, y, half = self.label
                print_mask(scene, self.sheet, (x - half, y - half), Image.new("L", (round(2 * half),) * 2, 255), LABEL)
            roughen(scene, self.label_box, rng, 4.0)
        if self.is_small or not self.thing.has_code:
            return
        factor, (x, y, half) = self.sheet.canvas.factor, self.label
        width, height = round(1.5 * half), round(4.5 * factor)
        bars = np.repeat(rng.integers(0, 2, -(-width // max(1, factor // 2))) * 255, max(1, factor // 2))[:width]
        mask = Image.fromarray(np.tile(bars.astype(np.uint8), (height, 1)))
        print_mask(scene, self.sheet, (x - width / 2, y + half - height - 1.5 * factor), mask, _INK)

    def print_text(self, scene: ImageArray, text: str) -> None:
        """Print its label's text."""
        x, y, half = self.label
        if self.is_small:
            size = round(SMALL_PRINT * self.sheet.canvas.factor)
            print_text(scene, self.sheet, (x, y), text, font("sans", size), faded(_INK, LABEL), anchor="mm")
            return
        lift = 2.5 * self.sheet.canvas.factor if self.thing.has_code else 0.0
        print_text(scene, self.sheet, (x, y - lift), text, self._large(text, half), _INK, anchor="mm")

    def _large(self, text: str, half: float) -> ImageFont.FreeTypeFont:
        factor = self.sheet.canvas.factor
        for size in range(min(_MAX_LARGE * factor, round(1.7 * half)), 1, -1):
            face = font("sans-bold", size)
            if text_width(text, face) <= 1.9 * half:
                return face
        raise ValueError(f"{text!r} does not fit on a label of {2 * half:.0f} px")


def place_sheets(rng: np.random.Generator, canvas: Canvas, setting: str, count: int) -> list[Sheet]:
    """Squares for things, which do not overlap, in random order: in rows on shelves and lines, freely elsewhere."""
    top = round(0.2 * canvas.view_height) if setting == "water" else 0
    room = canvas.view_height - top - (round(0.1 * canvas.view_height) if setting == "sky" else 4)
    tail = 1.45 if setting == "sky" else 1.2
    columns = max(
        range(1, count + 1), key=lambda wide: min(canvas.view_width / wide, room / (-(-count // wide) * tail))
    )
    rows = -(-count // columns)
    cell = (canvas.view_width / columns, room / rows)
    widest = min(cell[0] * 0.92, cell[1] * 0.94 / tail, 0.3 * canvas.view_width) - 4
    places = [(row, column) for row in range(rows) for column in range(columns)]
    sheets = []
    for index in rng.permutation(len(places))[:count].tolist():
        row, column = places[index]
        near = (row + 1) / rows if setting == "water" else rng.uniform()
        side = int(max(min(widest, _MIN_SIDE), widest * (0.7 + 0.24 * near + 0.06 * rng.uniform())))
        spare_x, spare_y = cell[0] - side - 4, cell[1] - side * tail - 2
        left = column * cell[0] + 2 + rng.uniform(0, max(0.0, spare_x))
        if setting == "shelf":
            above = cell[1] - side - 8
        elif setting == "line":
            above = 0.1 * cell[1]
        else:
            above = 2 + rng.uniform(0, max(0.0, spare_y))
        x, y = int(left), int(top + row * cell[1] + above)
        turn = {"shelf": 0.6, "line": 2.5, "water": 3.0, "sky": 5.0}[setting]
        sheets.append(lay_sheet(rng, canvas, canvas.box(x, y, x + side, y + side), turn=turn, tilt=0.02))
    return sheets


def draw_stands(draft: Draft, setting: str, sheets: Sequence[Sheet]) -> None:
    """Draw what the things stand on or hang from."""
    if setting not in ("shelf", "line"):
        return
    canvas = draft.canvas
    middles = [sum(y for _, y in sheet.corners[2:]) / 2 for sheet in sheets]
    if setting == "line":
        middles = [sum(y for _, y in sheet.corners[:2]) / 2 for sheet in sheets]
    levels: list[float] = []
    for level in sorted(middles):
        if not levels or level - levels[-1] > canvas.px(12):
            levels.append(level)
    for level in levels:
        if setting == "line":
            draft.line(
                [(0, level), (canvas.width / 2, level + canvas.px(3)), (canvas.width, level)],
                (78, 74, 70),
                canvas.px(1.2),
            )
            continue
        edges = [(0.0, level), (float(canvas.width), level)]
        lower = [(float(canvas.width), level + canvas.px(7)), (0.0, level + canvas.px(7))]
        draft.shadow([*edges, *lower], blur=canvas.px(10), drop=(0.0, canvas.px(12)), strength=0.55)
        grain = (0.3, float(canvas.px(1.5)), float(canvas.px(160)))
        draft.fill([*edges, *lower], _SHELF, light=(1.1, 1.0, 0.74, 0.84), stain=grain, seed=round(level), grain=4.0)
        lip = [
            (0.0, level),
            (float(canvas.width), level),
            (float(canvas.width), level + canvas.px(1)),
            (0.0, level + canvas.px(1)),
        ]
        draft.fill(lip, lit(_SHELF, 1.45))
