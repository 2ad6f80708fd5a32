"""Sheets: flat things seen at a slight angle, such as signs, papers and labels, and the print on them.

A sheet has pixels of its own, as many as it is wide and high in the scene, and corners in the scene. Print is set in
the sheet's pixels and lands in the scene by the same perspective for every text, so that the region that an answer may
touch is known before any is drawn.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Points
from metis_envs.scenes.drawing import Colour, paste_ink
from metis_envs.scenes.noise import add_grain
from metis_gym.records import Box, ImageArray

__all__ = ["Sheet", "lay_sheet", "print_mask", "print_text", "roughen"]

_PAD = 2
_SMALL = 44
"""Print less high than this, in pixels, is warped with more care."""
_INK_STRENGTH = 240
"""How much print covers, of 255: it is a little transparent, as ink is."""


@dataclass(frozen=True)
class Sheet:
    """A flat thing in its place.

    Attributes:
        width: Its width in its own pixels.
        height: Its height in its own pixels.
        corners: Its upper left, upper right, lower right and lower left corner in the scene.
        canvas: The scene.
    """

    width: float
    height: float
    corners: tuple[tuple[float, float], ...]
    canvas: Canvas

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the sheet is in the scene."""
        a, b, c, d, e, f, g, h, i = self._entries
        depth = g * x + h * y + i
        return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth

    def quad(self, left: float, top: float, right: float, bottom: float) -> Points:
        """The corners of a box of the sheet, in the scene."""
        return [self.at(left, top), self.at(right, top), self.at(right, bottom), self.at(left, bottom)]

    def outline(self, inset: float = 0.0, radius: float = 0.0) -> Points:
        """The edge of the sheet, or of what is left inside an inset, with round corners if wished, in the scene."""
        left, top, right, bottom = inset, inset, self.width - inset, self.height - inset
        if radius <= 0:
            return self.quad(left, top, right, bottom)
        centres = ((right - radius, bottom - radius), (left + radius, bottom - radius),
                   (left + radius, top + radius), (right - radius, top + radius))  # fmt: skip
        return [
            self.at(
                x + radius * _COSINES[(3 * quarter + step) % 12], y + radius * _COSINES[(3 * quarter + step - 3) % 12]
            )
            for quarter, (x, y) in enumerate(centres)
            for step in range(4)
        ]

    def cells(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The box of cells of the scene that a box of the sheet touches, in source pixels."""
        factor = self.canvas.factor
        xs, ys = zip(*self.quad(left, top, right, bottom), strict=True)
        return (
            max(0, int(np.floor((min(xs) - 1) / factor)) * factor),
            max(0, int(np.floor((min(ys) - 1) / factor)) * factor),
            min(self.canvas.width, int(np.ceil((max(xs) + 1) / factor)) * factor),
            min(self.canvas.height, int(np.ceil((max(ys) + 1) / factor)) * factor),
        )

    @functools.cached_property
    def matrix(self) -> NDArray[np.float64]:
        """From homogeneous points of the sheet to those of the scene (Heckbert 1989, section 2.2.3)."""
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = self.corners
        dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
        dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
        area = dx1 * dy2 - dx2 * dy1
        g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
        unit = np.array(
            [[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, 1.0]]
        )
        matrix: NDArray[np.float64] = unit / np.array([self.width, self.height, 1.0])
        return matrix

    def backwards(self, left: float, top: float, x: float, y: float) -> tuple[float, ...]:
        """From points of the scene, seen from (left, top), to those of the sheet, seen from (x, y), as Pillow has it.

        Returns:
            The first eight entries of the matrix whose ninth is 1.
        """
        a, b, c, d, e, f, g, h, i = self._inverse
        c, f, i = a * left + b * top + c, d * left + e * top + f, g * left + h * top + i
        rows = (a - x * g, b - x * h, c - x * i, d - y * g, e - y * h, f - y * i, g, h)
        return tuple(entry / i for entry in rows)

    @functools.cached_property
    def _inverse(self) -> tuple[float, ...]:
        """By cofactors, and up to a factor, which homogeneous coordinates do not need."""
        a, b, c, d, e, f, g, h, i = self._entries
        return (
            *(e * i - f * h, c * h - b * i, b * f - c * e),
            *(f * g - d * i, a * i - c * g, c * d - a * f),
            *(d * h - e * g, b * g - a * h, a * e - b * d),
        )

    @functools.cached_property
    def _entries(self) -> tuple[float, ...]:
        return tuple(float(entry) for entry in self.matrix.reshape(-1))


_COSINES = tuple(float(np.cos(step * np.pi / 6)) for step in range(12))


def lay_sheet(rng: np.random.Generator, canvas: Canvas, box: Box, *, turn: float = 2.0, tilt: float = 0.02) -> Sheet:
    """Lay a sheet of the size of a box over it, turned and tilted a little at random around its middle.

    Args:
        rng: Turns and tilts it.
        canvas: The scene.
        box: Where, in source pixels.
        turn: Most degrees by which it is turned.
        tilt: Most by which a side is shorter than the opposite one, as a share.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    angle = np.deg2rad(rng.uniform(-turn, turn))
    narrower, lower = rng.uniform(-tilt, tilt, size=2)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    middle = ((left + right) / 2, (top + bottom) / 2)
    corners = []
    for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        across, down = x * width * (1 + y * narrower), y * height * (1 + x * lower)
        corners.append((middle[0] + across * cosine - down * sine, middle[1] + across * sine + down * cosine))
    return Sheet(width, height, tuple(corners), canvas)


def print_text(
    scene: ImageArray,
    sheet: Sheet,
    place: tuple[float, float],
    text: str,
    face: ImageFont.FreeTypeFont,
    colour: Colour,
    *,
    anchor: str = "lm",
) -> None:
    """Set a line of text on a sheet, in place.

    Args:
        scene: The scene.
        sheet: What is printed on.
        place: Where its anchor is, in pixels of the sheet.
        text: The text.
        face: The font, at its size in pixels of the sheet.
        colour: The ink.
        anchor: As Pillow names them.
    """
    left, top, mask = _inked(text, face, anchor)
    print_mask(scene, sheet, (place[0] + left, place[1] + top), mask, colour)


@functools.lru_cache(maxsize=512)
def _inked(text: str, face: ImageFont.FreeTypeFont, anchor: str) -> tuple[int, int, Image.Image]:
    """Where the ink of a line of text begins, from its anchor, and the ink as a grey image, not to be changed."""
    left, top, right, bottom = (int(edge) for edge in face.getbbox(text, anchor=anchor))
    mask = Image.new("L", (right - left + 2 * _PAD, bottom - top + 2 * _PAD), 0)
    ImageDraw.Draw(mask).text((_PAD - left, _PAD - top), text, fill=_INK_STRENGTH, font=face, anchor=anchor)
    return left - _PAD, top - _PAD, mask


def print_mask(scene: ImageArray, sheet: Sheet, corner: tuple[float, float], mask: Image.Image, colour: Colour) -> None:
    """Print ink on a sheet, in place.

    Args:
        scene: The scene.
        sheet: What is printed on.
        corner: The upper left corner of the mask, in pixels of the sheet.
        mask: Where the ink is: a grey image.
        colour: The ink.
    """
    xs, ys = zip(*sheet.quad(*corner, corner[0] + mask.width, corner[1] + mask.height), strict=True)
    height, width = scene.shape[:2]
    left, top = max(0, int(min(xs))), max(0, int(min(ys)))
    right, bottom = min(width, int(max(xs)) + 1), min(height, int(max(ys)) + 1)
    if left >= right or top >= bottom:
        return
    coefficients = sheet.backwards(left, top, *corner)
    size = (right - left, bottom - top)
    smooth = Image.Resampling.BICUBIC if mask.height < _SMALL else Image.Resampling.BILINEAR
    cover = mask.transform(size, Image.Transform.PERSPECTIVE, coefficients, smooth)
    paste_ink(scene, cover, colour, left, top)


def roughen(scene: ImageArray, box: Box, rng: np.random.Generator, sigma: float = 4.0) -> None:
    """Add fine grain inside of a box of a scene, in place: that of paper, or of a camera close up."""
    left, top, right, bottom = box
    add_grain(scene[max(0, top) : bottom, max(0, left) : right], rng, sigma)
