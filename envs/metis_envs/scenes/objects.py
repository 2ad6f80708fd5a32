"""Things that carry a label: balloons, kites, boats, buoys, crates, parcels, tins, jerseys, bags.

Each is drawn into a square of its own, given as a sheet, so that it may be turned a little. Points are shares of its
sides, from the upper left corner.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metis_envs.scenes.draft import Draft, Points, lit
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.reliefs import Relief, light_up
from metis_envs.scenes.sheets import Sheet
from metis_gym.records import ImageArray

__all__ = ["COLOURS", "LABEL", "THINGS", "Thing", "draw_thing"]

COLOURS: dict[str, Colour] = {
    "red": (164, 42, 44),
    "green": (62, 114, 74),
    "blue": (56, 88, 152),
    "yellow": (204, 172, 70),
    "purple": (106, 70, 126),
    "orange": (210, 124, 46),
}
"""Colours that can be told apart at a glance."""

LABEL: Colour = (240, 238, 230)
"""Colour of labels."""
_STAINED = 0.12
"""Smaller shapes than this share of a thing are too small for stains to show."""


class _Brush:
    """Paints on one thing's square."""

    def __init__(
        self,
        draft: Draft,
        sheet: Sheet,
        light: tuple[float, float, float, float],
        stain: tuple[float, float, float],
        seed: int,
    ) -> None:
        self.draft, self.sheet, self.light, self.stain, self.seed = draft, sheet, light, stain, seed
        self.part = _part(draft, self)
        self.ground = self.part.copy()
        """The part of the scene where the thing stands, and the same with its shadow only."""

    def at(self, *points: tuple[float, float]) -> Points:
        return [self.sheet.at(x * self.sheet.width, y * self.sheet.height) for x, y in points]

    def shape(self, colour: Colour, *points: tuple[float, float], even: bool = False) -> None:
        light = (1.0, 1.0, 1.0, 1.0) if even else self.light
        xs, ys = zip(*points, strict=True)
        is_large = (max(xs) - min(xs)) * (max(ys) - min(ys)) > _STAINED
        stain = self.stain if is_large else (0.0, 1.0, 1.0)
        self.draft.fill(self.at(*points), colour, light=light, stain=stain, seed=self.seed)

    def box(self, colour: Colour, left: float, top: float, right: float, bottom: float) -> None:
        self.shape(colour, (left, top), (right, top), (right, bottom), (left, bottom))

    def round(self, colour: Colour, x: float, y: float, across: float, down: float) -> None:
        self.shape(colour, *_ellipse(x, y, across, down))

    def line(self, colour: Colour, width: float, *points: tuple[float, float]) -> None:
        self.draft.line(self.at(*points), colour, max(1.0, width * self.sheet.width))

    def shadow(
        self, *points: tuple[float, float], blur: float = 0.05, drop: float = 0.04, strength: float = 0.5
    ) -> None:
        side = self.sheet.width
        self.draft.shadow(self.at(*points), blur=blur * side, drop=(0.4 * drop * side, drop * side), strength=strength)
        self.ground[:] = self.part


def _ellipse(x: float, y: float, across: float, down: float, count: int = 28) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [(x + across * float(np.cos(angle)), y + down * float(np.sin(angle))) for angle in angles]


def _balloon(brush: _Brush, colour: Colour) -> None:
    """A hot-air balloon."""
    envelope = [(x, y if y < 0.42 else 0.42 + (y - 0.42) * 1.12) for x, y in _ellipse(0.5, 0.4, 0.42, 0.4)]
    brush.line((90, 80, 70), 0.01, (0.36, 0.78), (0.46, 0.94))
    brush.line((90, 80, 70), 0.01, (0.64, 0.78), (0.54, 0.94))
    brush.shape(colour, *envelope)
    for across, shade in ((0.3, 1.14), (0.12, 0.9)):
        brush.shape(lit(colour, shade), *((0.5 + (x - 0.5) * across / 0.42, y) for x, y in envelope))
    brush.box((120, 84, 50), 0.44, 0.9, 0.56, 1.0)


def _kite(brush: _Brush, colour: Colour) -> None:
    brush.line((120, 116, 110), 0.008, (0.5, 0.96), (0.56, 1.1), (0.5, 1.25), (0.58, 1.42))
    for y in (1.12, 1.3):
        brush.shape(
            lit(colour, 0.9),
            (0.44, y - 0.03),
            (0.54, y),
            (0.64, y - 0.03),
            (0.64, y + 0.04),
            (0.54, y),
            (0.44, y + 0.04),
        )
    brush.shape(colour, (0.5, 0.0), (0.97, 0.42), (0.5, 1.0), (0.03, 0.42))
    brush.shape(lit(colour, 1.16), (0.5, 0.0), (0.97, 0.42), (0.5, 0.42))
    brush.shape(lit(colour, 0.84), (0.03, 0.42), (0.5, 0.42), (0.5, 1.0))


