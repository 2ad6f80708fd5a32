"""`patches`: which pattern fills the marked patch of a photograph? Learnable by a small policy in a minute.

Two patches lie on the photograph, one with a coarse pattern and one with a fine one; the black frame marks one of them,
and the question is the same for both. So only a look at the marked patch tells whether a tool is needed.

| necessity | the marked pattern | in the view |
|---|---|---|
| none | coarse: a quarter of the patch for each period | visible |
| required | fine: one cell for each period | its average, a colour of the photograph |
| partial | fine, under a faint coarse shade of the patterns that are left | the shade |
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.drawing import Colour
from metis_gym.records import Box, ImageArray, Necessity

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
"""Colours that other families name → RGB."""

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
"""Option → one period of the pattern, 4 × 4 blocks: 1 is dark, 0 is light."""

_WORDINGS = (
    "Which pattern fills the patch in the black frame: {listed}?",
    "What is the pattern of the patch with the black frame: {listed}?",
    "Look at the patch that has a black frame. Which pattern does it show: {listed}?",
    "One patch is framed in black. What fills it: {listed}?",
    "What kind of pattern is inside the black frame: {listed}?",
    "There are two patches. Which of these fills the one with the black edge: {listed}?",
    "How is the black-framed patch filled: {listed}?",
)

_PERIOD = 4
"""Blocks on each side of a period."""
_CONTRAST = 7
"""Grey levels of one sixteenth of a period; what is dark and what is light then average to nothing."""
_SHADE = 1
_DARKEST, _BRIGHTEST = 96, 188
_GRAIN, _MAX_GRAIN, _SHEET = 2.5, 8, 128
_TINT = 12
_PATCHES, _PLACES = 2, 4
_FRAME_SHARE = 1 / 16
_WHITE, _BLACK = (238, 236, 230), (8, 8, 8)


class Patches(Family):
    """Two framed patches in 4 × 4 places, one of them framed in black. The image is square."""

    name: ClassVar[str] = "patches"
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 32
    aspects: ClassVar[tuple[float, ...]] = (1.0,)

    def plan(self, brief: Brief) -> Blueprint:
        """Choose the places; the options are always in the same order, so that no reading is needed."""
        rng, canvas = brief.rng, brief.canvas
        names = tuple(PATTERNS)[: brief.choices or self.choices]
        side = canvas.view_width // _PLACES
        boxes = [canvas.box(x * side, y * side, (x + 1) * side, (y + 1) * side) for x, y in _places(rng)]
        scales = _scales(rng, is_fine=brief.hides)
        others = [names[index] for index in rng.choice(len(names), size=_PATCHES - 1, replace=len(names) < _PATCHES)]
        background = choose_background(rng, canvas, brief.split)
        spots, tints = rng.random((_PATCHES, 2)), [_tint(rng) for _ in range(_PATCHES)]
        grain = _grain(rng)
        frame = max(1, round(side * _FRAME_SHARE)) * canvas.factor
        blocks = {False: max(1, side // _PERIOD**2) * canvas.factor, True: canvas.factor // _PERIOD}

        def paint() -> ImageArray:
            scene = background.paint()
            colours = [_colour(scene, spot, tint) for spot, tint in zip(spots, tints, strict=True)]
            for place in (*range(1, _PATCHES), 0):  # the marked one last: its frame lies on top
                _fill(scene, boxes[place], _WHITE if place else _BLACK, margin=frame)
                _fill(scene, boxes[place], colours[place])
                patch = _patch(scene, boxes[place])
                patch += _covering(grain, patch)
            for name, box, is_fine in zip(others, boxes[1:], scales[1:], strict=True):
                _draw_pattern(scene, box, name, blocks[is_fine], _CONTRAST)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            _draw_pattern(scene, boxes[0], names[index], blocks[brief.hides], _CONTRAST)
            if brief.necessity is Necessity.PARTIAL:
                _draw_pattern(scene, boxes[0], names[index], blocks[False], _SHADE)

        return Blueprint(
            question=choose_wording(brief, _WORDINGS, listed=", ".join(names)),
            answers=names,
            paint=paint,
            draw_detail=draw_detail,
            region=boxes[0],
            notes=background.notes,
            explanation="The pattern is too fine for the view: crop it."
            if brief.hides
            else "The pattern is coarse: it is seen in the view.",
        )

    def _factors(self, smallest: int) -> list[int]:
        """A period of a fine pattern is one cell of four blocks."""
        return [factor for factor in super()._factors(smallest) if factor % _PERIOD == 0]


def _places(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Columns and rows of the patches, in 4 × 4 places; no two touch."""
    while True:
        drawn = [divmod(int(place), _PLACES) for place in rng.permutation(_PLACES**2)[:_PATCHES]]
        gaps = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a in drawn for b in drawn if a is not b]
        if min(gaps) > 1:
            return drawn


