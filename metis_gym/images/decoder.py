"""The one decoder of image files: PNG, JPEG, WebP, GIF (its first frame), BMP and TIFF (its first page), no others.

What comes out is what a person would expect to see, as RGB with 8 bits a channel:

- *Size* is read from the header and checked before anything is decoded.
- *Orientation* (EXIF) is applied.
- *Transparency* shows a white page.
- *CMYK* is converted without a profile; a JPEG's values are inverted where Adobe's marker says that they are. Embedded
  colour profiles are not applied.
- *Integers of 16 bits*: white is what the file declares (TIFF's SMaxSampleValue, or 12 bits a sample); otherwise the
  largest value of the smallest of 8, 10, 12, 14 and 16 bits that holds every sample, since cameras and scanners store
  12 bits as 0 to 4095. Samples that all are multiples of 257, which is how 8 bits are widened to 16, keep the whole
  range. Images with colour and 16 bits follow the same rule; with a grey *and* an alpha channel white is 65535.
- *Larger and signed integers*: the same as far as 16 bits hold them; otherwise white is the largest value, and where
  there are negative ones, black is the smallest.
- *Floats* within [0, 1] are shares of white; all others run from the smallest to the largest finite value. NaN and
  −inf are black, inf is white.

Every failure is an `ImageError`. No setting of Pillow is changed, no warning is issued or silenced, so that threads may
decode at the same time. Only libtiff, which writes what it thinks of a file to the standard error, no longer does so in
this process once a TIFF was decoded.
"""

import ctypes
import functools
import importlib
import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from metis_gym.errors import ImageError
from metis_gym.images.containers import FORMATS, Container, has_all_rows, open_container
from metis_gym.records import ImageArray

__all__ = [
    "FORMATS",
    "MAX_DECODED_PIXELS",
    "MAX_FILE_BYTES",
    "decode",
    "decode_file",
    "path_below",
    "read_regular_file",
]

MAX_DECODED_PIXELS = 100_000_000
"""Largest image that is decoded: 100 megapixels, 300 MB."""
MAX_FILE_BYTES = 1 << 29
"""Largest image file that is read: 512 MiB."""

_FLAGS = os.O_RDONLY  # the others are not on every system
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)
_STRIP_PIXELS = 1 << 19
_WHITE = (255, 255, 255)
_DEPTHS = (8, 10, 12, 14, 16)
_PLUGINS = {
    "PNG": "PngImagePlugin:PngImageFile",
    "JPEG": "JpegImagePlugin:JpegImageFile",
    "WebP": "WebPImagePlugin:WebPImageFile",
    "GIF": "GifImagePlugin:GifImageFile",
    "BMP": "BmpImagePlugin:BmpImageFile",
    "TIFF": "TiffImagePlugin:TiffImageFile",
}
_SHOWN_MIN, _SHOWN_MAX, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 340, 341, 262, 284, 339


def decode(data: bytes, *, max_pixels: int = MAX_DECODED_PIXELS, name: str = "image") -> ImageArray:
    """Decode an image file.

    Args:
        data: The file's content.
        max_pixels: Larger images are refused before they are decoded.
        name: What messages call it.

    Returns:
        Shape (height, width, 3), uint8; fresh and writable.

    Raises:
        ImageError: It is of another format, damaged, cut off or too large.
    """
    try:
        container = open_container(data)
        if min(container.width, container.height) < 1 or container.width * container.height > max_pixels:
            size = f"{container.width} x {container.height} pixels"
            raise ImageError(f"an image of {size}; at most {max_pixels:,} are decoded")
        pixels = _pixels(container)
        if container.format == "PNG" and not pixels[-1].any() and not has_all_rows(container.data):
            raise ImageError("the pixels end early")
        return _oriented(pixels, container.orientation)
    except ImageError as error:
        raise ImageError(f"{name} cannot be decoded: {error}") from None
    except Exception as error:  # noqa: BLE001 — the boundary of Pillow: what a damaged file makes its decoders raise is no closed set
        raise ImageError(f"{name} cannot be decoded: {type(error).__name__}: {error!s:.200}") from None


def decode_file(
    path: Path, *, max_pixels: int = MAX_DECODED_PIXELS, name: str = "", follow_link: bool = True
) -> ImageArray:
    """Decode the image file of a path. Without `follow_link`, a path that is itself a link is refused.

    Raises:
        ImageError: As `decode`; or there is no such file, or it is no regular one.
    """
    data = read_regular_file(path, name=name, follow_link=follow_link)
    return decode(data, max_pixels=max_pixels, name=name or f"the image {str(path)!r:.300}")