def _mirror(brush: _Brush, colour: Colour, left: float, right: float) -> None:
    """What the water gives back: strips of the colour, narrower and paler further down."""
    brush.shadow((left, 0.97), (right, 0.97), (right - 0.06, 1.08), (left + 0.06, 1.08), blur=0.04, drop=0.02)
    for number in range(4):
        y, inset = 1.01 + 0.045 * number, 0.05 + 0.05 * number
        sway = 0.03 * (-1) ** number
        brush.line(
            lit(colour, 0.62 - 0.05 * number), 0.018, (left + inset + sway, y), (right - inset + sway, y + 0.008)
        )


def _boat(brush: _Brush, colour: Colour) -> None:
    """A sailing boat; the sail carries the label."""
    _mirror(brush, colour, 0.12, 0.92)
    brush.line((84, 62, 44), 0.03, (0.24, 0.02), (0.24, 0.86))
    brush.shape(LABEL, (0.26, 0.08), (0.72, 0.02), (0.84, 0.74), (0.26, 0.76))
    brush.line((206, 202, 190), 0.008, (0.26, 0.74), (0.84, 0.72))
    brush.shape(lit(colour, 0.8), (0.22, 0.06), (0.22, 0.7), (0.04, 0.72))
    brush.shape(colour, (0.04, 0.8), (0.98, 0.78), (0.84, 1.0), (0.18, 1.0))
    brush.shape(lit(colour, 0.6), (0.14, 0.93), (0.89, 0.92), (0.84, 1.0), (0.18, 1.0))
    brush.line((238, 236, 230), 0.014, (0.05, 0.81), (0.97, 0.79))


def _buoy(brush: _Brush, colour: Colour) -> None:
    _mirror(brush, colour, 0.08, 0.92)
    brush.line((70, 70, 72), 0.03, (0.5, 0.0), (0.5, 0.14))
    brush.round((246, 226, 150), 0.5, 0.02, 0.05, 0.05)
    brush.shape(colour, (0.26, 0.1), (0.74, 0.1), (0.86, 0.86), (0.14, 0.86))
    brush.round(lit(colour, 0.66), 0.5, 0.9, 0.46, 0.1)


def _crate(brush: _Brush, colour: Colour) -> None:
    brush.shadow((0, 0), (1, 0), (1, 1), (0, 1), blur=0.06, drop=0.03)
    brush.box(lit(colour, 0.55), 0, 0, 1, 1)
    for number in range(5):
        brush.box(
            lit(colour, (0.96, 1.08, 0.9, 1.02, 0.94)[number]), 0.0, 0.2 * number + 0.008, 1.0, 0.2 * number + 0.192
        )
    for left in (0.0, 0.88):
        brush.box(lit(colour, 0.8), left, 0, left + 0.12, 1)
        for y in (0.1, 0.5, 0.9):
            brush.round((60, 56, 52), left + 0.06, y, 0.012, 0.012)


def _parcel(brush: _Brush, colour: Colour) -> None:
    brush.shadow((0, 0.06), (1, 0.06), (1, 1), (0, 1), blur=0.06, drop=0.03)
    brush.box(colour, 0, 0.06, 1, 1)
    brush.shape(lit(colour, 1.25), (0.05, 0.0), (0.95, 0.0), (1.0, 0.08), (0.0, 0.08))
    brush.box(lit(colour, 0.74), 0.44, 0.0, 0.56, 1)
    brush.line(lit(colour, 0.6), 0.008, (0, 0.08), (1, 0.08))


def _tin(brush: _Brush, colour: Colour) -> None:
    brush.shadow((0.08, 0.04), (0.92, 0.04), (0.92, 1), (0.08, 1), blur=0.06, drop=0.03)
    brush.round(lit(colour, 0.7), 0.5, 0.96, 0.42, 0.04)
    brush.box(colour, 0.08, 0.1, 0.92, 0.96)
    for y in (0.2, 0.26, 0.86):
        brush.box(lit(colour, 0.84), 0.08, y, 0.92, y + 0.012)
    brush.box((172, 172, 168), 0.06, 0.05, 0.94, 0.12)
    brush.round((196, 196, 192), 0.5, 0.05, 0.44, 0.04)


def _jersey(brush: _Brush, colour: Colour) -> None:
    left = [(0.5, 0.11), (0.4, 0.09), (0.32, 0.04), (0.02, 0.16), (0.0, 0.36), (0.18, 0.38), (0.19, 1.0), (0.5, 1.02)]
    outline = [*left, *((1 - x, y) for x, y in reversed(left[1:-1]))]
    brush.shadow(*outline, blur=0.06, drop=0.05)
    brush.shape(colour, *outline)
    brush.shape(lit(colour, 0.86), (0.18, 0.38), (0.22, 0.3), (0.26, 1.0), (0.19, 1.0))
    brush.shape(lit(colour, 0.8), (0.8, 0.3), (0.82, 0.38), (0.81, 1.0), (0.74, 1.0))
    for x in (0.36, 0.62):
        brush.shape(lit(colour, 0.93), (x, 0.78), (x + 0.03, 1.0), (x - 0.02, 1.0))
    brush.line(LABEL, 0.03, (0.32, 0.04), (0.4, 0.1), (0.5, 0.12), (0.6, 0.1), (0.68, 0.04))
    brush.line(LABEL, 0.025, (0.02, 0.33), (0.17, 0.35))
    brush.line(LABEL, 0.025, (0.83, 0.35), (0.98, 0.33))


