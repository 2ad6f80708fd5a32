"""The view: what a model is shown of a source image, and details that the view cannot hold.

A view is the source box-filtered down by an integer factor k: each view pixel is a function of the sum over one k×k
cell of the source, and of nothing else. So a detail whose every cell sums to the same value, whatever the answer, is
not merely hard to see in the view: the views of all answers are equal to the bit.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_gym.records import ImageArray

__all__ = ["box_view", "conceal"]

_ROWS = 16


def box_view(source: ImageArray, factor: int) -> ImageArray:
    """Reduce an image by an integer factor.

    Args:
        source: Shape (height, width, 3), uint8; both sides are multiples of `factor`.
        factor: k, the side of a cell.

    Returns:
        Shape (height / k, width / k, 3), uint8.

    Raises:
        ValueError: A side is not a multiple of the factor.
    """
    height, width = source.shape[:2]
    if height % factor or width % factor:
        raise ValueError(f"a {width} x {height} image cannot be cut into {factor} x {factor} cells")
    view = np.empty((height // factor, width // factor, 3), dtype=np.uint8)
    for top in range(0, len(view), _ROWS):  # a strip at a time: the memory of a whole image costs more than reducing it
        strip = source[top * factor : (top + _ROWS) * factor]
        view[top : top + _ROWS] = Image.fromarray(strip).reduce(factor)
    return view


def conceal(detail: NDArray[np.floating], base: tuple[int, int, int], factor: int) -> ImageArray:
    """Draw a detail so that every cell keeps the sum of a plain area of colour `base`.

    The detail minus its mean in every cell, scaled down in the cells where it would leave 0 … 255, rounded so that the
    integers of each cell and channel sum to zero, on the base colour.

    Args:
        detail: Shape (height, width, 3): what to draw, as differences from `base`. Both sides are multiples of
            `factor`, and the area must lie on the cells of the image.
        base: RGB; leave room on both sides, such as (128, 128, 128).
        factor: k, the side of a cell.

    Returns:
        Shape (height, width, 3), uint8. The sum over every cell and channel is k² times the base.
    """
    height, width = detail.shape[:2]
    cells = detail.reshape(height // factor, factor, width // factor, factor, 3).transpose(0, 2, 4, 1, 3)
    flat = cells.reshape(*cells.shape[:3], factor * factor).astype(np.float64)
    flat = flat - flat.mean(axis=-1, keepdims=True)
    flat *= _scale(flat, np.asarray(base, dtype=np.float64)[:, None])
    whole = _round_to_zero_sum(flat) + np.asarray(base, dtype=np.int64)[:, None]
    back = whole.reshape(cells.shape).transpose(0, 3, 1, 4, 2).reshape(height, width, 3)
    return back.astype(np.uint8)


def _scale(flat: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each cell and channel the largest factor ≤ 1 that keeps base + detail in 0 … 255, with 1 to spare."""
    highest = np.maximum(flat.max(axis=-1, keepdims=True), 1e-9)
    lowest = np.maximum(-flat.min(axis=-1, keepdims=True), 1e-9)
    scale: NDArray[np.float64] = np.minimum(1.0, np.minimum((254.0 - base) / highest, (base - 1.0) / lowest))
    return scale


def _round_to_zero_sum(flat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round so that each row (last axis) still sums to zero: differences of the rounded running sums."""
    running = np.rint(flat.cumsum(axis=-1)).astype(np.int64)
    whole: NDArray[np.int64] = np.diff(running, axis=-1, prepend=0)
    return whole
