"""What kinds of things the invented world has, and what can be known about each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from metis_envs.world.names import choose, draw_person
from metis_gym.records import AnswerKind

__all__ = ["KINDS", "Attribute", "Kind"]


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """Something that can be known about a thing.

    Attributes:
        name: Its name: "height".
        question: With `{thing}` for the thing's full name, its town included.
        statements: Sentences that say it, with `{thing}` and `{value}`; the same to a reader.
        draw: Draws a value, as it is written on pages.
        answer: How an open answer is compared.
        unit: Unit of the value, as the question names it; empty for words.
    """

    name: str
    question: str
    statements: tuple[str, ...]
    draw: Callable[[np.random.Generator], str]
    answer: AnswerKind = AnswerKind.NUMBER
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of thing.

    Attributes:
        noun: "Tower", as it ends a name.
        plural: "towers".
        attributes: What can be known about one.
        about: Sentences that are true of any of them, with `{thing}`.
    """

    noun: str
    plural: str
    attributes: tuple[Attribute, ...]
    about: tuple[str, ...]

    def attribute(self, name: str) -> Attribute:
        """The attribute of a name."""
        return next(attribute for attribute in self.attributes if attribute.name == name)


def _number(low: int, high: int) -> Callable[[np.random.Generator], str]:
    return lambda rng: str(low + int(rng.random() * (high - low + 1)))


def _thousands(low: int, high: int) -> Callable[[np.random.Generator], str]:
    """A number of that many hundreds, with a comma: "14,300"."""
    return lambda rng: f"{100 * (low + int(rng.random() * (high - low + 1))):,}"


_STONES = ("basalt", "brick", "chalk", "flint", "granite", "limestone", "marble", "oak", "sandstone", "slate", "steel")

_YEAR = Attribute(
    name="year",
    question="In which year was {thing} completed?",
    statements=(
        "{thing} was completed in {value}.",
        "Work on it ended in {value}.",
        "The builders finished in the year {value}.",
    ),
    draw=_number(1702, 1989),
)
_ARCHITECT = Attribute(
    name="architect",
    question="Who designed {thing}?",
    statements=(
        "{thing} was designed by {value}.",
        "Its architect was {value}.",
        "The plans were drawn by {value}.",
    ),
    draw=draw_person,
    answer=AnswerKind.TEXT,
)
_MATERIAL = Attribute(
    name="material",
    question="What is {thing} mainly built of?",
    statements=(
        "{thing} is mainly built of {value}.",
        "Its main material is {value}.",
        "The builders used {value} for almost all of it.",
    ),
    draw=lambda rng: choose(rng, _STONES),
    answer=AnswerKind.TEXT,
)
_VISITORS = Attribute(
    name="visitors",
    question="How many visitors does {thing} have in a year?",
    statements=(
        "{thing} has {value} visitors a year.",
        "In a year it is visited by {value} people.",
        "The keepers count {value} visitors each year.",
    ),
    draw=_thousands(21, 980),
    unit="visitors",
)


def _measure(name: str, ask: str, word: str, low: int, high: int) -> Attribute:
    return Attribute(
        name=name,
        question=f"How {ask} is {{thing}}, in metres?",
        statements=(
            f"{{thing}} is {{value}} metres {ask}.",
            f"Its {word} is {{value}} metres.",
            f"Surveyors found a {word} of {{value}} metres.",
        ),
        draw=_number(low, high),
        unit="metres",
    )


def _count(name: str, plural: str, low: int, high: int) -> Attribute:
    return Attribute(
        name=name,
        question=f"How many {plural} does {{thing}} have?",
        statements=(
            f"{{thing}} has {{value}} {plural}.",
            f"It counts {{value}} {plural}.",
            f"There are {{value}} {plural} in all.",
        ),
        draw=_number(low, high),
        unit=plural,
    )


_COMMON = (_YEAR, _ARCHITECT, _MATERIAL, _VISITORS)
_HEIGHT = _measure("height", "high", "height", 18, 240)


def _kind(noun: str, plural: str, *own: Attribute, about: tuple[str, ...]) -> Kind:
    return Kind(noun=noun, plural=plural, attributes=(*_COMMON, *own), about=about)


KINDS: Mapping[str, Kind] = {
    "bridge": _kind(
        "Bridge",
        "bridges",
        _measure("length", "long", "length", 40, 900),
        _count("arches", "arches", 3, 41),
        about=("{thing} carries a road across the river.", "Boats pass below it at low water."),
    ),
    "gate": _kind(
        "Gate",
        "gates",
        _HEIGHT,
        _count("statues", "statues", 2, 60),
        about=("{thing} is what remains of the old wall.", "Two streets meet in front of it."),
    ),
    "library": _kind(
        "Library",
        "libraries",
        _count("rooms", "reading rooms", 3, 48),
        _HEIGHT,
        about=("{thing} lends to everyone in the district.", "Its catalogue is kept on cards."),
    ),
    "lighthouse": _kind(
        "Lighthouse",
        "lighthouses",
        _HEIGHT,
        _count("steps", "steps", 60, 420),
        about=("{thing} marks the entrance of the harbour.", "Its lamp turns through the night."),
    ),
    "mill": _kind(
        "Mill",
        "mills",
        _HEIGHT,
        _count("millstones", "millstones", 2, 19),
        about=("{thing} ground flour for the valley.", "Its sails turn on feast days only."),
    ),
    "museum": _kind(
        "Museum",
        "museums",
        _count("halls", "halls", 3, 64),
        _HEIGHT,
        about=("{thing} shows finds from the district.", "Its doors are closed on Mondays."),
    ),
    "observatory": _kind(
        "Observatory",
        "observatories",
        _count("domes", "domes", 2, 17),
        _measure("altitude", "far above the sea", "altitude", 120, 3_900),
        about=("{thing} stands away from the lights of the town.", "Its telescopes can be looked through in winter."),
    ),
    "tower": _kind(
        "Tower",
        "towers",
        _HEIGHT,
        _count("bells", "bells", 2, 54),
        about=("{thing} can be seen from the whole town.", "A narrow stair leads to its top."),
    ),
}
"""Kind → what can be known about its things."""
