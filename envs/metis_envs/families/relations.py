"""`relations`: several like objects, each with a letter; where they are decides which letter is asked for.

All objects are there for everybody to see. Which letter is on which is legible in the view (near), or concealed (far).
"""

from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.spotting import FAR_SIDES, NEAR_SIDES, draw_label, free_box
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.objects import OBJECT_COLOURS, OBJECTS, draw_object
from metis_gym.records import Box, ImageArray

__all__ = ["Relations"]

_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"
_FEWEST, _MOST = 3, 5
_ATTEMPTS = 200
_OPEN_ANSWERS = 8
_CLEAR = 8
"""View pixels by which two objects must differ in the direction that is asked for."""

_ORDERS = {
    "furthest to the left": (0, 0),
    "furthest to the right": (0, -1),
    "second from the left": (0, 1),
    "highest up": (1, 0),
    "lowest down": (1, -1),
}
"""Words → (axis, place in the order along it)."""


class Relations(Family):
    """Which letter is on the object furthest to the left, second from the left, highest up, …?"""

    name: ClassVar[str] = "relations"
    smallest_view: ClassVar[int] = 384

    def plan(self, brief: Brief) -> Blueprint:
        """Place the objects; only which letters they bear is left open."""
        rng, canvas = brief.rng, brief.canvas
        kind, colour = (
            list(OBJECTS)[int(rng.integers(len(OBJECTS)))],
            list(OBJECT_COLOURS)[int(rng.integers(len(OBJECT_COLOURS)))],
        )
        words = list(_ORDERS)[int(rng.integers(len(_ORDERS)))]
        boxes, asked = _place(brief, words)
        letters = [_LETTERS[i] for i in rng.permutation(len(_LETTERS))]
        answers, extras = letters[: brief.choices or _OPEN_ANSWERS], letters[-_MOST:]
        order = rng.permutation(len(answers))
        background = choose_background(rng, canvas, brief.split)

        def paint() -> ImageArray:
            scene = background.paint()
            for box in boxes:
                draw_object(scene, kind, colour, box)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            rest = [*(answers[i] for i in order if i != index), *extras]
            for place, box in enumerate(boxes):
                letter = answers[index] if place == asked else rest[place]
                draw_label(scene, box, letter, canvas, is_far=brief.hides)

        return Blueprint(
            question=f"Which letter is on the {colour} {kind} that is {words}?",
            answers=tuple(answers),
            paint=paint,
            draw_detail=draw_detail,
            region=_around(boxes),
            focus=boxes[asked],
            notes=background.notes,
            explanation=(
                f"The {kind}s are far away: find the one that is {words}, crop it and enlarge the crop."
                if brief.hides
                else f"The {kind}s are near: find the one that is {words} and read its letter in the view."
            ),
        )


def _place(brief: Brief, words: str) -> tuple[list[Box], int]:
    """Boxes of which no two are hard to tell apart along the asked axis, and the index of the one that is asked for."""
    axis, place = _ORDERS[words]
    sides = FAR_SIDES if brief.hides else NEAR_SIDES
    wanted = int(brief.rng.integers(_FEWEST, _MOST + 1))
    boxes: list[Box] = []
    while len(boxes) < _FEWEST:  # begins anew in the rare case that the first objects leave no room for others
        boxes = []
        for _ in range(_ATTEMPTS):
            box = free_box(brief.rng, brief.canvas, sides, boxes)
            if box is None or len(boxes) == wanted:
                break
            if all(_is_apart(box, other, axis, _CLEAR * brief.canvas.factor) for other in boxes):
                boxes.append(box)
    ordered = sorted(range(len(boxes)), key=lambda index: boxes[index][axis])
    return boxes, ordered[place]


def _is_apart(box: Box, other: Box, axis: int, clear: int) -> bool:
    """Do both edges along the axis say the same about which comes first, and clearly?"""
    near, far = box[axis] - other[axis], box[axis + 2] - other[axis + 2]
    return min(near, far) >= clear or max(near, far) <= -clear


def _around(boxes: list[Box]) -> Box:
    edges = np.asarray(boxes)
    left, top = edges[:, :2].min(axis=0)
    right, bottom = edges[:, 2:].max(axis=0)
    return int(left), int(top), int(right), int(bottom)