def read_regular_file(
    path: Path, *, max_bytes: int = MAX_FILE_BYTES, name: str = "", follow_link: bool = True
) -> bytes:
    """The content of an image file; a pipe, a device, a socket or a folder is refused without waiting for it.

    Raises:
        ImageError: There is no such file, it is no regular one, it is too large, or it cannot be read.
    """
    try:
        return _read(path, max_bytes, _FLAGS if follow_link else _FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        problem = f"there is no image {str(path)!r:.300}"
    except ImageError as error:
        problem = str(error)
    except (OSError, ValueError) as error:
        problem = f"{type(error).__name__}: {error!s:.200}"
    raise ImageError(f"{name or f'the image {str(path)!r:.300}'} cannot be read: {problem}")


def path_below(folder: Path, name: str, *, allow_outside: bool = False) -> Path:
    """The place of a file that data from elsewhere names, with all links followed.

    Args:
        folder: Where relative names begin.
        name: What the data says.
        allow_outside: Follow names, `..` and links that lead out of the folder.

    Raises:
        ImageError: It leads out of the folder, or cannot be a path.
    """
    try:
        place = Path(os.path.realpath(folder / name))
        if allow_outside or place.is_relative_to(os.path.realpath(folder)):
            return place
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a loop of links, a name that is no name
        raise ImageError(f"{name!r:.200} is no path: {type(error).__name__}: {error!s:.200}") from None
    raise ImageError(
        f"{name!r:.200} leads out of {folder}; if you trust the data, choose another folder or say allow_outside=true"
    )


def _read(path: Path, max_bytes: int, flags: int) -> bytes:
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{str(path)!r:.300} is no regular file")
        if status.st_size > max_bytes:
            raise ImageError(f"{str(path)!r:.300} has {status.st_size:,} bytes; at most {max_bytes:,} are read")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(max_bytes)
    finally:
        os.close(descriptor)


def _opened(container: Container, data: bytes) -> ImageFile.ImageFile:
    """Pillow's reader of exactly this format, which has read the header.

    Not through `Image.open`, which warns above a size of its own.

    Raises:
        ImageError: The reader sees another size than the header's.
    """
    if container.format == "TIFF":
        _silence_libtiff()
    module, _, name = _PLUGINS[container.format].partition(":")
    factory: Callable[[io.BytesIO], ImageFile.ImageFile] = getattr(importlib.import_module(f"PIL.{module}"), name)
    image = factory(io.BytesIO(data))
    if image.size != (container.width, container.height):
        raise ImageError(f"two sizes: {container.width} x {container.height} and {image.size[0]} x {image.size[1]}")
    if container.format == "TIFF":
        image.im = Image.new(image.mode, image.size).im  # which this reader else makes with a warning
    return image


@functools.cache
def _silence_libtiff() -> None:
    """Take out the handlers that print libtiff's messages. They stay out: other threads may be decoding.

    The library is found by way of Pillow's own, which is linked to it. Where it is part of that, as on Windows, its
    messages are printed as ever.
    """
    from PIL import _imaging

    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        setter = getattr(library, name, None)
        if setter is not None:
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


def _pixels(container: Container) -> ImageArray:
    image = _opened(container, container.data)
    if container.depth == 16 and image.mode in ("RGB", "RGBA"):
        return _deep_colour(image, container)
    if image.mode == "CMYK" and container.format == "JPEG" and "adobe" not in image.info:
        _use_raw_mode(image, "CMYK")
    if image.mode == "L" and container.depth in (2, 4) and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= 255 // ((1 << container.depth) - 1)  # Pillow widens the samples only
    image.load()
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return _deep_grey(image, container)
    if container.format == "BMP" and image.mode == "RGBA" and _extrema(image)[3] == (0, 0):
        image.putalpha(255)  # a fourth byte that nobody has set
    return _by_strips(image)


def _by_strips(image: Image.Image) -> ImageArray:
    """In RGB and on white; by strips, so that no further copy of the whole is made."""
    width, height = image.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image if rows >= height else image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_on_white(strip))
    return pixels


def _on_white(image: Image.Image) -> Image.Image:
    """In RGB; transparent parts show a white page, as a reader would see them."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA") if image.mode != "La" else image.convert("LA").convert("RGBA")
    page = Image.new("RGB", layer.size, _WHITE)
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def _oriented(pixels: ImageArray, orientation: int) -> ImageArray:
    """Turned and mirrored as EXIF's orientation says (1 to 8)."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


# more than 8 bits -----------------------------------------------------------------------------------------------------


