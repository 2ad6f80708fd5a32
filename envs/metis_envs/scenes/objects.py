"""Small objects that can be found in a photograph: balloons, kites, buoys, crates, parcels. Each carries a label."""

from collections.abc import Callable

from PIL import Image, ImageDraw

from metis_envs.scenes.drawing import Colour, paste, shadow
from metis_gym.records import Box, ImageArray

__all__ = ["LABEL_SHARE", "OBJECTS", "OBJECT_COLOURS", "draw_object", "label_box"]

OBJECT_COLOURS: dict[str, Colour] = {
    "red": (205, 40, 40),
    "green": (40, 140, 60),
    "blue": (40, 80, 200),
    "yellow": (238, 205, 50),
    "purple": (130, 50, 160),
    "orange": (238, 130, 40),
}
"""Colours that can be told apart at a few pixels."""

LABEL_SHARE = 0.46
"""Side of the label as a share of the object's side."""

_SMOOTH = 2
_SQUARE_OBJECTS = ("buoy", "crate", "parcel")


def _darker(colour: Colour) -> Colour:
    red, green, blue = (int(0.6 * part) for part in colour)
    return red, green, blue


def _lighter(colour: Colour) -> Colour:
    red, green, blue = (int(part + 0.45 * (255 - part)) for part in colour)
    return red, green, blue


def _balloon(pen: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    pen.ellipse((0, 0, side - 1, side - 1), fill=colour, outline=_darker(colour), width=max(1, side // 40))
    pen.ellipse((0.16 * side, 0.1 * side, 0.3 * side, 0.22 * side), fill=_lighter(colour))
    pen.polygon([(0.44 * side, side), (0.56 * side, side), (0.5 * side, 0.95 * side)], fill=_darker(colour))


def _kite(pen: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    half = side / 2
    pen.polygon([(half, 0), (side, half), (half, side), (0, half)], fill=colour, outline=_darker(colour))
    pen.line([(half, 0), (half, side)], fill=_darker(colour), width=max(1, side // 40))
    pen.line([(0, half), (side, half)], fill=_darker(colour), width=max(1, side // 40))


def _buoy(pen: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    pen.polygon([(0.2 * side, 0), (0.8 * side, 0), (side, side), (0, side)], fill=colour)
    pen.rectangle((0.02 * side, 0.82 * side, 0.98 * side, side), fill=_darker(colour))
    pen.ellipse((0.42 * side, -0.02 * side, 0.58 * side, 0.12 * side), fill=(255, 240, 180))


def _crate(pen: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    edge = max(1, side // 24)
    pen.rectangle((0, 0, side - 1, side - 1), fill=colour, outline=_darker(colour), width=2 * edge)
    for share in (0.22, 0.78):
        pen.line([(0, share * side), (side, share * side)], fill=_darker(colour), width=edge)


def _parcel(pen: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    pen.rectangle((0, 0.06 * side, side - 1, 0.94 * side), fill=colour)
    pen.rectangle((0.44 * side, 0.06 * side, 0.56 * side, 0.94 * side), fill=_lighter(colour))
    pen.rectangle((0, 0.44 * side, side - 1, 0.56 * side), fill=_lighter(colour))


OBJECTS: dict[str, Callable[[ImageDraw.ImageDraw, int, Colour], None]] = {
    "balloon": _balloon,
    "kite": _kite,
    "buoy": _buoy,
    "crate": _crate,
    "parcel": _parcel,
}
"""Kinds of objects; each draws itself into a square of a given side."""


def label_box(box: Box, factor: int) -> Box:
    """The box of an object's label: in its middle, on the cells."""
    left, top, right, bottom = (edge // factor for edge in box)
    side = round((right - left) * LABEL_SHARE)
    x, y = left + (right - left - side) // 2, top + (bottom - top - side) // 2
    return x * factor, y * factor, (x + side) * factor, (y + side) * factor


def draw_object(scene: ImageArray, kind: str, colour: str, box: Box) -> None:
    """Draw an object into a square box on a scene, in place. Its label is left to the caller."""
    left, top, right, _ = box
    side = right - left
    if kind in _SQUARE_OBJECTS:
        shadow(scene, box, blur=max(2, side // 10), strength=0.3)
    stamp = Image.new("RGBA", (side * _SMOOTH,) * 2, (*OBJECT_COLOURS[colour], 0))
    OBJECTS[kind](ImageDraw.Draw(stamp), side * _SMOOTH, OBJECT_COLOURS[colour])
    paste(scene, stamp.reduce(_SMOOTH), left, top)
