"""Natural concealment: details that a crop shows and that the view cannot tell apart.

Each possible answer is drawn plainly into the scene, as small print, a glyph, a fine pattern. The view is a function of
the sums over its cells (`metis_envs.scenes.view`), so drawings whose sums agree in every cell and channel have the same
view, to the bit. `conceal` changes drawings as little as it can until their sums agree with a target, which is the mean
of all drawings: in the view stands an ordinary smudge of small print, and in a crop a faint halo, which the grain of
the paper covers.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_gym.records import Box, ImageArray

__all__ = ["cell_sums", "conceal", "conceal_among", "mean_sums"]

_SMOOTH_STEPS = 12
_NEWTON_STEPS = 4
_BISECTIONS = 30
_REMAINDER_STEPS = 1 << 20
"""Remainders that differ by less are as large as each other."""
_REACH = 2
"""Cells around a difference that the smooth correction may change."""


def cell_sums(image: ImageArray, factor: int) -> NDArray[np.int64]:
    """The sums that the view is a function of.

    Args:
        image: Shape (height, width, 3), uint8; both sides are multiples of `factor`.
        factor: k, the side of a cell.

    Returns:
        Shape (height / k, width / k, 3).
    """
    height, width = image.shape[:2]
    rows = image.reshape(height // factor, factor, width, 3).sum(axis=1, dtype=np.int64)
    sums: NDArray[np.int64] = rows.reshape(height // factor, width // factor, factor, 3).sum(axis=2)
    return sums


def mean_sums(drawings: Sequence[ImageArray], factor: int) -> NDArray[np.int64]:
    """The target of a block: the rounded mean of the cell sums of its drawings, shape (height / k, width / k, 3)."""
    total = sum(cell_sums(drawing, factor) for drawing in drawings)
    count = len(drawings)
    mean: NDArray[np.int64] = (2 * np.asarray(total, dtype=np.int64) + count) // (2 * count)
    return mean


def conceal(drawing: ImageArray, target_sums: NDArray[np.int64], factor: int) -> ImageArray:
    """Change a drawing so that its cell sums are exactly those of a target.

    First comes a smooth correction, which looks like a faint halo, then one shift for each cell and channel, then the
    remaining units, handed out by largest remainder. Only cells near a difference are changed.

    Args:
        drawing: Shape (height, width, 3), uint8; both sides are multiples of `factor`.
        target_sums: Shape (height / k, width / k, 3), each from 0 to 255 k².
        factor: k, the side of a cell.

    Returns:
        Shape (height, width, 3), uint8.

    Raises:
        ValueError: A target cannot be reached by any drawing.
    """
    (changed,) = _concealed([drawing], [target_sums], factor)
    return changed


def conceal_among(
    scene: ImageArray,
    parts: Sequence[Box],
    draw: Callable[[ImageArray, int], None],
    index: int,
    others: Sequence[int],
    factor: int,
) -> None:
    """Draw a detail on a scene so that its view is that of any of several others, in place.

    Args:
        scene: The scene without the detail.
        parts: The boxes that drawing may change, on the cells and not overlapping; each is a detail by itself.
        draw: Draws the detail of an index, plainly.
        index: Which detail is drawn.
        others: All indices that have this view, with `index` or without it.
        factor: k, the side of a cell.
    """
    views = [scene[top:bottom, left:right] for left, top, right, bottom in parts]
    bare = [view.copy() for view in views]
    drawings = {}
    for other in dict.fromkeys((index, *others)):
        draw(scene, other)
        drawings[other] = [view.copy() for view in views]
        for view, plain in zip(views, bare, strict=True):
            view[:] = plain
    targets = [mean_sums([drawn[place] for drawn in drawings.values()], factor) for place in range(len(views))]
    for view, hidden in zip(views, _concealed(drawings[index], targets, factor), strict=True):
        view[:] = hidden


def _concealed(drawings: Sequence[ImageArray], targets: Sequence[NDArray[np.int64]], factor: int) -> list[ImageArray]:
    """Conceal drawings that have nothing to do with each other; all at once, which is faster than one by one."""
    highest = 255 * factor * factor
    for wanted in targets:
        if wanted.min() < 0 or wanted.max() > highest:
            raise ValueError(f"targets must be from 0 to {highest}, actually: {wanted.min()} to {wanted.max()}")
    changed = [drawing.copy() for drawing in drawings]
    near: list[ImageArray] = []
    wanted_near: list[NDArray[np.int64]] = []
    for drawing, wanted in zip(changed, targets, strict=True):
        difference = (cell_sums(drawing, factor) != wanted).any(axis=2)
        if difference.any():
            top, bottom, left, right = _around(difference)
            near.append(drawing[top * factor : bottom * factor, left * factor : right * factor])
            wanted_near.append(wanted[top:bottom, left:right])
    if near:
        strip = _Strip(near, wanted_near, factor)
        strip.smooth()
        strip.settle()
    return changed


class _Strip:
    """Parts of drawings in a row, each channel by itself, a gap between any two: what corrections are made on.

    Args:
        parts: Views of the drawings, which `settle` changes.
        targets: The sums that their cells are to have.
        factor: k, the side of a cell.
    """

    def __init__(self, parts: Sequence[ImageArray], targets: Sequence[NDArray[np.int64]], factor: int) -> None:
        self.parts, self.factor = parts, factor
        high = max(len(target) for target in targets)
        wide = sum(3 * (target.shape[1] + _REACH) for target in targets)
        self.values = np.zeros((high * factor, wide * factor), dtype=np.float32)
        self.wanted = np.zeros((high, wide), dtype=np.int64)
        self.is_cell = np.zeros((high, wide), dtype=bool)
        self.lefts: list[int] = []
        left = 0
        for part, target in zip(parts, targets, strict=True):
            rows, columns = target.shape[:2]
            self.lefts.append(left)
            for channel in range(3):
                self.wanted[:rows, left : left + columns] = target[:, :, channel]
                self.is_cell[:rows, left : left + columns] = True
                self._pixels(left, rows, columns)[:] = part[:, :, channel]
                left += columns + _REACH

    def smooth(self) -> None:
        """Bring the sums near to the targets by corrections without edges."""
        factor = self.factor
        size = self.values.shape[1], self.values.shape[0]
        for _ in range(_SMOOTH_STEPS):
            within = np.clip(self.values, 0.0, 255.0)
            rows = within.reshape(-1, factor, size[0]).sum(axis=1)
            sums = rows.reshape(len(rows), -1, factor).sum(axis=2)
            lacking = np.where(self.is_cell, (self.wanted - sums) / factor**2, 0.0).astype(np.float32)
            self.values += np.asarray(Image.fromarray(lacking).resize(size, Image.Resampling.BICUBIC))

    def settle(self) -> None:
        """Write the parts in whole numbers, with exactly the sums that are wanted."""
        factor = self.factor
        high, wide = self.wanted.shape
        cells = self.values.reshape(high, factor, wide, factor).transpose(0, 2, 1, 3)
        flat = cells[self.is_cell].reshape(-1, factor * factor).astype(np.float64)
        wanted = self.wanted[self.is_cell]
        shifted = np.clip(flat + _shift(flat, wanted)[:, None], 0.0, 255.0)
        cells[self.is_cell] = _handed_out(shifted, wanted).reshape(-1, factor, factor)
        for part, start in zip(self.parts, self.lefts, strict=True):
            rows, columns = part.shape[0] // factor, part.shape[1] // factor
            for channel in range(3):
                left = start + channel * (columns + _REACH)
                part[:, :, channel] = self._pixels(left, rows, columns)

    def _pixels(self, left: int, rows: int, columns: int) -> NDArray[np.float32]:
        """The pixels of some rows and columns of cells, from the upper edge."""
        factor = self.factor
        return self.values[: rows * factor, left * factor : (left + columns) * factor]


def _around(difference: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First and last row and column of cells that are looked at; the last ones exclusive."""
    rows, columns = np.flatnonzero(difference.any(axis=1)), np.flatnonzero(difference.any(axis=0))
    height, width = difference.shape
    return (
        max(0, int(rows[0]) - _REACH),
        min(height, int(rows[-1]) + 1 + _REACH),
        max(0, int(columns[0]) - _REACH),
        min(width, int(columns[-1]) + 1 + _REACH),
    )


