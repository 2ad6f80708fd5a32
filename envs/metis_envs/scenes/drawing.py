"""Pens: fonts, text, plates with shadows. Everything in source pixels, anti-aliased, the same on every machine."""

import functools
import importlib.util
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from metis_gym.errors import MissingDependencyError
from metis_gym.records import Box, ImageArray

__all__ = [
    "Colour",
    "FontName",
    "cap_height",
    "faded",
    "font",
    "font_path",
    "ink",
    "paste",
    "paste_ink",
    "plate",
    "shadow",
    "text_width",
]

Colour: TypeAlias = tuple[int, int, int]
FontName: TypeAlias = str

_FADED = 0.4
"""How much of its paper is in the ink of small print."""
_FONT_FILES = {
    "sans": "DejaVuSans.ttf",
    "sans-bold": "DejaVuSans-Bold.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif-bold": "DejaVuSerif-Bold.ttf",
    "mono-bold": "DejaVuSansMono-Bold.ttf",
    "times": "STIXGeneral.ttf",
    "times-bold": "STIXGeneralBol.ttf",
}


def font_path(name: FontName) -> Path:
    """The file of one of the fonts that come with matplotlib.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise MissingDependencyError.of("matplotlib", "envs", "Drawing text")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / _FONT_FILES[name]


@functools.cache
def font(name: FontName, size: int) -> ImageFont.FreeTypeFont:
    """One of the fonts that come with matplotlib, at a size in pixels; the same glyphs on every machine.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return ImageFont.truetype(str(font_path(name)), size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, face: ImageFont.FreeTypeFont) -> int:
    """Width of one line in pixels."""
    return int(np.ceil(face.getlength(text)))


def faded(ink: Colour, paper: Colour) -> Colour:
    """The ink of small print: paler than that of large print, as it often is. A concealed line then has fewer ghosts.

    >>> faded((0, 40, 255), (100, 240, 255))
    (40, 120, 255)
    """
    red, green, blue = (round(dark + _FADED * (light - dark)) for dark, light in zip(ink, paper, strict=True))
    return red, green, blue


def cap_height(face: ImageFont.FreeTypeFont) -> int:
    """Height of a capital letter in pixels."""
    left_top_right_bottom = face.getbbox("H")
    return int(left_top_right_bottom[3] - left_top_right_bottom[1])


def ink(text: str, face: ImageFont.FreeTypeFont, width: int, height: int) -> NDArray[np.float64]:
    """How much of each pixel one line of text covers, centred in an area.

    Returns:
        Shape (height, width), in [0, 1].
    """
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).text((width / 2, height / 2), text, fill=255, font=face, anchor="mm")
    return np.asarray(image, dtype=np.float64) / 255.0


def paste(scene: ImageArray, stamp: Image.Image, left: int, top: int) -> None:
    """Lay an RGBA stamp on a scene, in place; what hangs over the edge is cut."""
    height, width = scene.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + stamp.width, width), min(top + stamp.height, height)
    if x0 >= x1 or y0 >= y1:
        return
    part = Image.fromarray(scene[y0:y1, x0:x1])
    cut = stamp.crop((x0 - left, y0 - top, x1 - left, y1 - top))
    part.paste(cut.convert("RGB"), (0, 0), cut.getchannel("A"))
    scene[y0:y1, x0:x1] = np.asarray(part)


def paste_ink(scene: ImageArray, mask: Image.Image, colour: Colour, left: int, top: int) -> None:
    """Lay a colour on a scene where a grey mask is, in place; what hangs over the edge is cut."""
    height, width = scene.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + mask.width, width), min(top + mask.height, height)
    if x0 >= x1 or y0 >= y1:
        return
    if (x1 - x0, y1 - y0) != mask.size:
        mask = mask.crop((x0 - left, y0 - top, x1 - left, y1 - top))
    part = Image.fromarray(scene[y0:y1, x0:x1])
    part.paste(colour, (0, 0), mask)
    scene[y0:y1, x0:x1] = np.asarray(part)


def shadow(scene: ImageArray, box: Box, blur: int, strength: float = 0.45) -> None:
    """Darken a scene softly around a box and a little below, in place; what is inside the box is left alone."""
    left, top, right, bottom = box
    coarse = max(1, blur // 6)  # computed at a coarse size: a shadow has no detail
    margin, drop = 2 * blur, blur // 2
    size = ((right - left + 2 * margin) // coarse, (bottom - top + 2 * margin) // coarse)
    cover = Image.new("L", size, 0)
    inner = (margin // coarse, margin // coarse, size[0] - margin // coarse, size[1] - margin // coarse)
    ImageDraw.Draw(cover).rectangle(inner, fill=int(255 * strength))
    cover = cover.filter(ImageFilter.BoxBlur(blur / coarse))
    outer = (left - margin, top - margin + drop, right + margin, bottom + margin + drop)
    for strip in (
        (outer[0], outer[1], outer[2], top),
        (outer[0], bottom, outer[2], outer[3]),
        (outer[0], top, left, bottom),
        (right, top, outer[2], bottom),
    ):
        _darken(scene, strip, cover, outer, coarse)


def _darken(scene: ImageArray, strip: Box, cover: Image.Image, outer: Box, coarse: int) -> None:
    """Lay the part of a coarse cover that belongs to a strip on a scene; the cover stretches over `outer`."""
    height, width = scene.shape[:2]
    left, top = max(strip[0], 0), max(strip[1], 0)
    right, bottom = min(strip[2], width), min(strip[3], height)
    if left >= right or top >= bottom:
        return
    corner = ((left - outer[0]) / coarse, (top - outer[1]) / coarse)
    end = (min((right - outer[0]) / coarse, cover.width), min((bottom - outer[1]) / coarse, cover.height))
    mask = cover.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=(*corner, *end))
    part = Image.fromarray(scene[top:bottom, left:right])
    part.paste((0, 0, 0), (0, 0), mask)
    scene[top:bottom, left:right] = np.asarray(part)


def plate(
    scene: ImageArray, box: Box, fill: Colour, *, border: Colour | None = None, width: int = 0, radius: int = 0
) -> None:
    """Draw a filled, rounded rectangle with a border inside its edge, in place."""
    left, top, right, bottom = box
    if radius == 0 and border is None:
        scene[max(top, 0) : bottom, max(left, 0) : right] = fill
        return
    stamp = Image.new("RGBA", (right - left, bottom - top), (0, 0, 0, 0))
    pen = ImageDraw.Draw(stamp)
    inset = width
    pen.rounded_rectangle((0, 0, stamp.width - 1, stamp.height - 1), radius, fill=(*fill, 255))
    if border is not None:
        pen.rounded_rectangle(
            (inset, inset, stamp.width - 1 - inset, stamp.height - 1 - inset),
            radius,
            outline=(*border, 255),
            width=width,
        )
    paste(scene, stamp, left, top)
