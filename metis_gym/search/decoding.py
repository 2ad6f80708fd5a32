"""Picture files that others made, decoded with care: size first, pixels second."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from metis_gym.records import PictureArray

__all__ = ["MOST_PIXELS", "UnreadablePictureError", "decode_picture"]

MOST_PIXELS = 64_000_000
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


class UnreadablePictureError(ValueError):
    """A file that is no picture, a damaged one, or a picture too large to decode. The message says which."""


def decode_picture(source: Path | bytes, *, max_pixels: int = MOST_PIXELS) -> PictureArray:
    """Decode a picture file.

    Args:
        source: The file, or its bytes.
        max_pixels: Most pixels that are decoded.

    Returns:
        Shape (height, width, 3), uint8; the first frame, on black where it is transparent.

    Raises:
        UnreadablePictureError: It cannot be decoded, or has too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about sizes: the limit here is lower than its own
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise UnreadablePictureError(
                        f"{image.width} x {image.height} pixels, at most {max_pixels:,} are decoded"
                    )
                return np.array(image.convert("RGB"), dtype=np.uint8)
    except Image.DecompressionBombError as error:
        raise UnreadablePictureError(f"more pixels than at most {max_pixels:,} that are decoded ({error})") from None
    except UnreadablePictureError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError) as error:
        raise UnreadablePictureError(f"{type(error).__name__}: {error}") from error
