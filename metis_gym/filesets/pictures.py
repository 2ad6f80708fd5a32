"""Decoding pictures of unknown origin: bounded before they are decoded, and every failure named."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from metis_gym.errors import TaskDataError
from metis_gym.records import PictureArray, TaskImage

__all__ = ["MAX_PICTURE_PIXELS", "decode", "task_image"]

MAX_PICTURE_PIXELS = 100_000_000
"""Largest picture that is decoded: 100 megapixels, 300 MB."""


def decode(encoded: bytes | Path, place: str, max_pixels: int = MAX_PICTURE_PIXELS) -> PictureArray:
    """Decode a picture.

    Args:
        encoded: An encoded picture, or the path of one.
        place: Where it stands, for messages.
        max_pixels: Larger pictures are refused before they are decoded.

    Returns:
        Shape (height, width, 3), uint8.

    Raises:
        TaskDataError: It cannot be decoded, is too large, or the file is not there.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
            stream = encoded if isinstance(encoded, Path) else io.BytesIO(encoded)
            with Image.open(stream) as image:
                if image.width * image.height > max_pixels:
                    size = f"{image.width} x {image.height} pixels"
                    raise TaskDataError(f"{place}: a picture of {size}; at most {max_pixels:,} are decoded")
                return np.array(_on_white(image), dtype=np.uint8)
    except FileNotFoundError as error:
        raise TaskDataError(f"{place}: there is no picture {error.filename}") from None
    except Image.DecompressionBombError as error:
        raise TaskDataError(f"{place}: {error}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise TaskDataError(f"{place}: a picture cannot be decoded: {error}") from None


def _on_white(image: Image.Image) -> Image.Image:
    """In RGB; transparent parts show a white page, as a reader would see them."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGB", layer.size, (255, 255, 255))
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def task_image(source: PictureArray, view_size: int) -> TaskImage:
    """A source picture with its view: shrunk so that the longest side is `view_size`, never enlarged."""
    height, width = source.shape[:2]
    if max(height, width) <= view_size:
        return TaskImage(source=source, view=source)
    scale = view_size / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    view = np.array(Image.fromarray(source).resize(size, Image.Resampling.BOX), dtype=np.uint8)
    return TaskImage(source=source, view=view)
