"""Curves over training, made readable."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["WINDOW", "smoothed"]

WINDOW = 7
"""Batches that a moving average is taken over."""


def smoothed(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Moving averages that leave out batches with nothing to say; shape (seeds, batches)."""
    values = np.array(curves, dtype=np.float64)
    half = WINDOW // 2
    with np.errstate(invalid="ignore"):
        windows = [_nanmean(values[:, max(0, batch - half) : batch + half + 1]) for batch in range(values.shape[1])]
    return np.stack(windows, axis=1)


def _nanmean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    mean: NDArray[np.float64] = np.where(known, values, 0.0).sum(-1) / known.sum(-1)
    return mean
