"""Prints: pieces of text on a sheet, in em, and the boxes of cells that those which vary may touch."""

from collections.abc import Sequence
from dataclasses import dataclass

from metis_envs.scenes.drawing import Colour, FontName, font
from metis_envs.scenes.sheets import Sheet, print_text
from metis_gym.records import Box, ImageArray

__all__ = ["Print", "Printer", "hull"]

_SLACK = 2


@dataclass(frozen=True)
class Print:
    """A piece of text with its anchor, as Pillow names them, at a point in em."""

    x: float
    y: float
    text: str
    anchor: str = "lm"
    face: FontName = "sans"
    size: float = 1.0


@dataclass(frozen=True)
class Printer:
    """Sets prints on a sheet.

    Attributes:
        sheet: What is printed on.
        em: The size of text, in pixels of the sheet.
        origin: Where the point (0, 0) of the prints is, in pixels of the sheet.
        ink: The colour of text.
    """

    sheet: Sheet
    em: float
    origin: tuple[float, float]
    ink: Colour

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point in em, in pixels of the sheet."""
        return self.origin[0] + x * self.em, self.origin[1] + y * self.em

    def points(self, line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points in em, in the scene."""
        return [self.sheet.at(*self.at(x, y)) for x, y in line]

    def draw(self, scene: ImageArray, prints: Sequence[Print]) -> None:
        """Set prints, in place."""
        for piece in prints:
            face = font(piece.face, round(piece.size * self.em))
            print_text(scene, self.sheet, self.at(piece.x, piece.y), piece.text, face, self.ink, anchor=piece.anchor)

    def parts(self, varying: Sequence[Sequence[Print]]) -> tuple[Box, ...]:
        """The boxes of cells that varying prints touch, none overlapping; one row of prints for each answer."""
        boxes = []
        for pieces in zip(*varying, strict=True):
            edges = [self._edges(piece) for piece in pieces]
            left, top = min(edge[0] for edge in edges), min(edge[1] for edge in edges)
            right, bottom = max(edge[2] for edge in edges), max(edge[3] for edge in edges)
            boxes.append(self.sheet.cells(left - _SLACK, top - _SLACK, right + _SLACK, bottom + _SLACK))
        return tuple(_apart(boxes))

    def _edges(self, piece: Print) -> tuple[float, float, float, float]:
        box = font(piece.face, round(piece.size * self.em)).getbbox(piece.text, anchor=piece.anchor)
        x, y = self.at(piece.x, piece.y)
        return x + box[0], y + box[1], x + box[2], y + box[3]


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around boxes.

    >>> hull([(0, 4, 8, 8), (4, 0, 12, 4)])
    (0, 0, 12, 8)
    """
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _apart(boxes: Sequence[Box]) -> list[Box]:
    """Boxes of which none overlap: those that do are replaced by their hull."""
    joined: list[Box] = []
    for box in boxes:
        merged = box
        while touching := [other for other in joined if _overlap(merged, other)]:
            joined = [other for other in joined if other not in touching]
            merged = hull([merged, *touching])
        joined.append(merged)
    return joined


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
