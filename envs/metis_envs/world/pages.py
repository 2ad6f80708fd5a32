"""Pages about things: the one that answers, near-copies, contradicting ones, chatter, namesakes, lists."""

from collections.abc import Sequence

import numpy as np

from metis_envs.world.kinds import KINDS, Attribute
from metis_envs.world.names import choose, draw_person
from metis_envs.world.things import Thing, draw_thing
from metis_gym.records import Passage

__all__ = ["chatter", "list_page", "main_page", "near_copy", "outdated_page", "pages_of_task", "person_page"]

_OTHER_SITES = ("mirror", "reader", "archive", "copies")
_OPENINGS = (
    "The {thing} stands in {town}.",
    "The {thing} is one of the {plural} of {town}.",
    "Among the {plural} of {town} is the {thing}.",
)
_OUTDATED = (
    "An old guide, printed before the last survey, says of the {thing} in {town}: {claim} The figure is out of date.",
    "A legend that the town has since disproved says of the {thing} in {town}: {claim}",
    "Visitors of the {thing} in {town} were once told: {claim} The sign with this mistake has been taken down.",
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
_CLAIM = "it"


def main_page(rng: np.random.Generator, thing: Thing) -> Passage:
    """The page that states every fact of a thing, each in one of several wordings, in any order."""
    attributes = list(thing.traits.attributes)
    order = [attributes.pop(int(rng.random() * len(attributes))) for _ in thing.traits.attributes]
    opening = choose(rng, _OPENINGS).format(thing=thing.name, town=thing.town, plural=thing.traits.plural)
    sentences = [opening, choose(rng, thing.traits.about), *(_said(rng, thing, attribute) for attribute in order)]
    text = " ".join(sentence.format(thing=f"The {thing.name}") for sentence in sentences)
    return Passage(title=f"{thing.name}, {thing.town}", text=text, link=_link("guide", thing.full_name))


def near_copy(rng: np.random.Generator, page: Passage) -> Passage:
    """The same page on another site, without one of its last sentences."""
    sentences = page.text.split(". ")
    sentences.pop(2 + int(rng.random() * (len(sentences) - 2)))
    text = ". ".join(sentences).rstrip(".") + "."
    title = f"{page.title} (copy)"
    return Passage(title=title, text=text, link=_link(choose(rng, _OTHER_SITES), page.title))


def outdated_page(rng: np.random.Generator, thing: Thing, attribute: Attribute) -> Passage:
    """A page that gives another value, and says that it is not the right one."""
    wrong = thing.facts[attribute.name]
    while wrong == thing.facts[attribute.name]:
        wrong = attribute.draw(rng)
    claim = attribute.statements[0].format(thing=_CLAIM, value=wrong)
    text = choose(rng, _OUTDATED).format(thing=thing.name, town=thing.town, claim=claim)
    return Passage(title=f"Mistakes about the {thing.name}", text=text, link=_link("old-guides", thing.full_name))


def chatter(rng: np.random.Generator, thing: Thing) -> Passage:
    """A page that names a thing and says nothing about it that anyone asks for."""
    text = choose(rng, _CHATTER).format(
        thing=thing.name,
        town=thing.town,
        about=choose(rng, thing.traits.about).format(thing="It"),
        weather=choose(rng, _WEATHER),
        person=draw_person(rng),
    )
    return Passage(title=f"A day at the {thing.name}", text=text, link=_link("travellers", thing.full_name))


def list_page(town: str, kind: str, things: Sequence[Thing]) -> Passage:
    """The things of one kind in a town, by name."""
    plural = KINDS[kind].plural
    text = f"The {plural} of {town}: {', '.join(thing.name for thing in things)}."
    return Passage(title=f"{plural.capitalize()} of {town}", text=text, link=_link("lists", f"{plural} of {town}"))


def person_page(thing: Thing) -> Passage:
    """The page about the person who designed a thing."""
    person = thing.facts["architect"]
    text = f"{person} was an architect, known for the {thing.name} in {thing.town}, of {thing.facts['material']}."
    return Passage(title=person, text=text, link=_link("people", person))


def pages_of_task(
    rng: np.random.Generator, thing: Thing, asked: Attribute, *, namesakes: int = 2
) -> tuple[Passage, ...]:
    """What a task about a thing brings: the page that answers, in the midst of pages that do not.

    Args:
        rng: Draws wordings, wrong values, namesakes and the order.
        thing: What is asked about.
        asked: What is asked of it; the contradicting page is about this.
        namesakes: Pages about things with the same name of another kind, or of the same kind in another town.

    Returns:
        The main page, a near-copy of it that may lack the answer, a contradicting page that says that it is out of
        date, a page that only chats, and the namesakes' main pages; in no telling order.
    """
    main = main_page(rng, thing)
    pages = [main, near_copy(rng, main), outdated_page(rng, thing, asked), chatter(rng, thing)]
    pages += [main_page(rng, _namesake(rng, thing)) for _ in range(namesakes)]
    return tuple(pages.pop(int(rng.random() * len(pages))) for _ in range(len(pages)))


def _namesake(rng: np.random.Generator, thing: Thing) -> Thing:
    """A thing that shares the name's head, but not both kind and town."""
    head = thing.name.rpartition(" ")[0]
    while True:
        other = draw_thing(rng, owner="corpus", kind=choose(rng, tuple(KINDS)), head=head)
        if other.kind != thing.kind or other.town != thing.town:
            return other


def _said(rng: np.random.Generator, thing: Thing, attribute: Attribute) -> str:
    return choose(rng, attribute.statements).replace("{value}", thing.facts[attribute.name])


def _link(site: str, name: str) -> str:
    slug = "-".join("".join(c if c.isalnum() else " " for c in name.casefold()).split())
    return f"https://{site}.example/{slug}"
