"""`documents`: receipts, timetables, forms and tables on a desk or a board: what does one line say?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Brief
from metis_envs.families.lists import ListFamily, ListTask, draw_lines
from metis_envs.families.names import place_name
from metis_envs.scenes.lists import ListLook
from metis_gym.records import AnswerKind

__all__ = ["Documents"]

_Value = Callable[[np.random.Generator, str], str]


def _price(rng: np.random.Generator, split: str) -> str:
    """Train and test have no price in common: the last digit tells them apart."""
    return f"{int(rng.integers(10, 60))}.{int(rng.integers(10))}{(0, 5)[split == 'test']}"


def _clock(rng: np.random.Generator, split: str) -> str:
    return f"{int(rng.integers(6, 23)):02d}:{5 * int(rng.integers(6)) + (0 if split == 'train' else 30):02d}"


def _code(rng: np.random.Generator, split: str) -> str:
    letters = "ABCDEFGHK" if split == "train" else "LMNPRSTXY"
    return f"{letters[int(rng.integers(9))]}{int(rng.integers(100, 1000))}"


@dataclass(frozen=True)
class _Document:
    """A kind of document: its lines, what they say, how answers are compared."""

    name: str
    fields: tuple[str, ...]
    value: _Value
    wordings: tuple[str, ...]
    large_print: tuple[str, ...]
    small_print: tuple[str, ...]
    kind: AnswerKind = AnswerKind.TEXT


_DOCUMENTS = (
    _Document(
        "receipt",
        ("Bread", "Milk", "Tea", "Apples", "Soap", "Rice", "Salt", "Eggs"),
        _price,
        (
            "What is the price of “{field}” on the receipt headed “{title}”?",
            "How much does “{field}” cost according to the receipt headed “{title}”?",
            "Which price does the receipt headed “{title}” give for “{field}”?",
            "Look at the receipt headed “{title}”: what does the line “{field}” come to?",
            "On the receipt headed “{title}”, which amount stands beside “{field}”?",
            "What was paid for “{field}”, as the receipt headed “{title}” says?",
            "According to the receipt with the heading “{title}”, what does “{field}” cost?",
        ),
        ("THANK YOU", "PAID", "COPY", "CASH"),
        (
            "Please keep this slip as proof of purchase.",
            "All prices include tax. Goods may be",
            "returned within 14 days.",
        ),
        AnswerKind.NUMBER,
    ),
    _Document(
        "timetable",
        ("Line 1", "Line 2", "Line 4", "Line 7", "Line 9", "Ferry", "Tram", "Coach"),
        _clock,
        (
            "At what time does “{field}” leave according to the timetable headed “{title}”?",
            "When does “{field}” leave, as the timetable headed “{title}” says?",
            "Which time stands beside “{field}” in the timetable headed “{title}”?",
            "What departure time does the timetable headed “{title}” give for “{field}”?",
            "Look at the timetable headed “{title}”: when does “{field}” set off?",
            "According to the timetable headed “{title}”, what time is the departure of “{field}”?",
            "On the timetable with the heading “{title}”, which departure is given for “{field}”?",
        ),
        ("DAILY", "SUMMER", "WINTER", "STOP 14"),
        ("Subject to change on public holidays.", "Tickets are sold on board.", "Please queue on the left."),
    ),
    _Document(
        "form",
        ("Seat", "Locker", "File", "Gate", "Badge", "Case", "Desk", "Key"),
        _code,
        (
            "What does the field “{field}” say on the form headed “{title}”?",
            "Which code stands beside “{field}” on the form headed “{title}”?",
            "What is filled in for “{field}” on the form headed “{title}”?",
            "Read the entry “{field}” of the form headed “{title}”: what is it?",
            "On the form headed “{title}”, which entry belongs to “{field}”?",
            "Which code does the form headed “{title}” give for “{field}”?",
            "What has been entered beside “{field}” on the form with the heading “{title}”?",
        ),
        ("OFFICE COPY", "FORM 27B", "SIGNED", "RECEIVED"),
        ("Fill in with block letters.", "Return this form to the office", "within five working days."),
    ),
    _Document(
        "table",
        ("North", "East", "South", "West", "Centre", "Coast", "Valley", "Harbour"),
        place_name,
        (
            "Which name stands beside “{field}” in the table headed “{title}”?",
            "What does the table headed “{title}” say for “{field}”?",
            "Which name belongs to “{field}” according to the table headed “{title}”?",
            "In the table headed “{title}”, what is written beside “{field}”?",
            "Look up “{field}” in the table headed “{title}”: which name is it?",
            "Which name does the table headed “{title}” give for “{field}”?",
            "Who or what is listed for “{field}” in the table with the heading “{title}”?",
        ),
        ("APPROVED", "DRAFT 2", "PAGE 3", "ANNEX"),
        ("Names are given as registered.", "Changes must be reported", "to the secretary in writing."),
    ),
)

_TITLES = (
    "Market", "Corner", "Station", "Harbour 5", "Office 2", "Week 31", "Week 12", "May", "June", "October", "Annex B",
    "Unit 7", "Unit 12", "Park Row", "Museum", "Library", "Branch 4", "Depot", "Kiosk", "Block C",
)  # fmt: skip
_PAPERS = (
    (246, 244, 238), (238, 230, 210), (250, 250, 250), (232, 238, 244), (244, 232, 222), (240, 240, 214),
    (226, 234, 222),
)  # fmt: skip
_INKS = ((34, 32, 34), (26, 30, 56), (52, 40, 32), (30, 44, 40))
_HEADS = (None, None, None, (172, 48, 44), (44, 92, 140), (52, 116, 76), (222, 190, 92), (96, 84, 120))


class Documents(ListFamily):
    """Receipts, timetables, forms and tables: the value of one line."""

    name: ClassVar[str] = "documents"
    generation: ClassVar[int] = 3

    def draw_task(self, brief: Brief) -> ListTask:
        """Draw two documents of one kind."""
        rng = brief.rng
        document = _DOCUMENTS[int(rng.integers(len(_DOCUMENTS)))]
        fields, values, answers = draw_lines(brief, document.fields, lambda: document.value(rng, brief.split))
        first, second = (int(i) for i in rng.choice(len(_TITLES), size=2, replace=False))
        setting = ("desk", "desk", "board", "wall")[int(rng.integers(4))]
        large, small = document.large_print, document.small_print
        return ListTask(
            name=document.name,
            wordings=document.wordings,
            titles=(_TITLES[first], _TITLES[second]),
            fields=fields,
            answers=answers,
            values=values,
            setting=setting,
            looks=(_look(rng, setting), _look(rng, setting)),
            large_print=large[int(rng.integers(len(large)))],
            small_print=small,
            kind=document.kind,
            turn=3.0 if setting == "desk" else 1.5,
        )


def _look(rng: np.random.Generator, setting: str) -> ListLook:
    return ListLook(
        fill=_PAPERS[int(rng.integers(len(_PAPERS)))],
        ink=_INKS[int(rng.integers(len(_INKS)))],
        head=_HEADS[int(rng.integers(len(_HEADS)))],
        face=("sans", "sans", "serif")[int(rng.integers(3))],
        title_face=("sans-bold", "serif-bold", "times-bold")[int(rng.integers(3))],
        large_face=("sans", "serif", "times")[int(rng.integers(3))],
        sign=("", "☎", "✂", "✉", "☑", "♫", "☂", "⚑", "✎")[int(rng.integers(9))],
        held_by={"desk": "", "board": "pin", "wall": "tape"}[setting],
    )
