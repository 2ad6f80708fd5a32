"""`tariffs`: what several tickets cost, where the sign only refers to a tariff in its small print.

See `metis_envs.families.printed`. The sum is done in the head: a price times a small number that the question states.
"""

from typing import ClassVar

import numpy as np

from metis_envs.families.candidates import OPEN_ANSWERS
from metis_envs.families.codes import draw_codes, linked_pages
from metis_envs.families.family import Brief
from metis_envs.families.plates import POSTERS
from metis_envs.families.printed import Printed, PrintedFamily
from metis_envs.families.wordings import choose_wording
from metis_envs.world.names import TOWNS, choose
from metis_gym.records import AnswerKind

__all__ = ["Tariffs"]

_HEADS = ("Cable car {place}", "Museum of {place}", "Baths of {place}", "Ferry to {place}", "Zoo of {place}")
_GUESTS = ("adults", "children", "students")
_WORDINGS = (
    "How much do {number} tickets for {guests} cost in all?",
    "What do {number} {guests} pay in all?",
    "How much is to be paid for {number} {guests}?",
    "{Number} {guests} come in: how much do they pay together?",
    "What is the price of {number} tickets for {guests}, taken together?",
    "What does it cost to let {number} {guests} in?",
    "How much money do {number} {guests} need for their tickets?",
)
_SAID = (
    "One ticket for {guests} costs {price}.",
    "The price for {guests} is {price} each.",
    "{Guests} pay {price} each.",
)
_NUMBERS = ("two", "three", "four", "five")


class Tariffs(PrintedFamily):
    """Prices of several tickets."""

    name: ClassVar[str] = "tariffs"
    generation: ClassVar[int] = 3
    ability: ClassVar[str] = "maths"

    def draw_printed(self, brief: Brief) -> Printed:
        """Draw what the tickets are for, and prices; which tariff is in force, and what it says, is left open."""
        rng, count = brief.rng, brief.choices or OPEN_ANSWERS
        first, second, third = (_GUESTS[int(place)] for place in rng.permutation(len(_GUESTS)))
        prices = _prices(rng, brief.split, 2 * count + 1)
        values, others, rest = prices[:count], prices[count : 2 * count], prices[-1]
        codes = draw_codes(rng, brief.split, count)
        number = int(rng.integers(len(_NUMBERS)))
        words = {"number": _NUMBERS[number], "Number": _NUMBERS[number].capitalize(), "guests": first}

        def say(stream: np.random.Generator, price: str) -> str:
            return choose(stream, _SAID).format(guests=first, Guests=first.capitalize(), price=price)

        return Printed(
            question=choose_wording(brief, _WORDINGS, **words),
            answers=tuple(_written((number + 2) * price) for price in values),
            styles=POSTERS,
            head=choose(rng, _HEADS).format(place=choose(rng, TOWNS)),
            large=tuple(f"{first.capitalize()}: {_written(price)}" for price in values),
            large_other=f"{second.capitalize()}: {_written(rest)}",
            foot=f"Prices of {2020 + int(rng.random() * 6)}, each",
            fine="All other prices: see the tariff named below",
            keys=tuple(f"Tariff {code}" for code in codes),
            small=tuple(f"{first.capitalize()}: {_written(price)}" for price in values),
            small_other=tuple(f"{third.capitalize()}: {_written(price)}" for price in others),
            pages=linked_pages(brief, "tariff", codes, tuple(map(_written, values)), say),
            query=lambda key: f"tariff {codes[key]}",
            searched="that tariff",
            kind=AnswerKind.NUMBER,
        )


def _written(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _prices(rng: np.random.Generator, split: str, count: int) -> tuple[int, ...]:
    """Different prices in cents; their last digits tell the splits apart."""
    prices: dict[int, None] = {}
    while len(prices) < count:
        prices[10 * int(rng.integers(100, 190)) + (0 if split == "train" else 5)] = None
    return tuple(prices)
