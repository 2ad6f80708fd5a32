"""Pages about things: guides, near-copies of them, chatter, lists, people. Sources of other kinds: `sources`."""

import re
from collections.abc import Sequence

import numpy as np

from metis_envs.world.kinds import KINDS, Attribute
from metis_envs.world.names import choose, draw_person
from metis_envs.world.things import Thing, draw_thing
from metis_gym.records import Passage

__all__ = ["chatter", "link_of", "list_page", "main_page", "namesake", "near_copy", "person_page"]

_WORD = re.compile(r"[^\W_]+")
_OTHER_SITES = ("mirror", "reader", "archive", "copies")
_OPENINGS = (
    "The {thing} stands in {town}.",
    "The {thing} is one of the {plural} of {town}.",
    "Among the {plural} of {town} is the {thing}.",
)
_EDITIONS = (
    "Edition of {year}.",
    "Last looked over in {year}.",
    "This page was written in {year}.",
)
_CHATTER = (
    "We reached the {thing} in {town} before noon and found it closed. {about} {weather} Ask for {person} at the door.",
    "{weather} So we walked from the {thing} through {town} to the market, where {person} sells postcards of it.",
    "{person} has painted the {thing} in {town} many times. {about} {weather}",
)
_WEATHER = (
    "It rained all day.",
    "The wind came from the hills.",
    "A thin fog lay over the roofs.",
    "The sun was low.",
    "Snow had fallen overnight.",
)


def main_page(rng: np.random.Generator, thing: Thing, year: int) -> Passage:
    """The page of a guide that states every fact of a thing, each in one of several wordings, in any order.

    Args:
        rng: Draws wordings and order.
        thing: The thing.
        year: When it was written, which it says at its end.
    """
    attributes = list(thing.traits.attributes)
    order = [attributes.pop(int(rng.random() * len(attributes))) for _ in thing.traits.attributes]
    opening = choose(rng, _OPENINGS).format(thing=thing.name, town=thing.town, plural=thing.traits.plural)
    sentences = [opening, choose(rng, thing.traits.about), *(_said(rng, thing, attribute) for attribute in order)]
    sentences.append(choose(rng, _EDITIONS).replace("{year}", str(year)))
    text = " ".join(sentence.format(thing=f"The {thing.name}") for sentence in sentences)
    return Passage(title=f"{thing.name}, {thing.town}", text=text, link=link_of("guide", f"{thing.full_name} {year}"))


def near_copy(rng: np.random.Generator, page: Passage) -> Passage:
    """The same page on another site, without one of the sentences that state facts."""
    sentences = page.text.split(". ")
    sentences.pop(2 + int(rng.random() * (len(sentences) - 3)))
    text = ". ".join(sentences).rstrip(".") + "."
    title = f"{page.title} (copy)"
    return Passage(title=title, text=text, link=link_of(choose(rng, _OTHER_SITES), page.title))


def chatter(rng: np.random.Generator, thing: Thing) -> Passage:
    """A page that names a thing and says nothing about it that anyone asks for."""
    text = choose(rng, _CHATTER).format(
        thing=thing.name,
        town=thing.town,
        about=choose(rng, thing.traits.about).format(thing="It"),
        weather=choose(rng, _WEATHER),
        person=draw_person(rng),
    )
    return Passage(title=f"A day at the {thing.name}", text=text, link=link_of("travellers", thing.full_name))


def list_page(town: str, kind: str, things: Sequence[Thing]) -> Passage:
    """The things of one kind in a town, by name."""
    plural = KINDS[kind].plural
    text = f"The {plural} of {town}: {', '.join(thing.name for thing in things)}."
    return Passage(title=f"{plural.capitalize()} of {town}", text=text, link=link_of("lists", f"{plural} of {town}"))


def person_page(thing: Thing) -> Passage:
    """The page about the person who designed a thing."""
    person = thing.facts["architect"]
    text = f"{person} was an architect, known for the {thing.name} in {thing.town}, of {thing.facts['material']}."
    return Passage(title=person, text=text, link=link_of("people", person))


def namesake(rng: np.random.Generator, thing: Thing) -> Thing:
    """A thing of the corpus that shares the name's head, but not both kind and town."""
    head = thing.name.rpartition(" ")[0]
    while True:
        other = draw_thing(rng, owner="corpus", kind=choose(rng, tuple(KINDS)), head=head)
        if other.kind != thing.kind or other.town != thing.town:
            return other


def _said(rng: np.random.Generator, thing: Thing, attribute: Attribute) -> str:
    return choose(rng, attribute.statements).replace("{value}", thing.facts[attribute.name])


def link_of(site: str, name: str) -> str:
    """An address that says by its ending that the page is invented."""
    slug = "-".join(_WORD.findall(name.casefold()))
    return f"https://{site}.example/{slug}"
