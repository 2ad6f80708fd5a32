"""`ledgers`: long sums and date differences over legible numbers. Whether a tool is needed is unknown.

Everything is legible in the view. Code only saves arithmetic, and how much that is worth depends on who works it out.
So these tasks have no blind accuracy and no plans, and count in no metric that rests on them. They carry a measured
`tool_benefit` instead: how much more often code is right than a small network which reads perfectly and has learned to
do the arithmetic in its head (`tests/envs/measure_benefits.py`). Measure it anew for a model of your own.
"""

import datetime
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Brief
from metis_envs.families.worksheets import ROWS, WorksheetFamily, WorksheetTask, list_content, turned
from metis_envs.scenes.prints import Print
from metis_envs.scenes.worksheets import Content
from metis_gym.records import Necessity

__all__ = ["BENEFITS", "Ledgers"]

_LETTERS = "ABCDEF"
_ENTRIES = (6, 9)
_COLUMN, _PITCH, _SIZE = 2.5, 1.25, 0.92
_EVENTS = ("Bridge", "Library", "Harbour", "Market", "Theatre", "Museum", "Station", "Garden", "Tower", "School")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

BENEFITS = {"sum": (0.984, 0.058), "days": (0.980, 0.108)}
"""Measured gain of code, for open questions and for choices, by kind: see `tests/envs/measure_benefits.py`."""

_SUM_WORDINGS = (
    "What is the sum of column {letter} on {sheet}?",
    "Add up all numbers in column {letter} of {sheet}. What do you get?",
    "What do the amounts in column {letter} on {sheet} come to?",
    "On {sheet}, what is the total of column {letter}?",
    "Which total belongs below column {letter} on {sheet}?",
    "How much is column {letter} of {sheet} altogether?",
    "Work out the sum of all entries in column {letter} on {sheet}. What is it?",
)
_DAY_WORDINGS = (
    "How many days after {event} on {sheet} is {date}?",
    "Going by {sheet}, how many days are there from {event} to {date}?",
    "By {date}, how many days have passed since the date of {event} on {sheet}?",
    "What is the number of days from the date of {event} on {sheet} to {date}?",
    "Take the date of {event} on {sheet}. How many days later is {date}?",
    "How many days lie between {event} on {sheet} and {date}, if the last day counts and the first does not?",
    "From {event}, as dated on {sheet}, how many days is it to {date}?",
)


class Ledgers(WorksheetFamily):
    """Columns of amounts, and lists of dates; the answer decides which stands where."""

    name: ClassVar[str] = "ledgers"
    generation: ClassVar[int] = 3
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.UNKNOWN,)
    aspects: ClassVar[tuple[float, ...]] = (1.0, 4 / 3, 3 / 4)

    def draw_task(self, brief: Brief) -> WorksheetTask:
        """Draw one of the kinds."""
        kind = _columns if brief.rng.random() < 0.5 else _dates
        return kind(brief, brief.choices or ROWS)

    def _draw_necessity(self, rng: np.random.Generator) -> Necessity:  # noqa: ARG002
        return Necessity.UNKNOWN


def _columns(brief: Brief, count: int) -> WorksheetTask:
    """Columns of amounts with different sums; the answer decides which column stands under which letter."""
    rng = brief.rng
    entries = int(rng.integers(*_ENTRIES))
    columns: dict[int, tuple[str, ...]] = {}
    while len(columns) < count:
        drawn = [int(number) for number in rng.integers(50, 500, size=entries) * 2 + (brief.split == "test")]
        columns[sum(drawn)] = tuple(str(number) for number in drawn)
    asked = int(rng.integers(count))
    return WorksheetTask(
        wordings=_SUM_WORDINGS,
        fields=(("letter", _LETTERS[asked]),),
        answers=tuple(str(total) for total in columns),
        content=_table(tuple(columns.values()), asked),
        explanation="add up the column",
        tool_benefit=BENEFITS["sum"][brief.choices > 0],
    )


def _table(columns: tuple[tuple[str, ...], ...], asked: int) -> Content:
    count, entries = len(columns), len(columns[0])
    edges = [0.3 + _COLUMN * (place + 1) for place in range(count)]
    varying = tuple(
        tuple(
            Print(edge, 1.9 + _PITCH * row, text, "rm", "sans", _SIZE)
            for edge, column in zip(edges, turned(columns, index, asked, count), strict=True)
            for row, text in enumerate(column)
        )
        for index in range(count)
    )
    return Content(
        width=edges[-1] + 0.7,
        height=2.3 + _PITCH * (entries - 1) + 0.6,
        title="Ledger",
        fixed=tuple(Print(edge, 0.7, letter, "rm", "sans-bold") for edge, letter in zip(edges, _LETTERS, strict=False)),
        lines=(((0.4, 1.25), (edges[-1] + 0.3, 1.25)),),
        varying=varying,
    )


def _dates(brief: Brief, count: int) -> WorksheetTask:
    """A list of events with dates; the answer decides which event has which date."""
    rng = brief.rng
    events = [_EVENTS[i] for i in rng.permutation(len(_EVENTS))[:count]]
    first = datetime.date(int(rng.integers(1950, 2015)), 1, 1)
    offsets = sorted(2 * int(offset) + (brief.split == "test") for offset in rng.choice(700, size=count, replace=False))
    dates = [first + datetime.timedelta(days=offsets[i]) for i in rng.permutation(count)]
    end = first + datetime.timedelta(days=1402 + int(rng.integers(400)))
    asked = int(rng.integers(count))
    return WorksheetTask(
        wordings=_DAY_WORDINGS,
        fields=(("event", events[asked]), ("date", _written(end))),
        answers=tuple(str((end - date).days) for date in dates),
        content=list_content("Opened", events, [_written(date) for date in dates], asked),
        explanation="count the days from its date",
        tool_benefit=BENEFITS["days"][brief.choices > 0],
    )


def _written(date: datetime.date) -> str:
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"
