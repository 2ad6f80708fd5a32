"""Candidates: the things of one kind, in one town, that a task could be about, each with its own value of one fact.

The image says which of them it is; pages are the same in number and kind for each. So searching without looking finds
every option, and which is the right one stands in the image alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metis_envs.families.blueprint import Brief
from metis_envs.families.wordings import choose_wording
from metis_envs.world import Attribute, Thing, draw_thing, draw_values, pages_of_candidates
from metis_envs.world.names import choose
from metis_envs.world.questions import wordings_about
from metis_gym.records import Passage

__all__ = ["OPEN_ANSWERS", "Candidates", "draw_candidates", "fact_line"]

OPEN_ANSWERS = 6
"""Candidates of an open question. Every attribute has more values than that."""
_PATIENCE = 16
"""After so many draws of a name, one that is a letter longer or shorter will do."""
_STALE_SHARE = 1 / 3
_LINES = {
    "year": "Completed in {}",
    "architect": "Built by {}",
    "material": "Built of {}",
    "visitors": "{} visitors a year",
}
_PLAQUE_YEARS = range(2020, 2026)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What a task could be about.

    Attributes:
        things: All of one kind and town; but for their names and what is asked, nothing that an image shows tells them
            apart.
        asked: What is asked.
        values: The possible answers.
        other: Another attribute, which images show in its place; the same for all things.
        shift: How far the outdated value of a thing is from its own, in the order of the values.
        is_stale: Whether only outdated sources are found.
        year: Of the image.
        seed: Of the pages.
    """

    things: tuple[Thing, ...]
    asked: Attribute
    values: tuple[str, ...]
    other: Attribute
    shift: int
    is_stale: bool
    year: int
    seed: int

    @property
    def kind(self) -> str:
        """What they all are: "tower"."""
        return self.things[0].kind

    def question(self, brief: Brief) -> str:
        """Ask for the fact without a name: "How high is this tower, in metres?"."""
        return choose_wording(brief, wordings_about(self.asked), thing=f"this {self.kind}")

    def query(self, thing: int) -> str:
        """What to search for to learn the fact about one of them."""
        return self.asked.question.format(thing=f"the {self.things[thing].full_name}")

    def lines(self) -> tuple[str, ...]:
        """What an image says that states the fact, for each value."""
        return tuple(fact_line(self.asked, value) for value in self.values)

    def other_line(self) -> str:
        """What an image says in its place."""
        return fact_line(self.other, self.things[0].facts[self.other.name])

    def footer(self) -> str:
        """Where and when an image says that it was made."""
        return f"{self.things[0].town}, {self.year}"

    def sharing(self, attribute: Attribute, value: str) -> "Candidates":
        """The same, with one value of an attribute for all things: an image that shows it does not tell them apart."""
        return replace(self, things=tuple(thing.with_fact(attribute, value) for thing in self.things))

    def pages(self, thing: int, answer: int) -> tuple[Passage, ...]:
        """What is found if one of the things has one of the values, both given by index; the others have the others."""
        count = len(self.values)
        places = [(answer + other - thing) % count for other in range(count)]
        told = [each.with_fact(self.asked, self.values[place]) for each, place in zip(self.things, places, strict=True)]
        older = [self.values[(place + self.shift) % count] for place in places]
        return pages_of_candidates(np.random.default_rng(self.seed), told, self.asked, older, is_stale=self.is_stale)


def draw_candidates(brief: Brief) -> Candidates:
    """Draw as many things as there are answers, and what is asked about one of them."""
    rng, count = brief.rng, brief.choices or OPEN_ANSWERS
    first = draw_thing(rng, owner=brief.split)
    asked, other = _two(rng, first.traits.attributes)
    names, attempt = [first.name], 0
    while len(names) < count:
        name = draw_thing(rng, owner=brief.split, kind=first.kind, town=first.town).name
        attempt += 1
        if name not in names and abs(len(name) - len(first.name)) <= attempt // _PATIENCE:
            names.append(name)
    things = [draw_thing(rng, owner=brief.split, kind=first.kind, town=first.town) for _ in names]
    shared = first.facts[other.name]
    return Candidates(
        things=tuple(
            Thing(name=name, kind=first.kind, town=first.town, facts={**thing.facts, other.name: shared})
            for name, thing in zip(names, things, strict=True)
        ),
        asked=asked,
        values=draw_values(rng, asked, count),
        other=other,
        shift=int(rng.integers(1, count)),
        is_stale=bool(rng.random() < _STALE_SHARE) and not brief.hides,
        year=choose(rng, _PLAQUE_YEARS),
        seed=int(rng.integers(1 << 62)),
    )


def fact_line(attribute: Attribute, value: str) -> str:
    """A fact as plaques and captions put it: "Height: 87 m"."""
    unit = " m" if attribute.unit == "metres" else ""
    return _LINES.get(attribute.name, f"{attribute.name.capitalize()}: {{}}{unit}").format(value)


def _two(rng: np.random.Generator, attributes: Sequence[Attribute]) -> tuple[Attribute, Attribute]:
    first, second = (int(place) for place in rng.choice(len(attributes), size=2, replace=False))
    return attributes[first], attributes[second]