def _scales(rng: np.random.Generator, *, is_fine: bool) -> list[bool]:
    """Which patches are fine, the marked one first: always half of them."""
    others = [True, False] * (_PATCHES // 2)
    others.remove(is_fine)
    return [is_fine, *(others[index] for index in rng.permutation(len(others)))]


def _colour(scene: ImageArray, spot: NDArray[np.float64], tint: NDArray[np.int64]) -> Colour:
    """The colour of a spot of the scene, tinted, and neither so dark nor so bright that no pattern fits."""
    height, width = scene.shape[:2]
    found = scene[int(spot[0] * height), int(spot[1] * width)].astype(np.int64)
    brightness = int(np.clip(found.mean(), _DARKEST + _TINT, _BRIGHTEST - _TINT))
    red, green, blue = np.clip(found - int(found.mean()) + brightness + tint, _DARKEST, _BRIGHTEST).tolist()
    return red, green, blue


def _tint(rng: np.random.Generator) -> NDArray[np.int64]:
    """A difference of the channels, so that no patch is plain grey, on no photograph."""
    return _TINT * rng.permutation([-1, 0, 1]) + rng.integers(-_TINT // 3, _TINT // 3 + 1, size=3)


def _grain(rng: np.random.Generator) -> NDArray[np.int64]:
    """A sheet of grain, shape (side, side, 1)."""
    drawn = np.rint(rng.normal(0.0, _GRAIN, (_SHEET, _SHEET, 1))).astype(np.int64)
    return np.clip(drawn, -_MAX_GRAIN, _MAX_GRAIN)


def _patch(scene: ImageArray, box: Box) -> ImageArray:
    return scene[box[1] : box[3], box[0] : box[2]]


def _fill(scene: ImageArray, box: Box, colour: Colour, margin: int = 0) -> None:
    left, top, right, bottom = box
    area = scene[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    area[:] = np.full(area.shape[1:], colour, dtype=np.uint8)


def _draw_pattern(scene: ImageArray, box: Box, name: str, block: int, contrast: int) -> None:
    """Darken and lighten a patch, in place, so that every whole period keeps its average to the unit."""
    marks = np.array([[int(mark) for mark in row] for row in PATTERNS[name]], dtype=np.int64)
    levels = contrast * (int(marks.sum()) - marks.size * marks)
    period = np.repeat(np.repeat(levels, block, axis=0), block, axis=1)
    patch = _patch(scene, box)
    patch += _covering(period[:, :, None], patch)


def _covering(tile: NDArray[np.int64], patch: ImageArray) -> ImageArray:
    """A tile of shape (side, side, 1) repeated over a patch, as what is to be added modulo 256."""
    coloured = np.repeat(tile, 3, axis=2).astype(np.uint8)  # whole rows are added faster than channels are broadcast
    rows, columns = (-(-size // len(tile)) for size in patch.shape[:2])
    return np.tile(coloured, (rows, columns, 1))[: patch.shape[0], : patch.shape[1]]
