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
    highest = 255 * factor * factor
    if target_sums.min() < 0 or target_sums.max() > highest:
        raise ValueError(f"targets must be from 0 to {highest}, actually: {target_sums.min()} to {target_sums.max()}")
    difference = (cell_sums(drawing, factor) != target_sums).any(axis=2)
    if not difference.any():
        return drawing.copy()
    top, bottom, left, right = _around(difference)
    changed = drawing.copy()
    part = changed[top * factor : bottom * factor, left * factor : right * factor]
    targets = target_sums[top:bottom, left:right]
    part[:] = _exact(_smoothed(part, targets, factor), targets, factor)
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
        parts: The boxes that drawing may change, on the cells and not overlapping; each is concealed by itself.
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
    for place, view in enumerate(views):
        target = mean_sums([drawn[place] for drawn in drawings.values()], factor)
        view[:] = conceal(drawings[index][place], target, factor)


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


def _smoothed(drawing: ImageArray, targets: NDArray[np.int64], factor: int) -> NDArray[np.float64]:
    """Near to the targets by corrections without edges, shape (height, width, 3)."""
    values = drawing.astype(np.float64)
    for _ in range(_SMOOTH_STEPS):
        lacking: NDArray[np.float64] = (targets - _sums(np.clip(values, 0.0, 255.0), factor)) / factor**2
        values += _enlarged(lacking, values.shape[:2])
    return values


def _sums(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    height, width = values.shape[:2]
    rows = values.reshape(height // factor, factor, width, 3).sum(axis=1)
    sums: NDArray[np.float64] = rows.reshape(height // factor, width // factor, factor, 3).sum(axis=2)
    return sums


def _enlarged(cells: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    height, width = size
    channels = [
        Image.fromarray(cells[:, :, channel].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel, dtype=np.float64) for channel in channels], axis=2)


def _exact(values: NDArray[np.float64], targets: NDArray[np.int64], factor: int) -> ImageArray:
    """In whole numbers, with exactly these sums."""
    height, width = values.shape[:2]
    cells = values.reshape(height // factor, factor, width // factor, factor, 3).transpose(0, 2, 4, 1, 3)
    flat = cells.reshape(-1, factor * factor)
    wanted = targets.reshape(-1)
    shifted = np.clip(flat + _shift(flat, wanted)[:, None], 0.0, 255.0)
    whole = _handed_out(shifted, wanted)
    back = whole.reshape(cells.shape).transpose(0, 3, 1, 4, 2).reshape(height, width, 3)
    return back.astype(np.uint8)


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
    """Rounded down, with the units that are then lacking handed out to the largest remainders."""
    whole = np.floor(shifted).astype(np.int64)
    units = wanted - whole.sum(axis=1)
    remainder = np.where(whole < 255, shifted - whole, -1.0)  # what is full comes last
    order = np.argsort(-remainder, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
    whole += rank < units[:, None]
    for row in np.flatnonzero(whole.sum(axis=1) != wanted):
        _settle(whole[row], int(wanted[row]))
    return whole


def _settle(cell: NDArray[np.int64], wanted: int) -> None:
    """Reach the sum unit by unit where rounding left more than one for each pixel; in place."""
    while (lacking := wanted - int(cell.sum())) != 0:
        room = cell < 255 if lacking > 0 else cell > 0
        places = np.flatnonzero(room)[: abs(lacking)]
        cell[places] += 1 if lacking > 0 else -1
