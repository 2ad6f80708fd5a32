"""`counting`: how many marks of one kind stand in one line of a sheet?"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metis_envs.families.family import Brief
from metis_envs.families.lists import OPEN_ANSWERS, ListFamily, ListTask, draw_fields
from metis_envs.scenes.lists import ListLook
from metis_gym.records import AnswerKind

__all__ = ["Counting"]

_MARKS = {"circles": "○", "crosses": "×", "squares": "□", "triangles": "△", "plus signs": "+"}
_PLACES = 8
_COUNTS = range(1, _PLACES)
_FIELDS = {
    "train": ("Ada", "Emil", "Ida", "Jonas", "Nora", "Otto", "Vera", "Hugo"),
    "test": ("Bruno", "Clara", "Lena", "Karl", "Mara", "Paul", "Rosa", "Theo"),
}
_WORDINGS = (
    "How many {marks} stand beside “{{field}}” on the sheet headed “{{title}}”?",
    "How many {marks} are in the line “{{field}}” of the sheet headed “{{title}}”?",
    "Count the {marks} in the line “{{field}}” of the sheet headed “{{title}}”: how many are there?",
    "On the sheet headed “{{title}}”, how many {marks} does the line “{{field}}” have?",
    "What is the number of {marks} beside “{{field}}” on the sheet headed “{{title}}”?",
    "How many {marks} does “{{field}}” have on the sheet headed “{{title}}”?",
    "How many {marks} were put beside “{{field}}” on the sheet with the heading “{{title}}”?",
)
_TITLES = (
    "Week 2", "Week 17", "Week 40", "Monday", "Friday", "Round 1", "Round 3", "Team A", "Team B", "Chores", "Games",
    "Choir", "Chess", "Rowing", "Garden", "Kitchen",
)  # fmt: skip
_LARGE_PRINT = ("Best of 8", "Class 4", "Final list", "Well done!", "Bring pens")
_SMALL_PRINT = ("One mark is made for each time.", "Ask at the desk if a mark", "is missing or wrong.")
_PAPERS = ((248, 246, 240), (240, 232, 212), (230, 238, 246), (246, 234, 228), (238, 242, 216), (250, 248, 196))
_INKS = ((30, 34, 74), (40, 38, 40), (28, 70, 52), (110, 32, 38))


class Counting(ListFamily):
    """Sheets with marks of two kinds beside each name; one kind is to be counted."""

    name: ClassVar[str] = "counting"
    generation: ClassVar[int] = 3

    def draw_task(self, brief: Brief) -> ListTask:
        """Draw two sheets; the lines of each have different numbers of the asked marks."""
        rng = brief.rng
        asked, other = (list(_MARKS)[i] for i in rng.permutation(len(_MARKS))[:2])
        counts = _counts(rng, brief.choices)
        further = [count for count in rng.permutation(list(_COUNTS)).tolist() if count not in counts]
        order = rng.permutation(_PLACES)
        fields = draw_fields(brief, _FIELDS[brief.split])
        first, second = (int(i) for i in rng.choice(len(_TITLES), size=2, replace=False))
        setting = ("board", "desk", "wall")[int(rng.integers(3))]
        return ListTask(
            name="sheet",
            wordings=tuple(wording.format(marks=asked) for wording in _WORDINGS),
            titles=(_TITLES[first], _TITLES[second]),
            fields=fields,
            answers=tuple(str(count) for count in counts),
            values=tuple(_marks(_MARKS[asked], _MARKS[other], count, order) for count in (*counts, *further)),
            setting=setting,
            looks=(_look(rng, setting), _look(rng, setting)),
            large_print=_LARGE_PRINT[int(rng.integers(len(_LARGE_PRINT)))],
            small_print=_SMALL_PRINT,
            kind=AnswerKind.NUMBER,
            turn=3.0 if setting == "desk" else 1.5,
        )


def _counts(rng: np.random.Generator, choices: int) -> list[int]:
    """All counts for an open question; neighbours for a choice, in random order."""
    if not choices:
        return list(_COUNTS)[:OPEN_ANSWERS]
    start = int(rng.integers(_COUNTS.start, _COUNTS.stop - choices + 1))
    return [start + int(place) for place in rng.permutation(choices)]


def _marks(asked: str, other: str, count: int, order: NDArray[np.int64]) -> str:
    """`count` of the asked marks in the first places of an order, others in the rest."""
    marked = set(order[:count].tolist())
    return "".join(asked if place in marked else other for place in range(_PLACES))


def _look(rng: np.random.Generator, setting: str) -> ListLook:
    return ListLook(
        fill=_PAPERS[int(rng.integers(len(_PAPERS)))],
        ink=_INKS[int(rng.integers(len(_INKS)))],
        title_face=("sans-bold", "serif-bold", "times-bold")[int(rng.integers(3))],
        large_face=("sans", "serif")[int(rng.integers(2))],
        sign=("", "☎", "✂", "✉", "☑", "♫", "☂", "⚑", "✎")[int(rng.integers(9))],
        held_by={"desk": "", "board": "pin", "wall": "tape"}[setting],
    )
