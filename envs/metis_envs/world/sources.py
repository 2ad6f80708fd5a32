"""Dated sources on what is true of a thing: guides, surveys, newspapers, handbooks, archives.

Sources contradict each other, and nothing but their dates tells which of them holds: every form is as often the newest
one as it is the outdated one.
"""

from collections.abc import Callable, Sequence

import numpy as np

from metis_envs.world.kinds import Attribute
from metis_envs.world.names import choose, draw_person
from metis_envs.world.pages import chatter, link_of, main_page, namesake, near_copy
from metis_envs.world.things import Thing
from metis_gym.records import Passage

__all__ = ["CURRENT", "FORMS", "OUTDATED", "older_source", "pages_of_candidates", "pages_of_task"]

CURRENT, OUTDATED = range(2012, 2020), range(1990, 2009)
"""Years of the newest sources and of those that are out of date. Plaques and postcards are newer than all."""

_COPY_SHARE, _CHATTER_SHARE = 0.5, 0.5
_MONTHS = ("January", "March", "April", "May", "June", "August", "September", "November")

Form = Callable[[np.random.Generator, Thing, Attribute, int], Passage]


def _guide(rng: np.random.Generator, thing: Thing, asked: Attribute, year: int) -> Passage:  # noqa: ARG001
    return main_page(rng, thing, year)


def _survey(rng: np.random.Generator, thing: Thing, asked: Attribute, year: int) -> Passage:
    said = _said(rng, thing, asked)
    text = f"Sheet on the {thing.name} in {thing.town}. {said} Entered in {choose(rng, _MONTHS)} {year}."
    return Passage(title=f"Survey sheet: {thing.name}", text=text, link=link_of("surveys", f"{thing.full_name} {year}"))


def _newspaper(rng: np.random.Generator, thing: Thing, asked: Attribute, year: int) -> Passage:
    day = f"{1 + int(rng.random() * 28)} {choose(rng, _MONTHS)} {year}"
    text = (
        f"{thing.town}, {day}. Readers ask about the {thing.name}. {_said(rng, thing, asked)} "
        f"So we are told by {draw_person(rng)}, who keeps it."
    )
    return Passage(title=f"The {thing.town} Courier", text=text, link=link_of("courier", f"{thing.full_name} {year}"))


def _handbook(rng: np.random.Generator, thing: Thing, asked: Attribute, year: int) -> Passage:
    about = choose(rng, thing.traits.about).format(thing=f"The {thing.name}")
    text = f"{thing.town}: {thing.name}. {about} {_said(rng, thing, asked)}"
    title = f"Handbook for travellers, {year}: {thing.name}"
    return Passage(title=title, text=text, link=link_of("handbooks", f"{thing.full_name} {year}"))


def _archive(rng: np.random.Generator, thing: Thing, asked: Attribute, year: int) -> Passage:
    text = (
        f"From the archive of {thing.town}, file of {year}. On the {thing.name} it is noted: {_said(rng, thing, asked)}"
    )
    return Passage(title=f"{thing.name} in the archive", text=text, link=link_of("files", f"{thing.full_name} {year}"))


def _said(rng: np.random.Generator, thing: Thing, asked: Attribute) -> str:
    """The asked fact in one of its wordings."""
    return choose(rng, asked.statements).format(thing=f"The {thing.name}", value=thing.facts[asked.name])


FORMS: tuple[Form, ...] = (_guide, _survey, _newspaper, _handbook, _archive)
"""What a source can be; each is given a stream, a thing, what is asked of it, and its year."""


def older_source(rng: np.random.Generator, thing: Thing, asked: Attribute, wrong: str) -> Passage:
    """An outdated source that gives another value."""
    form = FORMS[1 + int(rng.random() * (len(FORMS) - 1))]
    return form(rng, thing.with_fact(asked, wrong), asked, choose(rng, OUTDATED))


def pages_of_candidates(
    rng: np.random.Generator, things: Sequence[Thing], asked: Attribute, older: Sequence[str], *, is_stale: bool = False
) -> tuple[Passage, ...]:
    """What a task brings that could be about any of several things: the same pages for each.

    Args:
        rng: Draws forms, wordings, years and the order.
        things: The candidates, each with its own value of what is asked.
        asked: What is asked.
        older: The value that the outdated source gives for each of them.
        is_stale: Whether all sources are out of date, and give the older value: what is true stands in the image alone.

    Returns:
        For each thing two sources of different forms, a current and an outdated one; perhaps a near-copy of a guide,
        perhaps a page that only chats; in no telling order.
    """
    pages: list[Passage] = []
    for thing, former in zip(things, older, strict=True):
        before = thing.with_fact(asked, former)
        first = int(rng.random() * len(FORMS))
        second = (first + 1 + int(rng.random() * (len(FORMS) - 1))) % len(FORMS)
        newest = (before, choose(rng, OUTDATED)) if is_stale else (thing, choose(rng, CURRENT))
        sources = [
            FORMS[first](rng, newest[0], asked, newest[1]),
            FORMS[second](rng, before, asked, choose(rng, OUTDATED)),
        ]
        guides = [page for page, form in zip(sources, (first, second), strict=True) if form == 0]
        pages += sources
        if guides and rng.random() < _COPY_SHARE:
            pages.append(near_copy(rng, guides[0]))
        if rng.random() < _CHATTER_SHARE:
            pages.append(chatter(rng, thing))
    return tuple(pages.pop(int(rng.random() * len(pages))) for _ in range(len(pages)))


def pages_of_task(
    rng: np.random.Generator, thing: Thing, asked: Attribute, *, namesakes: int = 2
) -> tuple[Passage, ...]:
    """What a task about one thing brings: pages that answer, in the midst of pages that do not.

    Args:
        rng: Draws wordings, wrong values, namesakes and the order.
        thing: What is asked about.
        asked: What is asked of it; the outdated source is about this.
        namesakes: Pages about things with the same name of another kind, or of the same kind in another town.

    Returns:
        The main page, a near-copy of it that may lack the answer, an outdated source that gives another value, a page
        that only chats, and the namesakes' main pages; in no telling order.
    """
    wrong = thing.facts[asked.name]
    while wrong == thing.facts[asked.name]:
        wrong = asked.draw(rng)
    main = main_page(rng, thing, choose(rng, CURRENT))
    pages = [main, near_copy(rng, main), older_source(rng, thing, asked, wrong), chatter(rng, thing)]
    pages += [main_page(rng, namesake(rng, thing), choose(rng, CURRENT)) for _ in range(namesakes)]
    return tuple(pages.pop(int(rng.random() * len(pages))) for _ in range(len(pages)))
