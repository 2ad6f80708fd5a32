"""Worksheets: pages, notes and boards on a desk or a wall, one near and one or two far, all of the same kind.

A near one is legible in the view; a far one carries the same kind of content in small print. Lengths of a worksheet's
content are in *em*, the size of its text.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import Colour, FontName, faded, font
from metis_envs.scenes.places import DrawnPlace, Place, choose_place
from metis_envs.scenes.prints import Print, Printer
from metis_envs.scenes.sheets import Sheet, lay_sheet, print_text, roughen
from metis_gym.records import Box, ImageArray

__all__ = [
    "FAR_EM",
    "MATERIALS",
    "SHEET_COLOURS",
    "Content",
    "Line",
    "Material",
    "Worksheet",
    "drawn_place",
    "lay_worksheets",
    "paint_worksheets",
]

Line: TypeAlias = tuple[tuple[float, float], ...]
"""Points in em."""

SHEET_COLOURS: dict[str, Colour] = {
    "red": (196, 48, 44),
    "green": (42, 130, 68),
    "blue": (44, 88, 186),
    "yellow": (232, 190, 48),
    "purple": (126, 58, 152),
    "orange": (226, 120, 40),
}
"""Colours by which a worksheet is named."""

NEAR_EM = (16.5, 23.0)
FAR_EM = 4.0
"""Text sizes in view pixels: capitals of a near one are at least 12 view pixels high, those of a far one 2 or 3."""

_BAND, _TITLE, _EDGE = 1.5, 0.85, 0.3
_GAP, _MARGIN = 9, 5
_MAX_SHARE = 0.72
_ATTEMPTS = 60
_GRAIN = 4.0
_WHITE: Colour = (240, 238, 231)


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a worksheet carries, without its band.

    Attributes:
        width: Width.
        height: Height.
        title: What stands in its band.
        fixed: Text that is the same for all answers.
        lines: Lines that are.
        varying: For each answer the text that depends on it; each at the same places.
    """

    width: float
    height: float
    title: str
    fixed: tuple[Print, ...] = ()
    lines: tuple[Line, ...] = ()
    varying: tuple[tuple[Print, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What worksheets are made of.

    Attributes:
        phrase: How one of a colour is named.
        ink: Colour of the text.
        paper: Colour of the surface; None for a light shade of the worksheet's colour.
        framed: Has it a frame of its colour all around, or a band above?
        surface: What it lies on or hangs at.
        face: Font.
    """

    phrase: str
    ink: Colour
    paper: Colour | None
    framed: bool
    surface: str
    face: FontName = "sans"


MATERIALS = (
    Material(
        phrase="the sheet with the {colour} heading", ink=(34, 34, 40), paper=_WHITE, framed=False, surface="desk"
    ),
    Material(phrase="the {colour} note", ink=(38, 34, 30), paper=None, framed=False, surface="desk"),
    Material(
        phrase="the blackboard with the {colour} frame",
        ink=(232, 234, 224),
        paper=(46, 62, 56),
        framed=True,
        surface="wall",
    ),
    Material(
        phrase="the whiteboard with the {colour} frame", ink=(28, 44, 116), paper=_WHITE, framed=True, surface="wall"
    ),
)
"""All kinds."""


@dataclass(frozen=True, kw_only=True)
class Worksheet:
    """A worksheet in its place.

    Attributes:
        sheet: Where it is.
        content: What it carries.
        material: What it is made of.
        colour: The name of its colour.
        is_far: Whether its text is small print.
        em: The size of its text, source pixels.
        seed: Of its grain.
    """

    sheet: Sheet
    content: Content
    material: Material
    colour: str
    is_far: bool
    em: float
    seed: int

    @property
    def phrase(self) -> str:
        """How the question names it."""
        return self.material.phrase.format(colour=self.colour)

    @functools.cached_property
    def printer(self) -> Printer:
        """Sets its text."""
        ink = faded(self.material.ink, self._paper) if self.is_far else self.material.ink
        return Printer(self.sheet, self.em, (0.0, _BAND * self.em), ink)

    @functools.cached_property
    def parts(self) -> tuple[Box, ...]:
        """The boxes that the answer may change, on the cells; none overlap."""
        return self.printer.parts(self.content.varying)

    @property
    def _paper(self) -> Colour:
        return self.material.paper or _pale(SHEET_COLOURS[self.colour])

    def paint(self, draft: Draft) -> None:
        """Paint it without its text."""
        scale = self.em
        draft.shadow(self.sheet.outline(), blur=scale * 0.5, drop=(scale * 0.12, scale * 0.2))
        colour, paper = SHEET_COLOURS[self.colour], self._paper
        light = tuple(0.94 + 0.08 * ((self.seed >> bit) & 1) for bit in range(4))
        width = self.sheet.width
        draft.fill(self.sheet.outline(), colour if self.material.framed else paper, grain=_GRAIN / 2, seed=self.seed)
        inner = self.sheet.outline(inset=_EDGE * scale) if self.material.framed else self.sheet.outline()
        draft.fill(inner, paper, light=(light[0], light[1], light[2], light[3]), grain=_GRAIN / 2, seed=self.seed + 1)
        if not self.material.framed:
            draft.fill(self.sheet.quad(0, 0, width, _BAND * scale), colour, grain=_GRAIN / 2, seed=self.seed + 2)
        for line in self.content.lines:
            draft.line(self.printer.points(line), _mixed(paper, self.material.ink, 0.85), max(1.0, 0.1 * scale))

    def print_fixed(self, scene: ImageArray) -> None:
        """Print the text that is the same for all answers, and, on a far one, the grain of a close look."""
        if self.is_far:
            roughen(
                scene, self.sheet.cells(0, 0, self.sheet.width, self.sheet.height), np.random.default_rng(self.seed)
            )
        title_ink = self.material.ink if self.material.framed else _WHITE
        place = 0.6 * self.em, (_BAND / 2 + (_EDGE if self.material.framed else 0.0)) * self.em
        face = font("sans-bold", round(_TITLE * self.em))
        print_text(scene, self.sheet, place, self.content.title, face, title_ink)
        self.printer.draw(scene, self.content.fixed)

    def print_varying(self, scene: ImageArray, index: int) -> None:
        """Print the text of one of the answers."""
        self.printer.draw(scene, self.content.varying[index])


def lay_worksheets(
    rng: np.random.Generator, canvas: Canvas, contents: Sequence[Content], *, asked_is_far: bool
) -> list[Worksheet]:
    """Lay one near worksheet and one or two far ones.

    Args:
        rng: Chooses sizes, places and colours.
        canvas: The scene.
        contents: Of the one that is asked for, and of two others.
        asked_is_far: Whether the one that is asked for is far.

    Returns:
        The one that is asked for first, then the others: always a near one and at least one far one.

    Raises:
        ValueError: They do not fit into the scene.
    """
    material = MATERIALS[int(rng.integers(len(MATERIALS)))]
    colours = [list(SHEET_COLOURS)[i] for i in rng.permutation(len(SHEET_COLOURS))]
    count = int(rng.integers(2, 4))
    are_far = [asked_is_far, not asked_is_far, True][:count]
    order = sorted(range(count), key=lambda place: are_far[place])  # the near one is placed first
    placed = _places(rng, canvas, [contents[place] for place in order])
    laid: dict[int, Worksheet] = {}
    for place, found in zip(order, placed, strict=False):
        if found is None:
            continue
        box, em = found
        sheet = lay_sheet(rng, canvas, box, turn=2.5 if material.surface == "desk" else 0.8)
        laid[place] = Worksheet(
            sheet=sheet,
            content=contents[place],
            material=material,
            colour=colours[place],
            is_far=are_far[place],
            em=em * canvas.factor,
            seed=int(rng.integers(1 << 30)),
        )
    return [laid[place] for place in sorted(laid)]


def drawn_place(rng: np.random.Generator, canvas: Canvas, split: str, setting: str) -> Place:
    """Choose a drawn place, where things lie or hang: in a photograph of something else they would float."""
    while True:
        place = choose_place(rng, canvas, split, setting)
        if isinstance(place, DrawnPlace):
            return place


def paint_worksheets(place: Place, canvas: Canvas, worksheets: Sequence[Worksheet]) -> ImageArray:
    """The place with all worksheets, and the text that does not depend on an answer."""
    draft = Draft(canvas, place.paint_half())
    for worksheet in sorted(worksheets, key=lambda one: not one.is_far):  # whichever is asked for: shadows would tell
        worksheet.paint(draft)
    scene = draft.scene()
    for worksheet in worksheets:
        worksheet.print_fixed(scene)
    return scene


def _places(rng: np.random.Generator, canvas: Canvas, contents: Sequence[Content]) -> list[tuple[Box, float] | None]:
    """Box and em in view pixels of the near one and of far ones; None for a third one that finds no place."""
    near = contents[0]
    room = min(
        canvas.view_width * _MAX_SHARE / near.width, canvas.view_height * _MAX_SHARE / (near.height + _BAND + _EDGE)
    )
    ems = np.linspace(max(NEAR_EM[0], min(NEAR_EM[1], room)), NEAR_EM[0], 6)
    highest = float(rng.uniform(ems[-1], ems[0]))
    for em in (highest, *ems[ems < highest].tolist()):
        for _ in range(_ATTEMPTS):
            found = _tried(rng, canvas, contents, em)
            if found[1] is not None:
                return found
    raise ValueError(f"{near.width:g} x {near.height:g} em do not fit into {canvas.view_width} x {canvas.view_height}")


def _tried(
    rng: np.random.Generator, canvas: Canvas, contents: Sequence[Content], near_em: float
) -> list[tuple[Box, float] | None]:
    found: list[tuple[Box, float] | None] = []
    for place, content in enumerate(contents):
        em = FAR_EM if place else near_em
        size = round(content.width * em), round((content.height + _BAND) * em)
        box = _free(rng, canvas, size, [known[0] for known in found if known is not None])
        if place == 0 and box is None:
            return [None] * len(contents)
        found.append(None if box is None else (box, em))
    return found


def _free(rng: np.random.Generator, canvas: Canvas, size: tuple[int, int], taken: Sequence[Box]) -> Box | None:
    gap = _GAP * canvas.factor
    for _ in range(8):
        try:
            box = canvas.place(rng, *size, margin=_MARGIN)
        except ValueError:
            return None
        if all(
            box[0] >= other[2] + gap or other[0] >= box[2] + gap or box[1] >= other[3] + gap or other[1] >= box[3] + gap
            for other in taken
        ):
            return box
    return None


def _pale(colour: Colour) -> Colour:
    return _mixed(_WHITE, colour, 0.32)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
