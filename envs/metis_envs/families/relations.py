"""`relations`: several like things, each with a letter; where they are decides which letter is asked for.

There are two groups, in two colours: the letters of one are in large print, those of the other in small print.
"""

import itertools
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.labels import OPEN_ANSWERS, LabelTask, plan_labels
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.labels import Labelled, place_sheets
from metis_envs.scenes.objects import COLOURS, THINGS
from metis_envs.scenes.sheets import Sheet
from metis_gym.records import Necessity

__all__ = ["Relations"]

_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"
_MIN_GROUP, _MAX_GROUP = 3, 4
_ATTEMPTS = 500
_CLEAR = 6
"""View pixels by which two things must differ in the direction that is asked for."""

_ORDERS = {
    "furthest to the left": (0, 0),
    "furthest to the right": (0, -1),
    "second from the left": (0, 1),
    "highest up": (1, 0),
    "lowest down": (1, -1),
}
"""Words → (axis, place in the order along it)."""

_WORDINGS = (
    "Which letter is on the {colour} {object} that is {words}?",
    "What letter does the {colour} {object} have that is {words}?",
    "Of all {colour} {object}s, find the one that is {words}: which letter is on it?",
    "Find the {colour} {object} that is {words}. Which letter does it bear?",
    "Look at the {colour} {object}s: which letter is on the one that is {words}?",
    "There are several {colour} {object}s: what is the letter on the one that is {words}?",
    "One {colour} {object} is {words} of all {colour} ones. What letter is on it?",
)


class Relations(Family):
    """Which letter is on the thing furthest to the left, second from the left, highest up, …?"""

    name: ClassVar[str] = "relations"
    generation: ClassVar[int] = 3
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 384
    max_choices: ClassVar[int] = 6

    def plan(self, brief: Brief) -> Blueprint:
        """Place two groups of things; which letters those of one bear is left open."""
        rng = brief.rng
        setting = list(THINGS)[int(rng.integers(len(THINGS)))]
        kind = list(THINGS[setting])[int(rng.integers(len(THINGS[setting])))]
        colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))[:2]]
        group = max(_MIN_GROUP, brief.choices or int(rng.integers(_MIN_GROUP, _MAX_GROUP + 1)))
        words, halves = _halves(brief, setting, group)
        letters = [_LETTERS[i] for i in rng.permutation(len(_LETTERS))]
        things = [
            tuple(
                Labelled(
                    name=kind,
                    setting=setting,
                    colour=colour,
                    sheet=sheet,
                    is_small=is_small,
                    shift=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.6, 0.4))),
                )
                for sheet in half
            )
            for half, colour, is_small in zip(halves, colours, (False, True), strict=True)
        ]
        asked, others = things[brief.hides], things[not brief.hides]
        task = LabelTask(
            question=choose_wording(brief, _WORDINGS, colour=asked[0].colour, object=kind, words=words),
            asked=asked,
            others=others,
            answers=tuple(letters[: brief.choices or OPEN_ANSWERS]),
            texts=tuple(letters),
            name=f"the {asked[0].colour} {kind} that is {words}",
        )
        return plan_labels(brief, task)


def _halves(brief: Brief, setting: str, group: int) -> tuple[str, tuple[list[Sheet], list[Sheet]]]:
    """An order, and squares for two groups that are clearly apart along its axis; the one in its place first."""
    clear = _CLEAR * brief.canvas.factor
    for _ in range(_ATTEMPTS):
        sheets = place_sheets(brief.rng, brief.canvas, setting, 2 * group)
        halves = sheets[:group], sheets[group:]
        axes = [axis for axis in (0, 1) if all(_are_apart(half, axis, clear) for half in halves)]
        fitting = [(words, axis, place) for words, (axis, place) in _ORDERS.items() if axis in axes]
        if fitting:
            words, axis, place = fitting[int(brief.rng.integers(len(fitting)))]
            return words, (_first(halves[0], axis, place), _first(halves[1], axis, place))
    raise RuntimeError(f"no place for two groups of {group} things in a view of {brief.canvas}")


def _middle(sheet: Sheet, axis: int) -> float:
    return float(np.mean([corner[axis] for corner in sheet.corners]))


def _are_apart(sheets: list[Sheet], axis: int, clear: int) -> bool:
    middles = sorted(_middle(sheet, axis) for sheet in sheets)
    return min(later - earlier for earlier, later in itertools.pairwise(middles)) >= clear


def _first(sheets: list[Sheet], axis: int, place: int) -> list[Sheet]:
    """The one in a place of the order first, then the others as they were."""
    asked = sorted(sheets, key=lambda sheet: _middle(sheet, axis))[place]
    return [asked, *(sheet for sheet in sheets if sheet is not asked)]