def _deep_grey(image: ImageFile.ImageFile, container: Container) -> ImageArray:
    values: NDArray[Any] = np.asarray(image)
    if values.dtype == np.int32 and container.depth == 32 and container.tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)
    low, high = _float_range(values) if image.mode == "F" else _integer_range(values, container)
    if container.tags.get(_PHOTOMETRIC, (1,))[0] == 0:  # white is the lowest
        low, high = high, low
    pixels = _scaled(values, low, high)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    return np.repeat(pixels[..., None], 3, axis=-1)


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """From `low` (black) to `high` (white), cut there; a few rows at a time.

    >>> _scaled(np.array([[0, 257, 65535]]), 0, 65535).tolist()
    [[0, 1, 255]]
    >>> _scaled(np.array([[np.nan, -np.inf, np.inf, 0.5]]), 0, 1).tolist()
    [[0, 0, 255, 128]]
    """
    scaled = np.zeros(values.shape, dtype=np.uint8)
    if low == high:
        return scaled
    table = _shares(np.arange(65536.0), low, high) if values.dtype == np.uint16 else None
    rows = max(1, _STRIP_PIXELS // values[0].size)
    for top in range(0, len(values), rows):
        strip = values[top : top + rows]
        scaled[top : top + rows] = _shares(strip.astype(np.float64), low, high) if table is None else table[strip]
    return scaled


def _shares(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    shares = np.clip((values - low) / (high - low), 0, 1)
    return np.rint(np.nan_to_num(shares, copy=False, nan=0.0) * 255).astype(np.uint8)


def _float_range(values: NDArray[Any]) -> tuple[float, float]:
    finite = np.isfinite(values)
    low = float(np.min(values, where=finite, initial=np.inf))
    high = float(np.max(values, where=finite, initial=-np.inf))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _integer_range(values: NDArray[Any], container: Container) -> tuple[float, float]:
    low, high = int(values.min()), int(values.max())
    if container.depth == 12:
        return 0, 4095
    declared = container.tags.get(_SHOWN_MAX, (np.nan,))[0]
    if high <= declared < np.inf:
        black = container.tags.get(_SHOWN_MIN, (0,))[0]
        return (black if black <= low and black < declared else min(0, low)), declared
    if low < 0 or high > 65535:
        return min(0, low), high
    return 0, _white(values, high)


def _white(values: NDArray[Any], highest: int) -> int:
    """What 16-bit samples show as white.

    >>> [_white(np.array(samples), max(samples)) for samples in ([0, 4095], [7, 257], [0, 257], [0, 40_000])]
    [4095, 1023, 65535, 65535]
    """
    depth = next(depth for depth in _DEPTHS if highest < 1 << depth)
    is_widened = highest > 0 and depth < 16 and not np.any(values % 257)
    return 65535 if is_widened else (1 << depth) - 1


def _deep_colour(image: ImageFile.ImageFile, container: Container) -> ImageArray:
    """Colour with 16 bits, which Pillow reads by its high bytes: of dark images the low bytes are read as well."""
    if container.tags.get(_PLANAR, (1,))[0] != 1:
        raise ImageError("a TIFF with 16 bits a channel and a plane for each")
    raw_mode, transparent = _raw_mode(image), image.info.pop("transparency", None)
    image.load()
    brightest = max(high for _, high in _extrema(image)[:3])
    is_dark = brightest < 1 << 6 and raw_mode.startswith(("RGB;16", "RGBA;16", "RGBX;16"))
    if not is_dark:
        if transparent is not None:
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
        return _by_strips(image)
    low = _opened(container, container.data)
    native = "16B" if sys.byteorder == "little" else "16L"
    _use_raw_mode(low, raw_mode[:-3] + {"16B": "16L", "16L": "16B", "16N": native}[raw_mode[-3:]])
    low.load()
    return _by_strips(_joined(image, low, transparent))


def _joined(high: Image.Image, low: Image.Image, transparent: tuple[int, int, int] | None) -> Image.Image:
    """An image from the high and the low bytes of its samples, brightened to its own white."""
    values = np.asarray(high)[..., :3].astype(np.uint16)
    values <<= 8
    values |= np.asarray(low)[..., :3]
    joined = Image.fromarray(_scaled(values, 0, _white(values, int(values.max()))))
    if high.mode == "RGBA":
        joined.putalpha(high.getchannel("A"))
    elif transparent is not None:
        joined.putalpha(Image.fromarray((values != np.array(transparent)).any(axis=-1).astype(np.uint8) * 255))
    return joined


def _extrema(image: Image.Image) -> Any:
    """Smallest and largest value of each channel."""
    return image.getextrema()


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the decoder unpacks its samples."""
    args = image.tile[0].args if image.tile else None
    return args if isinstance(args, str) else str(args[0]) if args else ""


def _use_raw_mode(image: ImageFile.ImageFile, raw_mode: str) -> None:
    """Let the decoder unpack its samples in another way."""
    image.tile = [
        tile._replace(args=raw_mode if not isinstance(tile.args, tuple) else (raw_mode, *tile.args[1:]))
        for tile in image.tile
    ]
