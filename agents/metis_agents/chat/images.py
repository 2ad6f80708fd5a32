"""Images as data URIs: within the limits of a request, each encoded once an episode."""

import base64
import io
import math
from dataclasses import dataclass, field

from PIL import Image

from metis_gym.errors import ConfigError
from metis_gym.images.transforms import fingerprint
from metis_gym.records import ImageArray

__all__ = ["FORMATS", "ImageFormat"]

FORMATS = ("auto", "png", "jpeg")
_MAX_PNG_PIXELS = 4_000_000
_JPEG_QUALITY = 95


@dataclass(kw_only=True, eq=False)
class ImageFormat:
    """How images are sent.

    Attributes:
        kind: "png", "jpeg", or "auto": PNG up to 4 megapixels, JPEG of quality 95 above.
        view_side: Longest side in pixels; larger images are reduced. None leaves them as they are.
        view_pixels: Most pixels; larger images are reduced. None leaves them as they are.
    """

    kind: str = "auto"
    view_side: int | None = None
    view_pixels: int | None = None
    _encoded: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check the values."""
        if self.kind not in FORMATS:
            raise ConfigError(f"image_format must be one of {', '.join(FORMATS)}, actually: {self.kind!r}")
        for name in ("view_side", "view_pixels"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value > 0):
                raise ConfigError(f"{name} must be a positive whole number or none, actually: {value!r}")

    def fresh(self) -> "ImageFormat":
        """The same, for another episode."""
        return ImageFormat(kind=self.kind, view_side=self.view_side, view_pixels=self.view_pixels)

    def uri(self, image: ImageArray, *, as_jpeg: bool = False) -> str:
        """An image of shape (height, width, 3) as a data URI."""
        height, width = image.shape[:2]
        is_large = height * width > _MAX_PNG_PIXELS
        kind = "jpeg" if as_jpeg or self.kind == "jpeg" or (self.kind == "auto" and is_large) else "png"
        name = (fingerprint(image), kind)
        if name not in self._encoded:
            data = _encode(self._fitted(image), kind)
            self._encoded[name] = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        return self._encoded[name]

    def _fitted(self, image: ImageArray) -> Image.Image:
        height, width = image.shape[:2]
        scale = 1.0
        if self.view_side is not None:
            scale = min(scale, self.view_side / max(height, width))
        if self.view_pixels is not None:
            scale = min(scale, math.sqrt(self.view_pixels / (height * width)))
        whole = Image.fromarray(image)
        if scale == 1.0:
            return whole
        size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
        return whole.resize(size, Image.Resampling.LANCZOS)


def _encode(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "jpeg":
        image.save(stream, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
