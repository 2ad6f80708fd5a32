"""Drafts: a scene at half its size, where everything is painted that has no fine detail.

Walls, sheets, shadows and objects are painted here, at a quarter of the cost; print is then set on the full scene
(`metis_envs.scenes.sheets`). All lengths and points are in pixels of the full scene.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.noise import add_grain, clouds
from metis_gym.records import ImageArray

__all__ = ["Draft", "Points", "doubled", "lit"]

Points: TypeAlias = Sequence[tuple[float, float]]

_SCALE = 2
_GRAIN = 4.0
_ROWS = 32
_SHADOW_STEP = 8
"""Shadows are computed at this fraction of the draft's size: they have no detail."""


def doubled(half: ImageArray, canvas: Canvas) -> ImageArray:
    """A scene painted at half its size, at its own: shape (height, width, 3), uint8; the caller's own."""
    height, width = half.shape[:2]
    full = np.empty((height, _SCALE, _SCALE * width * 3), dtype=np.uint8)
    for top in range(0, height, _ROWS):  # a strip at a time, which stays in the processor's cache
        strip = half[top : top + _ROWS]
        size = (_SCALE * width, len(strip))
        wide = np.asarray(Image.fromarray(strip).resize(size, Image.Resampling.NEAREST)).reshape(len(strip), -1)
        for row in range(_SCALE):
            full[top : top + _ROWS, row] = wide
    scene = full.reshape(_SCALE * height, _SCALE * width, 3)
    return np.ascontiguousarray(scene[: canvas.height, : canvas.width])


def lit(colour: Colour, factor: float) -> Colour:
    """A colour under more (factor > 1) or less light.

    >>> lit((100, 200, 250), 1.2)
    (120, 240, 255)
    """
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue


class Draft:
    """A scene at half its size.

    Args:
        canvas: The scene.
        pixels: What is painted already, shape (⌈height / 2⌉, ⌈width / 2⌉, 3), uint8; it is painted on.
    """

    def __init__(self, canvas: Canvas, pixels: ImageArray) -> None:
        self.canvas, self.pixels = canvas, pixels

    def shadow(
        self, points: Points, *, blur: float, drop: tuple[float, float] = (0.0, 0.0), strength: float = 0.45
    ) -> None:
        """Darken softly where a shape, moved by `drop`, throws its shadow."""
        moved = [((x + drop[0]) / _SCALE, (y + drop[1]) / _SCALE) for x, y in points]
        radius = max(1.0, blur / _SCALE)
        left, top, right, bottom = self._bounds(moved, 2 * radius)
        if left >= right or top >= bottom:
            return
        step = max(1, min(_SHADOW_STEP, int(radius / 2)))
        cover = Image.new("L", (-(-(right - left) // step), -(-(bottom - top) // step)), 0)
        corners = [((x - left) / step, (y - top) / step) for x, y in moved]
        ImageDraw.Draw(cover).polygon(corners, fill=round(255 * strength))
        cover = cover.filter(ImageFilter.GaussianBlur(radius / step))
        size = (cover.width * step, cover.height * step)
        mask = cover.resize(size, Image.Resampling.BILINEAR).crop((0, 0, right - left, bottom - top))
        part = Image.fromarray(self.pixels[top:bottom, left:right])
        part.paste((12, 12, 18), (0, 0), mask)
        self.pixels[top:bottom, left:right] = np.asarray(part)

    def fill(
        self,
        points: Points,
        colour: Colour,
        *,
        light: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
        grain: float = 0.0,
        stain: tuple[float, float, float] = (0.0, 1.0, 1.0),
        seed: int = 0,
    ) -> None:
        """Fill a shape with a colour.

        Args:
            points: Its corners.
            colour: The colour.
            light: How much light falls on the upper left, upper right, lower right and lower left of its bounding box.
            grain: Standard deviation of the grain of the material.
            stain: How much stains, folds or fibres lighten and darken it, and their height and width.
            seed: Of the grain.
        """
        left, top, right, bottom = self._bounds([(x / _SCALE, y / _SCALE) for x, y in points], 1.0)
        if left >= right or top >= bottom:
            return
        shades = np.array(
            [[lit(colour, light[0]), lit(colour, light[1])], [lit(colour, light[3]), lit(colour, light[2])]]
        )
        size = (right - left, bottom - top)
        ramp = Image.fromarray(shades.astype(np.uint8)).resize(
            size, Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5)
        )
        colours = np.array(ramp)
        if stain[0]:
            colours = _stained(colours, np.random.default_rng(seed), *stain)
        self._lay(colours, points, (left, top), grain, seed)

    def place(self, points: Points, image: Image.Image, *, grain: float = 0.0, seed: int = 0) -> None:
        """Lay an RGB image into a shape with four corners: upper left, upper right, lower right, lower left."""
        left, top, right, bottom = self._bounds([(x / _SCALE, y / _SCALE) for x, y in points], 1.0)
        if left >= right or top >= bottom:
            return
        xs, ys = [x / _SCALE for x, _ in points], [y / _SCALE for _, y in points]
        target = (max(2, round(max(xs) - min(xs))), max(2, round(max(ys) - min(ys))))
        sized = image.resize(target, Image.Resampling.BILINEAR)
        whole = Image.new("RGB", (right - left, bottom - top))
        whole.paste(sized, (round(min(xs)) - left, round(min(ys)) - top))
        self._lay(np.array(whole), points, (left, top), grain, seed)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draw a line through points."""
        reach = width / 2 + 2
        left, top, right, bottom = self._bounds([(x / _SCALE, y / _SCALE) for x, y in points], reach)
        if left >= right or top >= bottom:
            return
        mask = Image.new("L", ((right - left) * _SCALE, (bottom - top) * _SCALE), 0)
        corners = [(x - left * _SCALE, y - top * _SCALE) for x, y in points]
        ImageDraw.Draw(mask).line(corners, fill=255, width=max(1, round(width)), joint="curve")
        part = Image.fromarray(self.pixels[top:bottom, left:right])
        part.paste(colour, (0, 0), mask.reduce(_SCALE))
        self.pixels[top:bottom, left:right] = np.asarray(part)

    def scene(self, *, grain: float = _GRAIN, seed: int = 0) -> ImageArray:
        """The scene with the grain of a camera, each pixel doubled. Shape (height, width, 3), the caller's own.

        Args:
            grain: Its standard deviation.
            seed: Of the grain.
        """
        add_grain(self.pixels, np.random.default_rng(seed), grain)
        return doubled(self.pixels, self.canvas)

    def _lay(self, colours: ImageArray, points: Points, corner: tuple[int, int], grain: float, seed: int) -> None:
        """Lay an image on the draft where a shape is; its edge is smooth."""
        left, top = corner
        height, width = colours.shape[:2]
        if grain:
            add_grain(colours, np.random.default_rng(seed), grain)
        mask = Image.new("L", (width * _SCALE, height * _SCALE), 0)
        ImageDraw.Draw(mask).polygon([(x - left * _SCALE, y - top * _SCALE) for x, y in points], fill=255)
        part = Image.fromarray(self.pixels[top : top + height, left : left + width])
        part.paste(Image.fromarray(colours), (0, 0), mask.reduce(_SCALE))
        self.pixels[top : top + height, left : left + width] = np.asarray(part)

    def _bounds(self, points: Points, margin: float) -> tuple[int, int, int, int]:
        """The box around points of the draft, inside of it."""
        height, width = self.pixels.shape[:2]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return (
            max(0, int(min(xs) - margin)),
            max(0, int(min(ys) - margin)),
            min(width, int(max(xs) + margin) + 1),
            min(height, int(max(ys) + margin) + 1),
        )


def _stained(colours: ImageArray, rng: np.random.Generator, strength: float, high: float, wide: float) -> ImageArray:
    height, width = colours.shape[:2]
    spots = clouds(rng, height, width, ((high / _SCALE, wide / _SCALE),), step=1)
    light = 128 + (np.asarray(spots).astype(np.int32) - 128) * round(strength * 64) // 64
    stained: ImageArray = np.clip(colours * light[:, :, None] // 128, 0, 255).astype(np.uint8)
    return stained
