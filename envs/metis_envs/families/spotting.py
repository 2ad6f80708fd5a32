"""`spotting`: what stands on one object's label in a large photograph with several objects?

The question is the same for both values of necessity; only the image tells whether the object is near and its label
legible, or far and its label a few view pixels of plain grey.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import font, ink, plate
from metis_envs.scenes.objects import OBJECT_COLOURS, OBJECTS, draw_object, label_box
from metis_envs.scenes.view import conceal
from metis_gym.records import AnswerKind, Box, ImageArray

__all__ = ["FAR_SIDES", "NEAR_SIDES", "Spotting", "draw_label", "free_box"]

NEAR_SIDES = (66, 96)
FAR_SIDES = (17, 22)
"""Sides of an object in view pixels; its label takes not quite half of it."""
_MAX_OBJECTS = 7
_MAX_NEAR = 3
_ATTEMPTS = 60
_LABEL_GREY = (150, 150, 150)
_LABEL_INK = 140.0


@dataclass(frozen=True)
class _Attribute:
    """What a label may carry: what is asked, and answer → glyphs."""

    question: str
    glyphs: dict[str, str]
    kind: AnswerKind = AnswerKind.TEXT


_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"
_ATTRIBUTES = (
    _Attribute("Which letter is on the {colour} {object}?", {letter: letter for letter in _LETTERS}),
    _Attribute(
        "Which number is on the {colour} {object}?", {str(n): str(n) for n in range(10, 100)}, AnswerKind.NUMBER
    ),
    _Attribute(
        "Which way does the arrow on the {colour} {object} point?", {"up": "↑", "down": "↓", "left": "←", "right": "→"}
    ),
    _Attribute(
        "Which sign is on the {colour} {object}: circle, square, triangle, diamond, star or heart?",
        {"circle": "○", "square": "□", "triangle": "△", "diamond": "◇", "star": "☆", "heart": "♡"},
    ),
)


@dataclass(frozen=True)
class _Thing:
    """An object in its place."""

    kind: str
    colour: str
    box: Box
    is_far: bool


class Spotting(Family):
    """Balloons, kites, buoys, crates and parcels, near and far."""

    name: ClassVar[str] = "spotting"
    smallest_view: ClassVar[int] = 320
    max_choices: ClassVar[int] = 6

    def plan(self, brief: Brief) -> Blueprint:
        """Place the objects, the one that is asked for first; draw what the other labels carry."""
        rng, canvas = brief.rng, brief.canvas
        fitting = [attribute for attribute in _ATTRIBUTES if len(attribute.glyphs) >= brief.choices]
        attribute = fitting[int(rng.integers(len(fitting)))]
        answers = _answers(rng, attribute, brief.choices)
        things = _place_things(rng, canvas, target_is_far=brief.hides)
        target, others = things[0], things[1:]
        glyphs = list(attribute.glyphs.values())
        others_glyphs = [glyphs[i] for i in rng.integers(len(glyphs), size=len(others))]
        background = choose_background(rng, canvas, brief.split)

        def paint() -> ImageArray:
            scene = background.paint()
            for thing in things:
                draw_object(scene, thing.kind, thing.colour, thing.box)
            for thing, glyph in zip(others, others_glyphs, strict=True):
                draw_label(scene, thing.box, glyph, canvas, is_far=thing.is_far)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            draw_label(scene, target.box, attribute.glyphs[answers[index]], canvas, is_far=brief.hides)

        return Blueprint(
            question=attribute.question.format(colour=target.colour, object=target.kind),
            answers=answers,
            paint=paint,
            draw_detail=draw_detail,
            region=target.box,
            notes=background.notes,
            explanation=(
                f"The {target.colour} {target.kind} is far away: crop it and enlarge the crop."
                if brief.hides
                else f"The {target.colour} {target.kind} is near: its label is legible in the view."
            ),
            kind=attribute.kind,
        )


def _answers(rng: np.random.Generator, attribute: _Attribute, choices: int) -> tuple[str, ...]:
    """All values for an open question, a sample in random order for a choice."""
    values = list(attribute.glyphs)
    if not choices:
        return tuple(values)
    return tuple(values[i] for i in rng.choice(len(values), size=choices, replace=False))


def _place_things(rng: np.random.Generator, canvas: Canvas, *, target_is_far: bool) -> list[_Thing]:
    """Objects that do not overlap, no two of the same kind and colour; the first is the target."""
    pairs = [(kind, colour) for kind in OBJECTS for colour in OBJECT_COLOURS]
    wanted = int(rng.integers(4, _MAX_OBJECTS + 1))
    chosen = [pairs[i] for i in rng.choice(len(pairs), size=wanted, replace=False)]
    are_far = [target_is_far, *(bool(far) for far in rng.random(wanted - 1) < 0.6)]
    things: list[_Thing] = []
    for (kind, colour), is_far in zip(chosen, are_far, strict=True):
        if not is_far and sum(not thing.is_far for thing in things) >= _MAX_NEAR:
            continue
        box = free_box(rng, canvas, FAR_SIDES if is_far else NEAR_SIDES, [thing.box for thing in things])
        if box is not None:
            things.append(_Thing(kind, colour, box, is_far))
    return things


def free_box(rng: np.random.Generator, canvas: Canvas, sides: tuple[int, int], taken: list[Box]) -> Box | None:
    """A square box that keeps its distance from those that are taken; None where no place was found."""
    for _ in range(_ATTEMPTS):
        side = int(rng.integers(sides[0], sides[1] + 1))
        box = canvas.place(rng, side, side)
        gap = 6 * canvas.factor
        if all(
            box[0] > other[2] + gap or other[0] > box[2] + gap or box[1] > other[3] + gap or other[1] > box[3] + gap
            for other in taken
        ):
            return box
    return None


def draw_label(scene: ImageArray, box: Box, glyph: str, canvas: Canvas, *, is_far: bool) -> None:
    """Draw the label of an object: white with dark ink where it is near, concealed where it is far."""
    left, top, right, bottom = label_box(box, canvas.factor)
    side = right - left
    face = font("sans" if is_far else "sans-bold", int(side * (0.52 if len(glyph) > 1 else 0.7)))
    covered = ink(glyph, face, side, side)[:, :, None]
    if is_far:
        detail = np.repeat(covered * -_LABEL_INK, 3, axis=2)
        scene[top:bottom, left:right] = conceal(detail, _LABEL_GREY, canvas.factor)
        return
    plate(scene, (left, top, right, bottom), (250, 250, 248), border=(40, 40, 40), width=max(1, side // 24))
    plain = scene[top:bottom, left:right]
    scene[top:bottom, left:right] = np.rint(plain * (1 - covered) + 20 * covered).astype(np.uint8)