def _bag(brush: _Brush, colour: Colour) -> None:
    """A bag that hangs by its handle."""
    brush.line(lit(colour, 0.7), 0.04, (0.32, 0.3), (0.36, 0.06), (0.5, 0.0), (0.64, 0.06), (0.68, 0.3))
    brush.shadow((0.1, 0.26), (0.9, 0.26), (0.94, 1), (0.06, 1), blur=0.06, drop=0.05)
    brush.shape(colour, (0.12, 0.26), (0.88, 0.26), (0.93, 0.97), (0.8, 1.0), (0.2, 1.0), (0.07, 0.97))
    brush.box(lit(colour, 0.8), 0.12, 0.26, 0.88, 0.31)
    brush.line(lit(colour, 0.76), 0.012, (0.14, 0.34), (0.09, 0.95))
    brush.line(lit(colour, 0.76), 0.012, (0.86, 0.34), (0.91, 0.95))


@dataclass(frozen=True)
class Thing:
    """A kind of thing.

    Attributes:
        draw: Draws it.
        label: The middle of its label and half its side, as shares of the thing's side.
        plate: What its label is: "box", "round", or nothing of its own.
        stain: How much its surface varies, and the height and width of the spots as shares of its side.
        has_code: Has a large label a bar code?
        relief: How light falls on it.
    """

    draw: Callable[[_Brush, Colour], None]
    label: tuple[float, float, float]
    plate: str = "box"
    stain: tuple[float, float, float] = (0.0, 1.0, 1.0)
    has_code: bool = False
    relief: Relief = "box"


_WOODEN = (0.3, 0.025, 0.5)

THINGS: dict[str, dict[str, Thing]] = {
    "sky": {
        "balloon": Thing(_balloon, (0.5, 0.4, 0.24), plate="round", relief="ball"),
        "kite": Thing(_kite, (0.5, 0.43, 0.23), relief="foil"),
    },
    "water": {
        "boat": Thing(_boat, (0.53, 0.42, 0.22), plate="", relief="sail"),
        "buoy": Thing(_buoy, (0.5, 0.5, 0.23), relief="tube"),
    },
    "shelf": {
        "crate": Thing(_crate, (0.5, 0.5, 0.27), stain=_WOODEN, has_code=True),
        "parcel": Thing(_parcel, (0.49, 0.55, 0.27), has_code=True),
        "tin": Thing(_tin, (0.5, 0.54, 0.26), has_code=True, relief="tube"),
    },
    "line": {
        "jersey": Thing(_jersey, (0.5, 0.52, 0.23), relief="cloth"),
        "bag": Thing(_bag, (0.5, 0.64, 0.23), relief="cloth"),
    },
}
"""Setting → what may be there."""


def draw_thing(
    draft: Draft, sheet: Sheet, thing: Thing, colour: str, label: tuple[float, float, float], rng: np.random.Generator
) -> None:
    """Draw a thing into its square, with a label, but without what it says.

    Args:
        draft: What is drawn on.
        sheet: The square.
        thing: What it is.
        colour: By name.
        label: The middle of the label and half its side, as shares of the thing's side.
        rng: Of light and stains.
    """
    first, second, third, fourth = (
        float(part) for part in rng.uniform((0.98, 0.9, 0.68, 0.78), (1.14, 1.04, 0.86, 0.94))
    )
    side = sheet.width
    stain = (thing.stain[0], thing.stain[1] * side, thing.stain[2] * side)
    red, green, blue = (int(part) for part in rng.integers(-5, 6, size=3))
    base = COLOURS[colour]
    tinted = (base[0] + red, min(255, base[1] + green), max(0, base[2] + blue))
    brush = _Brush(draft, sheet, (first, second, third, fourth), stain, int(rng.integers(1 << 31)))
    thing.draw(brush, tinted)
    light_up(brush.part, brush.ground, thing.relief, brush.seed)
    x, y, half = label
    brush.stain = (0.0, 1.0, 1.0)
    if thing.plate == "round":
        brush.round(LABEL, x, y, 1.1 * half, 1.1 * half)
    elif thing.plate:
        brush.shadow((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half),
                     blur=0.02, drop=0.01, strength=0.4)  # fmt: skip
        brush.box(LABEL, x - half, y - half, x + half, y + half)


def _part(draft: Draft, brush: _Brush) -> ImageArray:
    """The part of a draft where a thing stands, and what hangs from it."""
    xs, ys = zip(*brush.at((0.0, 0.0), (1.0, 0.0), (1.0, 1.04), (0.0, 1.04)), strict=True)
    left, top, right, bottom = (max(0, round(edge / 2)) for edge in (min(xs), min(ys), max(xs), max(ys)))
    return draft.pixels[top:bottom, left:right]
