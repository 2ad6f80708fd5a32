"""Images on the wire: data URLs of PNG, which loses nothing, or of JPEG, which is smaller."""

import base64
import binascii
import io

from PIL import Image

from metis_gym.errors import ConfigError, ImageError
from metis_gym.images import decode
from metis_gym.records import ImageArray

__all__ = ["IMAGE_FORMATS", "read_data_url", "to_data_url"]

IMAGE_FORMATS = ("png", "jpeg")
"""The forms in which a server may send images."""

_PNG_LEVEL = 1
_JPEG_QUALITY = 95
_PREFIX = "data:image/"


def to_data_url(image: ImageArray, form: str) -> str:
    """An image of shape (height, width, 3) as a data URL.

    >>> import numpy as np
    >>> to_data_url(np.zeros((2, 3, 3), np.uint8), "png")[:22]
    'data:image/png;base64,'

    Raises:
        ConfigError: There is no such form.
    """
    if form not in IMAGE_FORMATS:
        raise ConfigError(f"Expect images as {' or '.join(IMAGE_FORMATS)}, actually: {form!r}")
    written = io.BytesIO()
    if form == "png":
        Image.fromarray(image).save(written, format="PNG", compress_level=_PNG_LEVEL)
    else:
        Image.fromarray(image).save(written, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"{_PREFIX}{form};base64,{base64.b64encode(written.getvalue()).decode('ascii')}"


def read_data_url(url: str) -> ImageArray:
    """The image of a data URL; it comes from another machine, so it is decoded within the project's limits.

    Raises:
        ImageError: It is not a data URL of an image, or the image cannot be decoded.
    """
    head, comma, payload = url.partition(",")
    if not comma or not head.startswith(_PREFIX) or not head.endswith(";base64"):
        raise ImageError(f"Expect an image as a data URL in base64, actually: {url[:40]!r}")
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"an image is not valid base64: {error}") from error
    return decode(data, name="an image of the server")
