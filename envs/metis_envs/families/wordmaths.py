"""`wordmaths`: a price list, a ledger or a list of steps on a card, and a question that takes some arithmetic.

Near cards carry little, and the head suffices. Far ones carry long sums and long calculations: what is cropped and read
is then best worked out by code.
"""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metis_envs.families.cards import OPEN_ANSWERS, CardFamily, CardTask
from metis_envs.families.family import Brief
from metis_envs.scenes.cards import Content, Pen, rows
from metis_gym.records import AnswerKind

__all__ = ["Wordmaths"]

_GOODS = ("tea", "coffee", "cake", "soup", "juice", "salad")
_NEAR_ENTRIES, _FAR_ENTRIES = (3, 4), (9, 14)
_NEAR_STEPS, _FAR_STEPS = (2, 3), (6, 9)
_PITCH = 1.5

_Kind = Callable[[Brief, int], CardTask]


def _shopping(brief: Brief, count: int) -> CardTask:
    """Prices of four goods; what do some of two of them cost? The price of the first is left open."""
    rng = brief.rng
    goods = [_GOODS[i] for i in rng.permutation(len(_GOODS))[:4]]
    prices = [int(price) for price in rng.integers(2, 20, size=4)]
    first, second = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    open_prices = _different(rng, 2, 30, count, brief.split)
    lists = [[(goods[0], str(price)), *zip(goods[1:], map(str, prices[1:]), strict=True)] for price in open_prices]
    bought = f"{first} x {goods[0]} and {second} x {goods[1]}"
    return CardTask(
        question=f"Going by the price list on {{card}}: what do {bought} cost together?",
        answers=tuple(str(first * price + second * prices[1]) for price in open_prices),
        contents=tuple(rows(lines, width=10.0) for lines in lists),
        kind=AnswerKind.NUMBER,
        explanation="read the two prices, multiply and add",
    )


def _ledger(brief: Brief, count: int) -> CardTask:
    """Amounts in two columns; what is their sum? One amount is left open."""
    rng = brief.rng
    low, high = _FAR_ENTRIES if brief.hides else _NEAR_ENTRIES
    amounts = [int(amount) for amount in rng.integers(11, 90, size=int(rng.integers(low, high + 1)) - 1)]
    place = int(rng.integers(len(amounts) + 1))
    open_amounts = _different(rng, 11, 99, count, brief.split)
    lists = [[*amounts[:place], amount, *amounts[place:]] for amount in open_amounts]
    return CardTask(
        question="What is the sum of all numbers on {card}?",
        answers=tuple(str(sum(numbers)) for numbers in lists),
        contents=tuple(_columns([str(number) for number in numbers]) for numbers in lists),
        kind=AnswerKind.NUMBER,
        explanation="read the numbers and add them up",
    )


def _steps(brief: Brief, count: int) -> CardTask:
    """Start with a number and follow the steps; the start is left open."""
    rng = brief.rng
    low, high = _FAR_STEPS if brief.hides else _NEAR_STEPS
    steps = [_STEPS[int(i)] for i in rng.integers(len(_STEPS), size=int(rng.integers(low, high + 1)))]
    numbers = [int(number) for number in rng.integers(2, 10, size=len(steps))]
    starts = _different(rng, 2, 40, count, brief.split)
    lines = [f"{sign} {number}" for (sign, _), number in zip(steps, numbers, strict=True)]
    results = []
    for start in starts:
        value = start
        for (_, apply), number in zip(steps, numbers, strict=True):
            value = apply(value, number)
        results.append(value)
    return CardTask(
        question="Begin with the first number on {card} and follow the steps one after the other. What comes out?",
        answers=tuple(str(result) for result in results),
        contents=tuple(_columns([str(start), *lines]) for start in starts),
        kind=AnswerKind.NUMBER,
        explanation="read the steps and follow them",
    )


_STEPS: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("+", lambda value, number: value + number),
    ("−", lambda value, number: value - number),
    ("× 2 +", lambda value, number: 2 * value + number),
)
"""Sign → what it does. All are one to one, so that different starts come to different ends."""

_KINDS: tuple[_Kind, ...] = (_shopping, _ledger, _steps)


def _different(rng: np.random.Generator, low: int, high: int, count: int, split: str) -> list[int]:
    """Different numbers from low to high; even ones for one split, odd ones for the other."""
    numbers = [number for number in range(low, high + 1) if number % 2 == (split == "test")]
    return [numbers[i] for i in rng.permutation(len(numbers))[:count]]


def _columns(texts: list[str]) -> Content:
    """Texts in two columns, down the first one first."""
    height = -(-len(texts) // 2)

    def draw(pen: Pen) -> None:
        for number, text in enumerate(texts):
            column, row = divmod(number, height)
            pen.text(0.8 + 5.0 * column, (row + 0.5) * _PITCH + 0.3, text)

    return Content(width=10.4, height=_PITCH * height + 0.6, draw=draw)


class Wordmaths(CardFamily):
    """Price lists, ledgers and calculations in steps."""

    name: ClassVar[str] = "wordmaths"
    ability: ClassVar[str] = "maths"

    def draw_task(self, brief: Brief) -> CardTask:
        """Draw one of the kinds."""
        kind = _KINDS[int(brief.rng.integers(len(_KINDS)))]
        return kind(brief, brief.choices or OPEN_ANSWERS)
