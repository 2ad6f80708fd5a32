"""The default text corpus: some fifty thousand passages.

About a seventh is real text that comes with Python itself, under its licence (the PSF License Agreement, which is among
the passages): the language reference as `pydoc` shows it, the documentation inside the standard library, and the
licences. All else is the invented world's, generated, and says so by links that end in `.example`: pages with facts,
near-copies of them, pages that contradict them, chatter, lists, people.

The generated part is the same everywhere; the real part is that of the installed Python.
"""

import platform
from collections.abc import Iterator
from itertools import islice

import numpy as np

from metis_envs.world.kinds import KINDS
from metis_envs.world.names import TOWNS, choose
from metis_envs.world.pages import chatter, list_page, main_page, near_copy, person_page
from metis_envs.world.real_text import python_passages
from metis_envs.world.sources import CURRENT, older_source
from metis_envs.world.things import Thing, draw_thing
from metis_gym.records import Passage

__all__ = ["THINGS", "DefaultCorpus", "generated_passages", "generated_things"]

GENERATION = 2
"""Raise this whenever any passage is written differently."""

THINGS = 14_000
"""Things of the generated part; each has three pages or so."""

_SEED = 20_260_101
_COPY_SHARE, _OUTDATED_SHARE, _CHATTER_SHARE, _PERSON_SHARE = 0.3, 0.5, 0.5, 0.7


class DefaultCorpus:
    """The corpus `default`.

    Args:
        things: How many things the generated part is about.
    """

    def __init__(self, *, things: int = THINGS) -> None:
        self.things = things

    @property
    def version(self) -> str:
        """Of the generated part, and of the Python whose documentation is in it."""
        size = "" if self.things == THINGS else f"-{self.things}"
        return f"{GENERATION}{size}-python{platform.python_version()}"

    def passages(self) -> Iterator[Passage]:
        """The real text first, then the generated."""
        yield from python_passages()
        yield from generated_passages(self.things)


def generated_passages(things: int = THINGS) -> Iterator[Passage]:
    """The invented world's pages, always the same.

    Args:
        things: How many things they are about.
    """
    rng = np.random.default_rng([_SEED, 1])
    drawn = list(islice(generated_things(), things))
    for thing in drawn:
        yield from _pages_of(rng, thing)
    yield from _lists(drawn)


def generated_things() -> Iterator[Thing]:
    """The things of the corpus, always the same, without end; no two share name and town."""
    rng = np.random.default_rng([_SEED, 0])
    seen: set[str] = set()
    while True:
        thing = draw_thing(rng, owner="corpus")
        if thing.full_name not in seen:
            seen.add(thing.full_name)
            yield thing


def _pages_of(rng: np.random.Generator, thing: Thing) -> Iterator[Passage]:
    page = main_page(rng, thing, choose(rng, CURRENT))
    yield page
    if rng.random() < _COPY_SHARE:
        yield near_copy(rng, page)
    if rng.random() < _OUTDATED_SHARE:
        asked = choose(rng, thing.traits.attributes)
        yield older_source(rng, thing, asked, asked.draw(rng))
    if rng.random() < _CHATTER_SHARE:
        yield chatter(rng, thing)
    if rng.random() < _PERSON_SHARE:
        yield person_page(thing)


def _lists(things: list[Thing]) -> Iterator[Passage]:
    """One page for each town and kind that has something."""
    by_place: dict[tuple[str, str], list[Thing]] = {}
    for thing in things:
        by_place.setdefault((thing.town, thing.kind), []).append(thing)
    for town in TOWNS:
        for kind in KINDS:
            if (town, kind) in by_place:
                yield list_page(town, kind, by_place[town, kind])
