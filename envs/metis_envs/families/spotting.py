"""`spotting`: what stands on the label of one of several things?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.labels import OPEN_ANSWERS, LabelTask, plan_labels
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.labels import Labelled, place_sheets
from metis_envs.scenes.objects import COLOURS, THINGS
from metis_gym.records import AnswerKind, Necessity

__all__ = ["Spotting"]

_MIN_GROUP, _MAX_GROUP = 3, 4


@dataclass(frozen=True)
class _Attribute:
    """What a label may say: what is asked, and answer → text."""

    wordings: tuple[str, ...]
    texts: dict[str, str]
    kind: AnswerKind = AnswerKind.TEXT


_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"
_ATTRIBUTES = (
    _Attribute(
        (
            "Which letter is on the {colour} {object}?",
            "What letter does the {colour} {object} have?",
            "Look for the {colour} {object}: which letter is on it?",
            "Which letter stands on the label of the {colour} {object}?",
            "The {colour} {object} bears a letter. Which one?",
            "There is a letter on the {colour} {object}: what is it?",
            "What is the letter written on the {colour} {object}?",
        ),
        {letter: letter for letter in _LETTERS},
    ),
    _Attribute(
        (
            "Which number is on the {colour} {object}?",
            "What number does the {colour} {object} have?",
            "Look for the {colour} {object}: which number is on it?",
            "Which number stands on the label of the {colour} {object}?",
            "The {colour} {object} bears a number. Which one?",
            "There is a number on the {colour} {object}: what is it?",
            "What is the number written on the {colour} {object}?",
        ),
        {str(number): str(number) for number in range(10, 100)},
        AnswerKind.NUMBER,
    ),
    _Attribute(
        (
            "Which way does the arrow on the {colour} {object} point?",
            "Up, down, left or right: where does the arrow on the {colour} {object} point?",
            "Look for the {colour} {object}: which way does its arrow point?",
            "In which direction does the arrow on the label of the {colour} {object} point?",
            "The {colour} {object} bears an arrow. Which way does it point?",
            "There is an arrow on the {colour} {object}: which way is it pointing?",
            "What is the direction of the arrow on the {colour} {object}?",
        ),
        {"up": "↑", "down": "↓", "left": "←", "right": "→"},
    ),
    _Attribute(
        (
            "Which sign is on the {colour} {object}: circle, square, triangle, diamond, star or heart?",
            "Circle, square, triangle, diamond, star or heart: which is on the {colour} {object}?",
            "Look for the {colour} {object}: is its sign a circle, square, triangle, diamond, star or heart?",
            "Which of circle, square, triangle, diamond, star and heart is on the label of the {colour} {object}?",
            "The {colour} {object} bears a circle, square, triangle, diamond, star or heart. Which one?",
            "There is a sign on the {colour} {object}: circle, square, triangle, diamond, star or heart?",
            "What is drawn on the {colour} {object}: a circle, square, triangle, diamond, star or heart?",
        ),
        {"circle": "○", "square": "□", "triangle": "△", "diamond": "◇", "star": "☆", "heart": "♡"},
    ),
)


class Spotting(Family):
    """Balloons and kites, boats and buoys, crates, parcels and tins, jerseys and bags, each with a label."""

    name: ClassVar[str] = "spotting"
    generation: ClassVar[int] = 3
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 320
    max_choices: ClassVar[int] = 6

    def plan(self, brief: Brief) -> Blueprint:
        """Choose the things, no two of the same kind and colour; half of the labels are in small print."""
        rng = brief.rng
        fitting = [attribute for attribute in _ATTRIBUTES if len(attribute.texts) >= brief.choices]
        attribute = fitting[int(rng.integers(len(fitting)))]
        names = [list(attribute.texts)[i] for i in rng.permutation(len(attribute.texts))]
        answers = names[: brief.choices or OPEN_ANSWERS]
        setting = list(THINGS)[int(rng.integers(len(THINGS)))]
        group = max(_MIN_GROUP, brief.choices or int(rng.integers(_MIN_GROUP, _MAX_GROUP + 1)))
        pairs = [(kind, colour) for kind in THINGS[setting] for colour in COLOURS]
        chosen = [pairs[i] for i in rng.permutation(len(pairs))[: 2 * group]]
        sheets = place_sheets(rng, brief.canvas, setting, 2 * group)
        things = [
            Labelled(
                name=kind,
                setting=setting,
                colour=colour,
                sheet=sheet,
                is_small=number >= group,
                shift=_shift(rng),
            )
            for number, ((kind, colour), sheet) in enumerate(zip(chosen, sheets, strict=True))
        ]
        large, small = tuple(things[:group]), tuple(things[group:])
        asked, others = (small, large) if brief.hides else (large, small)
        target = f"{asked[0].colour} {asked[0].name}"
        task = LabelTask(
            question=choose_wording(brief, attribute.wordings, colour=asked[0].colour, object=asked[0].name),
            asked=asked,
            others=others,
            answers=tuple(answers),
            texts=tuple(attribute.texts[name] for name in names),
            name=f"the {target}",
            kind=attribute.kind,
        )
        return plan_labels(brief, task)


def _shift(rng: np.random.Generator) -> tuple[float, float]:
    """Where small print is on a label."""
    across, down = rng.uniform((-0.6, -0.6), (0.6, 0.4))
    return float(across), float(down)
