"""Images as arrays: fitting them to a model's limits, storing them without loss.

Arrays have shape (height, width, 3), uint8, RGB. Nothing here decodes bytes that came from a sandbox.
"""

import hashlib
import io
import math

import numpy as np
from PIL import Image

from metis_gym.images.decoder import decode
from metis_gym.records import ImageArray

__all__ = ["MAX_ASPECT", "MAX_PIXELS", "MIN_PIXELS", "fingerprint", "fit", "from_png", "shrink", "to_png"]

MIN_PIXELS = 4_096
MAX_PIXELS = 5_242_880
MAX_ASPECT = 200
_UNIT = 32


def fit(image: ImageArray) -> ImageArray:
    """Resize a returned image to what models of the field take: sides of a multiple of 32 px, 4,096 to 5.24 M pixels.

    The limits are those of the released Metis code (arXiv 2604.08545). An image that keeps them comes back as it is.

    Args:
        image: Shape (height, width, 3), uint8.

    Returns:
        Shape (height', width', 3); the aspect ratio is kept up to the rounding, and cut at 200.

    >>> fit(np.zeros((100, 150, 3), np.uint8)).shape
    (96, 160, 3)
    >>> fit(np.zeros((1, 1, 3), np.uint8)).shape
    (64, 64, 3)
    """
    height, width = image.shape[:2]
    target = _fitted_size(height, width)
    if target == (height, width):
        return image
    resized = Image.fromarray(image).resize(target[::-1], Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8)


def shrink(image: ImageArray, max_pixels: int) -> ImageArray:
    """The image itself, or, where it has more pixels than that, box-filtered down to at most so many.

    >>> shrink(np.zeros((400, 100, 3), np.uint8), 10_000).shape
    (200, 50, 3)
    """
    height, width = image.shape[:2]
    scale = (max_pixels / (height * width)) ** 0.5
    if scale >= 1:
        return image
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0), dtype=np.uint8)


def _fitted_size(height: int, width: int) -> tuple[int, int]:
    tall, wide = max(height, width / MAX_ASPECT), max(width, height / MAX_ASPECT)
    scale = 1.0
    if tall * wide > MAX_PIXELS:
        scale = math.sqrt(MAX_PIXELS / (tall * wide))
    elif tall * wide < MIN_PIXELS:
        scale = math.sqrt(MIN_PIXELS / (tall * wide))
    rounding = math.floor if scale < 1 else round
    rows, columns = (max(1, rounding(side * scale / _UNIT)) for side in (tall, wide))
    return rows * _UNIT, columns * _UNIT


def fingerprint(image: ImageArray) -> str:
    """A name for exactly this image: SHA-256 over its size and its bytes, in hexadecimal."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def to_png(image: ImageArray) -> bytes:
    """The image as a PNG file: lossless."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def from_png(data: bytes) -> ImageArray:
    """The inverse of `to_png`.

    Raises:
        ImageError: It cannot be decoded.
    """
    return decode(data)
