"""Noise: the grain of film and paper, and smooth clouds. Whole numbers only, so the same on every machine."""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_gym.records import ImageArray

__all__ = ["add_grain", "clouds", "roughness"]

_LENGTH = 2_600_000
_MIN_STEP, _MAX_STEP = 601, 1201
"""From the grain of one row to that of the next, in one long strip of grain: `_MAX_STEP` · 2048 < `_LENGTH`."""
_MAX_SIDE = 2048
_ROWS = 32
"""So many rows at a time stay in the processor's cache."""
_STEP = 8
"""Clouds are computed at this fraction of their size: they have no finer detail."""


@functools.lru_cache(maxsize=8)
def _strip(sigma: float) -> NDArray[np.int8]:
    """Grain, three times each, as the channels of an image have it."""
    drawn = np.random.default_rng(20_260_401).standard_normal(_LENGTH, dtype=np.float32)
    strip: NDArray[np.int8] = np.rint(sigma * np.clip(drawn, -4, 4)).astype(np.int8).repeat(3)
    strip.flags.writeable = False
    return strip


def add_grain(image: ImageArray, rng: np.random.Generator, sigma: float) -> None:
    """Add grain to an image or a part of one, the same in all channels, in place.

    Args:
        image: At most 2048 pixels a side.
        rng: Chooses the piece of the grain.
        sigma: Its standard deviation, at most 30.
    """
    height, width = image.shape[:2]
    if max(height, width) > _MAX_SIDE:
        raise ValueError(f"grain is for at most {_MAX_SIDE} pixels a side, actually: {width} x {height}")
    step = int(rng.integers(_MIN_STEP, _MAX_STEP))
    start = int(rng.integers(0, _LENGTH - height * step - width + 1))
    strip = _strip(sigma)[3 * start :]
    grain = np.lib.stride_tricks.as_strided(strip, (height, 3 * width), (3 * step, 1), writeable=False)
    rows = image.reshape(height, 3 * width)  # a view, also of a part of an image
    for top in range(0, height, _ROWS):
        part = rows[top : top + _ROWS]
        noisy = part + grain[top : top + _ROWS].astype(np.int16)
        np.clip(noisy, 0, 255, out=noisy)
        part[:] = noisy


def clouds(
    rng: np.random.Generator, height: int, width: int, sizes: tuple[tuple[float, float], ...], *, step: int = _STEP
) -> Image.Image:
    """Smooth noise around 128: of several sizes, each with half the weight of the one before.

    Args:
        rng: Draws it.
        height: Height in pixels.
        width: Width in pixels.
        sizes: Height and width of the spots of each noise, in pixels.
        step: It is computed at this fraction of its size.

    Returns:
        A grey image (mode L).
    """
    small = (max(1, width // step), max(1, height // step))
    total = np.zeros((small[1], small[0]), dtype=np.int32)
    weights = [1 << (len(sizes) - 1 - number) for number in range(len(sizes))]
    for weight, (spot_height, spot_width) in zip(weights, sizes, strict=True):
        shape = (max(2, round(height / spot_height) + 1), max(2, round(width / spot_width) + 1))
        spots = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        total += weight * np.asarray(spots.resize(small, Image.Resampling.BICUBIC)).astype(np.int32)
    mean = Image.fromarray((total // sum(weights)).astype(np.uint8))
    return mean.resize((width, height), Image.Resampling.BILINEAR)


def roughness(rng: np.random.Generator, height: int, width: int, strength: int = 24) -> NDArray[np.int16]:
    """How much lighter or darker a rough surface is where light falls on it from the upper left: some grey levels.

    Args:
        rng: Draws it.
        height: Height in pixels.
        width: Width in pixels.
        strength: Of 64.
    """
    bumps = np.asarray(clouds(rng, height, width, ((5, 5), (3, 3), (2, 2)), step=1), np.int16)
    rise = np.zeros((height, width), np.int16)
    rise[1:, 1:] = bumps[1:, 1:] - bumps[:-1, :-1]
    return rise * strength // 64
