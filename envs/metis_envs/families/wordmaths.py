"""`wordmaths`: lists on a worksheet and a question that takes some arithmetic: prices, change, times, steps."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Brief
from metis_envs.families.worksheets import OPEN_ANSWERS, ROWS, WorksheetFamily, WorksheetTask, list_content
from metis_gym.records import AnswerKind

__all__ = ["Wordmaths"]

_GOODS = ("tea", "coffee", "cake", "soup", "juice", "salad", "rolls", "cocoa", "waffle", "milk")
_PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gil", "Hana")
_EVENTS = ("Choir", "Chess", "Film", "Swimming", "Reading", "Drama", "Pottery", "Judo", "Dance", "Debate")

_Kind = Callable[[Brief, int, int], WorksheetTask]


def _bill(brief: Brief, count: int, rows: int) -> WorksheetTask:
    """What do some of one of the goods cost, with something for a price that the question tells?"""
    rng = brief.rng
    goods = [_GOODS[i] for i in rng.permutation(len(_GOODS))[:rows]]
    prices = _different(rng, 10, 49, count, brief.split)
    asked, times, extra = int(rng.integers(rows)), int(rng.integers(3, 9)), int(rng.integers(2, 10))
    return WorksheetTask(
        wordings=(
            "Going by the price list on {sheet}: what do {times} x {good} and a newspaper for {extra} cost together?",
            "{person} buys {times} x {good} at the prices on {sheet}, and a newspaper for {extra}. How much is that?",
            "How much are {times} x {good} on {sheet} plus {extra} for a newspaper?",
            "On one bill: {times} x {good} at the prices on {sheet}, and a newspaper for {extra}. What is the total?",
            "A guest orders {times} x {good} from {sheet} and pays {extra} more for a newspaper. What does it come to?",
            "With the prices of {sheet}, what is the sum for {times} x {good} and a newspaper that costs {extra}?",
            "{times} x {good} from {sheet}, and {extra} for a newspaper: what has {person} to pay?",
        ),
        fields=(("times", str(times)), ("good", goods[asked]), ("extra", str(extra)), _person(rng)),
        answers=tuple(str(times * price + extra) for price in prices),
        content=list_content("Prices", goods, [str(price) for price in prices], asked),
        explanation="read the price, multiply and add",
    )


def _change(brief: Brief, count: int, rows: int) -> WorksheetTask:
    """How much change is there for a purchase?"""
    rng = brief.rng
    goods = [_GOODS[i] for i in rng.permutation(len(_GOODS))[:rows]]
    prices = _different(rng, 10, 49, count, brief.split)
    asked, times = int(rng.integers(rows)), int(rng.integers(2, 5))
    paid = 50 * int(rng.integers(4, 7))
    return WorksheetTask(
        wordings=(
            "{person} buys {times} x {good} at the prices on {sheet} and pays with {paid}. How much change is there?",
            "Someone pays {paid} for {times} x {good} from {sheet}. What is the change?",
            "How much is left of {paid} after buying {times} x {good} at the prices on {sheet}?",
            "Going by {sheet}, {times} x {good} are paid for with {paid}. How much comes back?",
            "{person} has {paid} and takes {times} x {good} from the list on {sheet}. How much remains?",
            "With the prices of {sheet}: {paid} less {times} x {good} leaves how much?",
            "What change does {person} get for {paid} when {times} x {good} are bought as priced on {sheet}?",
        ),
        fields=(("times", str(times)), ("good", goods[asked]), ("paid", str(paid)), _person(rng)),
        answers=tuple(str(paid - times * price) for price in prices),
        content=list_content("Prices", goods, [str(price) for price in prices], asked),
        explanation="read the price, multiply and subtract",
    )


def _end(brief: Brief, count: int, rows: int) -> WorksheetTask:
    """When does something end that begins at a time of the list?"""
    rng = brief.rng
    events = [_EVENTS[i] for i in rng.permutation(len(_EVENTS))[:rows]]
    starts = [5 * start for start in _different(rng, 10 * 12, 20 * 12, count, brief.split)]
    asked, minutes = int(rng.integers(rows)), 5 * int(rng.integers(5, 30))
    return WorksheetTask(
        wordings=(
            "{event} on {sheet} takes {minutes} minutes. At what time does it end?",
            "Going by {sheet}, when is {event} over if it takes {minutes} minutes?",
            "{event} lasts {minutes} minutes and begins as {sheet} says. When does it finish?",
            "{person} stays at {event} for all of its {minutes} minutes. At what time, by {sheet}, is it over?",
            "At what time does {event} end, if it begins as on {sheet} and takes {minutes} minutes?",
            "By {sheet}, {event} begins on time and goes on for {minutes} minutes. When does it stop?",
            "If {event} takes {minutes} minutes, what time is it at its end? It begins as printed on {sheet}.",
        ),
        fields=(("event", events[asked]), ("minutes", str(minutes)), _person(rng)),
        answers=tuple(_clock(start + minutes) for start in starts),
        content=list_content("Today", events, [_clock(start) for start in starts], asked),
        kind=AnswerKind.TEXT,
        explanation="read when it begins and add the minutes",
    )


def _steps(brief: Brief, count: int, rows: int) -> WorksheetTask:
    """Begin with one of the numbers and follow the steps below."""
    rng = brief.rng
    signs = [_STEPS[int(i)] for i in rng.integers(len(_STEPS), size=2)]
    numbers = [int(number) for number in rng.integers(2, 10, size=len(signs))]
    starts = _different(rng, 12, 60, count, brief.split)
    asked = int(rng.integers(rows))
    results = []
    for start in starts:
        value = start
        for (_, apply), number in zip(signs, numbers, strict=True):
            value = apply(value, number)
        results.append(value)
    below = "then " + ", ".join(f"{sign} {number}" for (sign, _), number in zip(signs, numbers, strict=True))
    letter = "ABCDEFGH"[asked]
    return WorksheetTask(
        wordings=(
            "Begin with number {letter} on {sheet} and follow the steps below it. What comes out?",
            "Take number {letter} of {sheet} through the steps at the bottom. What is the result?",
            "On {sheet}, apply the steps at the bottom to number {letter}. What do you get?",
            "Start from number {letter} on {sheet}: where do the steps in the last line lead?",
            "What is left of number {letter} on {sheet} after the steps in the last line?",
            "Number {letter} on {sheet} goes through the steps below. Which number comes out?",
            "Follow the steps on {sheet}, beginning with number {letter}. What is the last number?",
        ),
        fields=(("letter", letter),),
        answers=tuple(str(result) for result in results),
        content=list_content(
            "Number chain", [f"{one}:" for one in "ABCDEFGH"[:rows]], [str(start) for start in starts], asked,
            value_x=2.2, below=(below,), width=0.62 * len(below) + 1.6,
        ),
        explanation="follow the steps",
    )  # fmt: skip


_STEPS: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("+", lambda value, number: value + number),
    ("−", lambda value, number: value - number),
    ("× 2 +", lambda value, number: 2 * value + number),
)
"""Sign → what it does. All are one to one, so that different starts come to different ends."""

_KINDS: tuple[_Kind, ...] = (_bill, _change, _end, _steps)


def _person(rng: np.random.Generator) -> tuple[str, str]:
    return "person", _PEOPLE[int(rng.integers(len(_PEOPLE)))]


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def _different(rng: np.random.Generator, low: int, high: int, count: int, split: str) -> list[int]:
    """Different numbers from low to high; even ones for one split, odd ones for the other."""
    numbers = [number for number in range(low, high + 1) if number % 2 == (split == "test")]
    return [numbers[i] for i in rng.permutation(len(numbers))[:count]]


class Wordmaths(WorksheetFamily):
    """Price lists, times and calculations in steps; the answer decides which value stands in which row."""

    name: ClassVar[str] = "wordmaths"
    generation: ClassVar[int] = 3

    def draw_task(self, brief: Brief) -> WorksheetTask:
        """Draw one of the kinds."""
        kind = _KINDS[int(brief.rng.integers(len(_KINDS)))]
        return kind(brief, brief.choices or OPEN_ANSWERS, brief.choices or ROWS)
