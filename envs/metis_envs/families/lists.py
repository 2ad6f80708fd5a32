"""What families of lists share: two sheets with the same lines in a scene, one in large and one in small print.

The question names a sheet by its title and a line by its beginning, in the same words whether the sheet's lines are
legible in the view or not. Both sheets have the same lines and the same values, in other places; so every option
stands in the image, and nothing but a look at the sheets tells whether the one that is asked for is in small print.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.concealment import conceal_among
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import font, text_width
from metis_envs.scenes.lists import ListLook, ListSheet, lay_lists
from metis_envs.scenes.places import choose_place
from metis_gym.records import AnswerKind, ImageArray, Necessity

__all__ = ["OPEN_ANSWERS", "ListFamily", "ListTask", "draw_fields", "draw_lines"]

OPEN_ANSWERS = 10
"""Possible answers of an open question."""
_MIN_LINES, _MAX_LINES = 3, 5
_MEASURED_SIZE, _SPARE_STEP = 50, 0.5
"""Values are measured at this font size; the difference that is allowed grows by so much with each that is drawn."""


@dataclass(frozen=True, kw_only=True)
class ListTask:
    """Two lists, and a question about one of them.

    Attributes:
        name: What the sheets are, such as "receipt".
        wordings: With `{field}` and `{title}`.
        titles: The titles of the two.
        fields: The beginning of each line.
        answers: All answers that could be right.
        values: What a line says for each answer, and for some further values.
        setting: Where the sheets are.
        looks: How the two look.
        large_print: One line for the sheet in small print.
        small_print: Lines for the sheet in large print.
        kind: How an open answer is compared.
        turn: Most degrees by which a sheet is turned.
    """

    name: str
    wordings: tuple[str, ...]
    titles: tuple[str, str]
    fields: tuple[str, ...]
    answers: tuple[str, ...]
    values: tuple[str, ...]
    setting: str
    looks: tuple[ListLook, ListLook]
    large_print: str
    small_print: tuple[str, ...]
    kind: AnswerKind = AnswerKind.TEXT
    turn: float = 2.0


class ListFamily(Family):
    """A family whose deciding detail are the values of one of two lists."""

    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 384
    max_choices: ClassVar[int] = 6

    @abstractmethod
    def draw_task(self, brief: Brief) -> ListTask:
        """Draw what the sheets say and what is asked of them; nothing may depend on the necessity."""

    def plan(self, brief: Brief) -> Blueprint:
        """Lay the two sheets; ask for a line of the one in large print, or of the one in small print."""
        rng, task = brief.rng, self.draw_task(brief)
        large, small = lay_lists(
            rng,
            brief.canvas,
            task.looks,
            task.titles,
            task.fields,
            task.values,
            (task.large_print, task.small_print),
            turn=task.turn,
        )
        place = choose_place(rng, brief.canvas, brief.split, task.setting)
        line, other_line = (int(draw) for draw in rng.integers(len(task.fields), size=2))
        other_start = int(rng.integers(len(task.answers)))
        seed = int(rng.integers(1 << 31))
        asked, other = (small, large) if brief.hides else (large, small)

        def paint() -> ImageArray:
            stream = np.random.default_rng(seed)
            draft = Draft(brief.canvas, place.paint_half())
            for sheet in (large, small):
                sheet.paint(draft, stream)
            scene = draft.scene(seed=seed)
            for sheet in (large, small):
                sheet.print_frame(scene, stream)
            _print_other(scene, other, task, other_start, other_line)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            asked.print_values(scene, _turned(task, index, line))

        return Blueprint(
            question=choose_wording(brief, task.wordings, field=task.fields[line], title=asked.title),
            answers=task.answers,
            paint=paint,
            draw_detail=draw_detail,
            region=asked.box,
            parts=(asked.values_box,),
            notes=place.notes,
            explanation=_explanation(task, asked, task.fields[line]),
            kind=task.kind,
        )


def draw_fields(brief: Brief, possible: Sequence[str]) -> tuple[str, ...]:
    """Draw the beginnings of lines: as many lines as there are options, or three to five."""
    count = int(brief.rng.integers(_MIN_LINES, _MAX_LINES + 1))
    count = max(brief.choices, _MIN_LINES) if brief.choices else count
    return tuple(possible[i] for i in sorted(brief.rng.permutation(len(possible))[:count]))


def draw_lines(
    brief: Brief, possible: Sequence[str], value: Callable[[], str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Draw what lists say: values of about one width, so that none leaves a tail beside the others in small print.

    Args:
        brief: The task's.
        possible: Beginnings of lines to choose from.
        value: Draws a value.

    Returns:
        The beginnings of the lines; different values, the answers first; and the answers.
    """
    fields = draw_fields(brief, possible)
    answers = brief.choices or OPEN_ANSWERS
    values: dict[str, None] = {value(): None}
    widest = text_width(next(iter(values)), font("sans", _MEASURED_SIZE))
    spare = 0.0
    while len(values) < max(answers, len(fields)):
        drawn = value()
        if abs(text_width(drawn, font("sans", _MEASURED_SIZE)) - widest) <= spare:
            values.setdefault(drawn)
        spare += _SPARE_STEP
    return fields, tuple(values), tuple(values)[:answers]


def _turned(task: ListTask, index: int, line: int) -> list[str]:
    """What each line says: one of them the answer of an index, those after it the next ones, then further values."""
    count, lines = len(task.answers), len(task.fields)
    places = [(number - line) % lines for number in range(lines)]
    return [task.values[(index + place) % count] if place < count else task.values[place] for place in places]


def _print_other(scene: ImageArray, sheet: ListSheet, task: ListTask, start: int, line: int) -> None:
    """The values of the sheet that is not asked for; those in small print concealed as if they were."""

    def draw(scene: ImageArray, index: int) -> None:
        sheet.print_values(scene, _turned(task, index, line))

    if sheet.is_small:
        every = range(len(task.answers))  # as many as if it were asked for, so that the smudge is no crisper
        conceal_among(scene, (sheet.values_box,), draw, start, every, sheet.sheet.canvas.factor)
    else:
        draw(scene, start)


def _explanation(task: ListTask, asked: ListSheet, field: str) -> str:
    line = f"the line “{field}” of the {task.name} headed “{asked.title}”"
    if asked.is_small:
        return f"Its lines are in small print: crop them, enlarge the crop and read {line}."
    return f"Its lines are in large print: read {line} in the view."
