"""Noise: the grain of film and paper, and smooth clouds. Whole numbers only, so the same on every machine."""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_gym.records import ImageArray

__all__ = ["add_grain", "clouds", "grain"]

_SIDE = 2304
_STEP = 8
"""Clouds are computed at this fraction of their size: they have no finer detail."""


def grain(rng: np.random.Generator, height: int, width: int, sigma: float) -> NDArray[np.int8]:
    """Grain of a standard deviation of at most 30, shape (height, width), read-only; at most 2048 a side."""
    top, left = (int(rng.integers(0, _SIDE - side + 1)) for side in (height, width))
    part: NDArray[np.int8] = _tile(sigma)[top : top + height, left : left + width]
    return part


@functools.lru_cache(maxsize=8)
def _tile(sigma: float) -> NDArray[np.int8]:
    drawn = np.random.default_rng(20_260_401).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    tile: NDArray[np.int8] = np.rint(sigma * np.clip(drawn, -4, 4)).astype(np.int8)
    tile.flags.writeable = False
    return tile


def add_grain(image: ImageArray, rng: np.random.Generator, sigma: float) -> None:
    """Add grain of a standard deviation to an image or a part of one, the same in all channels, in place."""
    noisy = image.astype(np.int16)
    noisy += grain(rng, image.shape[0], image.shape[1], sigma)[:, :, None]
    np.clip(noisy, 0, 255, out=noisy)
    image[:] = noisy


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
