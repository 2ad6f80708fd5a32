"""How each kind of building is drawn: plain shapes, in shares of the image's height, from the ground up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import ImageDraw

from metis_envs.scenes.drawing import Colour

__all__ = ["BUILDINGS", "Brush"]

_DARK: Colour = (38, 36, 40)
_LIGHT: Colour = (250, 226, 150)


@dataclass(frozen=True, kw_only=True)
class Brush:
    """Draws shapes around a point on the ground.

    Attributes:
        pen: Draws in pixels.
        unit: Height of the image, pixels.
        centre: The building's middle, in units from the left.
        ground: Where it stands, in units from the top.
        wall: Colour of its walls.
        roof: Colour of its roof.
        wide: Its width, 1 for usual.
        high: Its height, 1 for usual.
        count: How many arches, columns, stripes or rows of windows it has.
    """

    pen: ImageDraw.ImageDraw
    unit: int
    centre: float
    ground: float
    wall: Colour
    roof: Colour
    wide: float
    high: float
    count: int

    @property
    def shade(self) -> Colour:
        """The walls' colour in shadow."""
        red, green, blue = (int(0.72 * part) for part in self.wall)
        return red, green, blue

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point x to the right of the middle and y above the ground, stretched to the building's size."""
        return (self.centre + x * self.wide) * self.unit, (self.ground - y * self.high) * self.unit

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """A rectangle whose lower edge has its middle at (x, y)."""
        self.pen.rectangle((*self.point(x - width / 2, y + height), *self.point(x + width / 2, y)), fill=colour)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A polygon."""
        self.pen.polygon([self.point(x, y) for x, y in points], fill=colour)

    def dome(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """The upper half of an ellipse, standing on (x, y)."""
        corners = (*self.point(x - width / 2, y + height), *self.point(x + width / 2, y - height))
        self.pen.pieslice(corners, 180, 360, fill=colour)

    def arch(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """An opening with a round top, standing on (x, y)."""
        self.box(x, y, width, height * 0.6, colour)
        self.dome(x, y + height * 0.6, width, height * 0.4, colour)

    def spread(self, width: float, count: int) -> list[float]:
        """So many positions, evenly over a width around the middle."""
        return [width * ((i + 0.5) / count - 0.5) for i in range(count)]


def _bridge(brush: Brush) -> None:
    width = 1.1
    brush.box(0, 0, width, 0.24, brush.wall)
    for x in brush.spread(width, brush.count):
        brush.arch(x, -0.02, 0.76 * width / brush.count, 0.2, brush.shade)
    brush.box(0, 0.24, width * 1.04, 0.035, brush.roof)


def _gate(brush: Brush) -> None:
    brush.box(0, 0, 0.5, 0.34, brush.wall)
    brush.arch(0, 0, 0.18, 0.26, _DARK)
    for side in (-0.28, 0.28):
        brush.box(side, 0, 0.14, 0.48, brush.shade)
        brush.shape([(side - 0.09, 0.48), (side, 0.62), (side + 0.09, 0.48)], brush.roof)
    for x in brush.spread(0.44, brush.count):
        brush.box(x, 0.34, 0.04, 0.04, brush.wall)


def _library(brush: Brush) -> None:
    brush.box(0, 0, 0.8, 0.3, brush.wall)
    for row in (0.04, 0.17):
        for x in brush.spread(0.74, brush.count + 2):
            brush.box(x, row, 0.05, 0.09, _DARK)
    brush.shape([(-0.44, 0.3), (-0.36, 0.4), (0.36, 0.4), (0.44, 0.3)], brush.roof)


def _lighthouse(brush: Brush) -> None:
    top = 0.6
    stripes = 2 * brush.count - 1
    for i in range(stripes):
        low, high = top * i / stripes, top * (i + 1) / stripes
        narrow, wide = (0.1 - 0.055 * y / top for y in (high, low))
        colour = brush.wall if i % 2 == 0 else brush.roof
        brush.shape([(-wide, low), (-narrow, high), (narrow, high), (wide, low)], colour)
    brush.box(0, top, 0.12, 0.02, _DARK)
    brush.box(0, top + 0.02, 0.07, 0.07, _LIGHT)
    brush.dome(0, top + 0.09, 0.09, 0.05, _DARK)


def _mill(brush: Brush) -> None:
    brush.shape([(-0.15, 0), (-0.1, 0.38), (0.1, 0.38), (0.15, 0)], brush.wall)
    brush.dome(0, 0.38, 0.22, 0.1, brush.roof)
    brush.arch(0, 0, 0.06, 0.1, _DARK)
    tilt = 0.06 * brush.count
    for along, across in ((1, tilt), (-tilt, 1), (-1, -tilt), (tilt, -1)):
        x, y = 0.3 * along, 0.3 * across
        side_x, side_y = -0.05 * across, 0.05 * along
        brush.shape([(0, 0.4), (x, 0.4 + y), (x + side_x, 0.4 + y + side_y), (side_x, 0.4 + side_y)], _LIGHT)


def _museum(brush: Brush) -> None:
    brush.box(0, 0, 0.7, 0.04, brush.shade)
    brush.box(0, 0.04, 0.64, 0.24, brush.shade)
    for x in brush.spread(0.62, brush.count + 2):
        brush.box(x, 0.04, 0.3 / (brush.count + 2), 0.24, brush.wall)
    brush.shape([(-0.38, 0.28), (0, 0.42), (0.38, 0.28)], brush.roof)


def _observatory(brush: Brush) -> None:
    brush.box(0, 0, 0.6, 0.14, brush.wall)
    for x in brush.spread(0.54, brush.count):
        brush.box(x, 0.04, 0.04, 0.06, _DARK)
    brush.box(0, 0.14, 0.36, 0.1, brush.shade)
    brush.dome(0, 0.24, 0.38, 0.22, brush.roof)
    brush.shape([(0.02, 0.25), (0.05, 0.45), (0.09, 0.43), (0.08, 0.25)], _DARK)


def _tower(brush: Brush) -> None:
    brush.box(0, 0, 0.2, 0.62, brush.wall)
    brush.box(0.06, 0, 0.08, 0.62, brush.shade)
    for row in range(brush.count):
        brush.arch(-0.03, 0.08 + 0.5 * row / brush.count, 0.04, 0.05, _DARK)
    brush.box(0, 0.62, 0.24, 0.03, brush.shade)
    brush.shape([(-0.12, 0.65), (0, 0.65 + 0.04 * brush.count), (0.12, 0.65)], brush.roof)


BUILDINGS: Mapping[str, Callable[[Brush], None]] = {
    "bridge": _bridge,
    "gate": _gate,
    "library": _library,
    "lighthouse": _lighthouse,
    "mill": _mill,
    "museum": _museum,
    "observatory": _observatory,
    "tower": _tower,
}
"""Kind → draws a building of it."""
