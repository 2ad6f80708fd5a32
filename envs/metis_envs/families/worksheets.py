"""What families of worksheets share: a scene with one worksheet that is asked about, and others beside it.

Every scene has one near worksheet and one or two far ones, all of one kind, and the question names one of them by its
colour. So neither the question nor what the image is made of tells whether a tool is needed.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.concealment import conceal_among
from metis_envs.scenes.drawing import font, text_width
from metis_envs.scenes.prints import Print, hull
from metis_envs.scenes.worksheets import Content, Worksheet, drawn_place, lay_worksheets, paint_worksheets
from metis_gym.records import AnswerKind, ImageArray, Necessity

__all__ = ["OPEN_ANSWERS", "PITCH", "ROWS", "WorksheetFamily", "WorksheetTask", "list_content", "turned"]

OPEN_ANSWERS = 8
"""Possible answers of an open question."""
ROWS = 4
"""Entries of a worksheet where the question is open; a choice has one for each option, so that each stands there."""

PITCH = 1.45
"""From one row to the next, in em."""

T = TypeVar("T")

_SHEETS = 3
_MIN_WIDTH = 9.0
_MEASURED_SIZE = 50


@dataclass(frozen=True, kw_only=True)
class WorksheetTask:
    """A question about a worksheet.

    Attributes:
        wordings: With `{sheet}` where the worksheet is named.
        answers: All answers that could be right.
        content: What the worksheet carries, for each answer.
        kind: How an open answer is compared.
        explanation: How the answer follows from what is printed.
        fields: What else stands in braces in the wordings.
        tool_benefit: Measured gain of tools, where necessity is unknown.
    """

    wordings: tuple[str, ...]
    answers: tuple[str, ...]
    content: Content
    kind: AnswerKind = AnswerKind.NUMBER
    explanation: str = "read the answer off it"
    fields: tuple[tuple[str, str], ...] = ()
    tool_benefit: float | None = None


class WorksheetFamily(Family):
    """A family whose deciding detail is the text of one worksheet."""

    ability: ClassVar[str] = "maths"
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 384
    max_choices: ClassVar[int] = 6

    @abstractmethod
    def draw_task(self, brief: Brief) -> WorksheetTask:
        """Draw what a worksheet carries and what is asked about it. It must not depend on the necessity."""

    def plan(self, brief: Brief) -> Blueprint:
        """Lay the worksheet that is asked about, and one or two others."""
        rng, canvas = brief.rng, brief.canvas
        task, *others = (self.draw_task(brief) for _ in range(_SHEETS))
        contents = [task.content, *(other.content for other in others)]
        worksheets = lay_worksheets(rng, canvas, contents, asked_is_far=brief.hides)
        shown = [int(rng.integers(len(other.answers))) for other in others]
        asked = worksheets[0]
        place = drawn_place(rng, canvas, brief.split, asked.material.surface)

        def paint() -> ImageArray:
            scene = paint_worksheets(place, canvas, worksheets)
            for worksheet, index in zip(worksheets[1:], shown, strict=False):
                _print_other(scene, worksheet, index)
            return scene

        where = f"{asked.phrase.capitalize()} is in small print: crop it, then" if brief.hides else "Look at it and"
        return Blueprint(
            question=choose_wording(brief, task.wordings, sheet=asked.phrase, **dict(task.fields)),
            answers=task.answers,
            paint=paint,
            draw_detail=asked.print_varying,
            region=hull(asked.parts),
            parts=asked.parts,
            notes=place.notes,
            explanation=f"{where} {task.explanation}.",
            kind=task.kind,
            tool_benefit=task.tool_benefit,
        )


def _print_other(scene: ImageArray, worksheet: Worksheet, index: int) -> None:
    """What a worksheet that is not asked for says; small print concealed as if it were."""
    if not worksheet.is_far:
        worksheet.print_varying(scene, index)
        return
    every, factor = range(len(worksheet.content.varying)), worksheet.sheet.canvas.factor
    conceal_among(scene, worksheet.parts, worksheet.print_varying, index, every, factor)


def turned(values: Sequence[T], index: int, asked: int, rows: int) -> list[T]:
    """What stands in each row for an answer: its value in the row that is asked for, the others in their order.

    >>> turned(["p", "q", "r", "s"], 1, asked=2, rows=3)
    ['s', 'p', 'q']
    """
    return [values[(index + row - asked) % len(values)] for row in range(rows)]


def list_content(
    title: str,
    labels: Sequence[str],
    values: Sequence[str],
    asked: int,
    *,
    width: float = 0.0,
    value_x: float | None = None,
    below: Sequence[str] = (),
) -> Content:
    """Rows with a label, and a value that the answer decides, at the right edge or behind the label.

    Args:
        title: What stands in the band.
        labels: One for each row.
        values: One for each answer; as many or more.
        asked: The row that is asked for.
        width: Least width in em.
        value_x: Where the values begin, in em; None to end them at the right edge.
        below: Further lines.
    """
    middles = [(row + 0.5) * PITCH + 0.35 for row in range(len(labels) + len(below))]
    fixed = [Print(0.6, y, label) for label, y in zip((*labels, *below), middles, strict=True)]
    face = font("sans-bold", _MEASURED_SIZE)
    longest = max(text_width(value, face) for value in values) / _MEASURED_SIZE
    label = max(text_width(text, face) for text in labels) / _MEASURED_SIZE
    width = max(width, _MIN_WIDTH, (label + 1.4 if value_x is None else value_x) + longest + 1.2)
    x, anchor = (width - 0.6, "rm") if value_x is None else (value_x, "lm")
    varying = tuple(
        tuple(
            Print(x, y, value, anchor, "sans")
            for value, y in zip(turned(values, index, asked, len(labels)), middles, strict=False)
        )
        for index in range(len(values))
    )
    return Content(width=width, height=PITCH * len(middles) + 0.7, title=title, fixed=tuple(fixed), varying=varying)