def _shift(flat: NDArray[np.float64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each row the shift s with Σ clip(row + s, 0, 255) = wanted, from below; shape (rows,)."""
    shift = np.zeros(len(flat))
    for _ in range(_NEWTON_STEPS):
        moved = flat + shift[:, None]
        free = ((moved > 0.0) & (moved < 255.0)).sum(axis=1)
        shift += (wanted - np.clip(moved, 0.0, 255.0).sum(axis=1)) / np.maximum(free, 1)
    lacking = wanted - np.clip(flat + shift[:, None], 0.0, 255.0).sum(axis=1)
    far = np.flatnonzero(np.abs(lacking) > 1e-6)
    shift[far] = _bisected(flat[far], wanted[far])
    return shift


def _bisected(flat: NDArray[np.float64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    low: NDArray[np.float64] = -flat.max(axis=1, initial=0.0)  # everything is 0
    high = 255.0 - flat.min(axis=1, initial=255.0)  # everything is 255
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_enough = np.clip(flat + middle[:, None], 0.0, 255.0).sum(axis=1) > wanted
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return low


def _handed_out(shifted: NDArray[np.float64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rounded down, with the units that are then lacking handed out to the largest remainders, the first ones first."""
    floors = np.floor(shifted)
    whole = floors.astype(np.int64)
    units = wanted - whole.sum(axis=1)
    count = whole.shape[1]
    steps = np.rint((shifted - floors) * _REMAINDER_STEPS).astype(np.int64)
    steps[whole >= 255] = -1  # what is full comes last
    keys = steps * count + np.arange(count - 1, -1, -1)  # no two of a cell are equal
    place = np.clip(count - units, 0, count)
    lowest = np.take_along_axis(np.sort(keys, axis=1), np.minimum(place, count - 1)[:, None], axis=1)
    whole += (keys >= lowest) & (place < count)[:, None]
    for row in np.flatnonzero((whole.sum(axis=1) != wanted) | (whole > 255).any(axis=1)):
        np.minimum(whole[row], 255, out=whole[row])
        _settle(whole[row], int(wanted[row]))
    return whole


def _settle(cell: NDArray[np.int64], wanted: int) -> None:
    """Reach the sum unit by unit where rounding left more than one for each pixel; in place."""
    while (lacking := wanted - int(cell.sum())) != 0:
        room = cell < 255 if lacking > 0 else cell > 0
        places = np.flatnonzero(room)[: abs(lacking)]
        cell[places] += 1 if lacking > 0 else -1
