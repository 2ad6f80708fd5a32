"""Things of the invented world: what they are called, where they stand, and what is true of them.

Who may draw which names is settled by the name itself, so that the corpus, the training tasks and the test tasks share
no thing and no fact, without anyone keeping a list.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from metis_envs.world.kinds import KINDS, Attribute, Kind
from metis_envs.world.names import choose, draw_head, draw_town
from metis_gym.errors import ConfigError

__all__ = ["OWNERS", "Fact", "Thing", "draw_fact", "draw_thing", "draw_values", "owner_of"]

OWNERS = ("corpus", "train", "test")
"""Who may draw a thing: the corpus, or the tasks of a split."""

_ATTEMPTS = 100
_PATIENCE = 16
"""After so many draws of a value, one that is a letter longer or shorter will do."""
_SHARES = ("corpus", "corpus", "train", "test")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing.

    Attributes:
        name: "Halworth Tower".
        kind: A key of `KINDS`.
        town: Where it stands.
        facts: Attribute → value, for every attribute of its kind.
    """

    name: str
    kind: str
    town: str
    facts: Mapping[str, str]

    @property
    def full_name(self) -> str:
        """Its name with its town, which is what questions call it."""
        return f"{self.name} in {self.town}"

    @property
    def traits(self) -> Kind:
        """Its kind's entry in `KINDS`."""
        return KINDS[self.kind]

    def with_fact(self, attribute: Attribute, value: str) -> "Thing":
        """The same thing, but for one fact."""
        return replace(self, facts={**self.facts, attribute.name: value})


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that is true of a thing, as a question.

    Attributes:
        question: "How high is the Halworth Tower in Oravik, in metres?"
        value: The answer, as it stands on pages.
        attribute: What is asked for.
    """

    question: str
    value: str
    attribute: Attribute


def owner_of(name: str) -> str:
    """Who may draw a thing of this name.

    >>> owner_of("Halworth Tower"), owner_of("Halworth Mill")
    ('test', 'corpus')
    """
    return _SHARES[zlib.crc32(name.encode()) % len(_SHARES)]


def draw_thing(
    rng: np.random.Generator, *, owner: str, kind: str | None = None, head: str | None = None, town: str | None = None
) -> Thing:
    """Draw a thing with fresh facts.

    Args:
        rng: Draws.
        owner: Who asks: "corpus", "train" or "test".
        kind: A key of `KINDS`; None for any.
        head: How its name begins; None for a drawn one. With a head and a kind given, the owner is not looked at: it is
            a namesake of a thing that the owner has.
        town: Where it stands; None for any town.

    Raises:
        ConfigError: There is no such owner or kind.
    """
    if owner not in OWNERS:
        raise ConfigError(f"a thing is drawn for one of {', '.join(OWNERS)}, actually: {owner!r}")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"a thing is one of {', '.join(KINDS)}, actually: {kind!r}")
    while True:
        chosen = kind or choose(rng, tuple(KINDS))
        name = f"{head or draw_head(rng)} {KINDS[chosen].noun}"
        if owner_of(name) == owner or (head and kind):
            break
    facts = {attribute.name: attribute.draw(rng) for attribute in KINDS[chosen].attributes}
    return Thing(name=name, kind=chosen, town=town or draw_town(rng), facts=facts)


def draw_values(rng: np.random.Generator, attribute: Attribute, count: int) -> tuple[str, ...]:
    """So many different values that an attribute could have, such as the options of a choice; about equally long.

    Raises:
        ConfigError: It has not that many.
    """
    values: dict[str, None] = {attribute.draw(rng): None}
    length = len(next(iter(values)))
    for attempt in range(_ATTEMPTS * count):
        if len(values) == count:
            return tuple(values)
        value = attribute.draw(rng)
        if abs(len(value) - length) <= attempt // _PATIENCE:
            values[value] = None
    raise ConfigError(f"{attribute.name!r} has not {count} different values")


def draw_fact(rng: np.random.Generator, thing: Thing) -> Fact:
    """Choose what to ask about a thing."""
    attribute = choose(rng, thing.traits.attributes)
    question = attribute.question.format(thing=f"the {thing.full_name}")
    return Fact(question=question, value=thing.facts[attribute.name], attribute=attribute)
