"""What families of labelled things share: two groups of things in a place, with labels in large and in small print.

The question names one thing, in the same words whether its label is legible in the view or not. The labels of a group
say the answers in turn, so every option stands in the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metis_envs.families.family import Blueprint, Brief
from metis_envs.scenes.concealment import conceal_among
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.labels import Labelled, draw_stands
from metis_envs.scenes.places import choose_place
from metis_gym.records import AnswerKind, Box, ImageArray

__all__ = ["OPEN_ANSWERS", "LabelTask", "plan_labels"]

OPEN_ANSWERS = 10
"""Possible answers of an open question."""


@dataclass(frozen=True, kw_only=True)
class LabelTask:
    """Things with labels, and a question about one of them.

    Attributes:
        question: The question.
        asked: The things of the group that is asked for, the one that is asked for first.
        others: The things of the other group.
        answers: All answers that could be right.
        texts: What a label says for each answer, and some further texts.
        name: How the explanation names the thing.
        kind: How an open answer is compared.
    """

    question: str
    asked: tuple[Labelled, ...]
    others: tuple[Labelled, ...]
    answers: tuple[str, ...]
    texts: tuple[str, ...]
    name: str
    kind: AnswerKind = AnswerKind.TEXT


def plan_labels(brief: Brief, task: LabelTask) -> Blueprint:
    """Put the things into a place."""
    rng, setting = brief.rng, task.asked[0].setting
    place = choose_place(
        rng, brief.canvas, brief.split, {"shelf": "bare wall", "line": "bare wall"}.get(setting, setting)
    )
    seed, start = (int(draw) for draw in rng.integers([1 << 31, len(task.answers)]))
    things = sorted((*task.asked, *task.others), key=lambda thing: thing.sheet.corners[2][1])

    def paint() -> ImageArray:
        stream = np.random.default_rng(seed)
        draft = Draft(brief.canvas, place.paint_half())
        draw_stands(draft, setting, [thing.sheet for thing in things])
        for thing in things:
            thing.paint(draft, stream)
        scene = draft.scene(seed=seed)
        for thing in things:
            thing.print_frame(scene, stream)
        _print_others(scene, task, start, brief.canvas.factor)
        return scene

    def draw_detail(scene: ImageArray, index: int) -> None:
        _print(scene, task.asked, task, index)

    parts = tuple(thing.print_box for thing in task.asked)
    return Blueprint(
        question=task.question,
        answers=task.answers,
        paint=paint,
        draw_detail=draw_detail,
        region=_around(parts),
        parts=parts,
        focus=task.asked[0].label_box,
        notes=place.notes,
        explanation=(
            f"The label of {task.name} is in small print: crop it and enlarge the crop."
            if brief.hides
            else f"The label of {task.name} is in large print: read it in the view."
        ),
        kind=task.kind,
    )


def _print(scene: ImageArray, things: Sequence[Labelled], task: LabelTask, index: int) -> None:
    """Print the answer of an index on the first thing, the next ones on the others, then further texts."""
    count = len(task.answers)
    for place, thing in enumerate(things):
        thing.print_text(scene, task.texts[(index + place) % count] if place < count else task.texts[place])


def _print_others(scene: ImageArray, task: LabelTask, start: int, factor: int) -> None:
    """Print the labels of the group that is not asked for; small print concealed as if it were."""

    def draw(scene: ImageArray, index: int) -> None:
        _print(scene, task.others, task, index)

    if task.others[0].is_small:
        parts = [thing.print_box for thing in task.others]
        every = range(len(task.answers))  # as many as if it were asked for, so that the smudge is no crisper
        conceal_among(scene, parts, draw, start, every, factor)
    else:
        draw(scene, start)


def _around(boxes: Sequence[Box]) -> Box:
    edges = np.asarray(boxes)
    left, top = edges[:, :2].min(axis=0)
    right, bottom = edges[:, 2:].max(axis=0)
    return int(left), int(top), int(right), int(bottom)
