"""`patches`: what fills a marked patch of a photograph? Learnable by a small policy in a minute.

| necessity | the patch | the question |
|---|---|---|
| none | one plain colour, 6 % of the image | which colour? |
| required | a texture that averages to plain grey in every view pixel | which pattern? |
"""

from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.view import conceal
from metis_gym.records import Box, ImageArray

__all__ = ["COLOURS", "PATTERNS", "Patches"]

COLOURS = {
    "red": (208, 36, 36),
    "green": (30, 150, 55),
    "blue": (35, 70, 205),
    "yellow": (240, 212, 40),
    "purple": (135, 45, 165),
    "orange": (240, 130, 25),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
"""Option → RGB, in the order in which options are used."""

PATTERNS = {
    "horizontal stripes": ("1111", "1111", "0000", "0000"),
    "vertical stripes": ("1100", "1100", "1100", "1100"),
    "rising diagonal stripes": ("0011", "0110", "1100", "1001"),
    "falling diagonal stripes": ("1100", "0110", "0011", "1001"),
    "a checkerboard": ("1100", "1100", "0011", "0011"),
    "dots": ("0000", "0110", "0110", "0000"),
    "a grid": ("1111", "1000", "1000", "1000"),
    "rings": ("1110", "1010", "1110", "0000"),
}
"""Option → one period of the pattern, 4 × 4 blocks of k/4 source pixels: 1 is dark, 0 is light."""

_GREY = (128, 128, 128)
_CONTRAST = 110.0
_PATCHES_PER_SIDE = 4
_FRAME_SHARE = 1 / 16


class Patches(Family):
    """A framed patch in one of 4 × 4 places, and what fills it. The image is square."""

    name: ClassVar[str] = "patches"
    smallest_view: ClassVar[int] = 32
    aspects: ClassVar[tuple[float, ...]] = (1.0,)

    def plan(self, brief: Brief) -> Blueprint:
        """Choose the place; the options are always in the same order, so that no reading is needed."""
        canvas = brief.canvas
        names = tuple(PATTERNS if brief.hides else COLOURS)[: brief.choices or self.choices]
        place = brief.rng.integers(0, _PATCHES_PER_SIDE, size=2)
        side = canvas.view_width // _PATCHES_PER_SIDE
        left, top = int(place[0]) * side, int(place[1]) * side
        background = choose_background(brief.rng, canvas, brief.split)
        patch = canvas.box(left, top, left + side, top + side)
        frame = max(1, round(side * _FRAME_SHARE)) * canvas.factor

        def paint() -> ImageArray:
            scene = background.paint()
            _fill(scene, patch, (0, 0, 0), margin=frame)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            if brief.hides:
                scene[patch[1] : patch[3], patch[0] : patch[2]] = _texture(names[index], patch, canvas.factor)
            else:
                _fill(scene, patch, COLOURS[names[index]])

        listed = ", ".join(names)
        question = (
            f"Which pattern fills the patch in the black frame: {listed}?"
            if brief.hides
            else f"Which colour fills the patch in the black frame: {listed}?"
        )
        return Blueprint(
            question=question,
            answers=names,
            paint=paint,
            draw_detail=draw_detail,
            region=patch,
            notes=background.notes,
            explanation="The patch is plain grey in the view: crop it."
            if brief.hides
            else "The colour is seen directly.",
        )

    def _factors(self, smallest: int) -> list[int]:
        """A period of a pattern is one cell of four blocks."""
        return [factor for factor in super()._factors(smallest) if factor % 4 == 0]


def _fill(scene: ImageArray, box: Box, colour: Colour, margin: int = 0) -> None:
    left, top, right, bottom = box
    scene[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = colour


def _texture(name: str, box: Box, factor: int) -> ImageArray:
    period = np.array([[int(mark) for mark in row] for row in PATTERNS[name]], dtype=np.float64)
    cell = np.repeat(np.repeat(period, factor // 4, axis=0), factor // 4, axis=1)
    detail = np.repeat(cell[:, :, None] * -2 * _CONTRAST, 3, axis=2)
    rows, columns = (box[3] - box[1]) // factor, (box[2] - box[0]) // factor
    return np.tile(conceal(detail, _GREY, factor), (rows, columns, 1))
