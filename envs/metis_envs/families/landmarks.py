"""`landmarks`: a postcard shows a building, and a question asks its name or something about it.

| necessity | what the caption says | the shortest solution |
|---|---|---|
| none | what is asked for | read it |
| required, the name is asked | something else | image search: of the cards found, one shows this building |
| required, a fact is asked | something else | image search finds the name, text search the fact: a chain |
| required, the title says it | something else | image search: the title of the right card states the fact |

Image search finds up to five cards, all with the same building, each in another paint and under another name. Their
hashes are alike, so that nothing but a look at them tells which is the one in the task.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from metis_envs.families.candidates import Candidates, draw_candidates
from metis_envs.families.family import Blueprint, Brief, Overlay, SearchFamily
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.notices import row_box, write_row
from metis_envs.scenes.postcards import Postcard, caption_of, paint_postcard
from metis_envs.world.landmarks import TINTS
from metis_envs.world.pages import link_of
from metis_envs.world.questions import NAME_WORDINGS
from metis_gym.records import AnswerKind, ImageArray, TitledImage, ToolCall

__all__ = ["Landmarks"]

_NAME_SHARE, _TITLED_SHARE = 0.07, 0.03
_COPY_SIDE = 240
_MAX_CARDS = 5
"""As many as image search returns."""


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is asked, and what is found.

    Attributes:
        question: The question.
        answers: The possible answers.
        stated: What a caption says that states the answer, for each.
        kind: How an open answer is compared.
        keys: How many names the card may have that say nothing about the answer.
        titles: The titles of the cards that image search finds, the right one first, for a key and an answer.
        pages_of: Which candidate's pages have the answer, for a key.
        searches: The shortest solution, for a key.
    """

    question: str
    answers: tuple[str, ...]
    stated: tuple[str, ...]
    kind: AnswerKind
    keys: int
    titles: Callable[[int, int], list[str]]
    pages_of: Callable[[int, int], tuple[int, int]]
    searches: Callable[[int], tuple[ToolCall, ...]]


class Landmarks(SearchFamily):
    """Names and facts of buildings on postcards."""

    name: ClassVar[str] = "landmarks"
    generation: ClassVar[int] = 3
    smallest_view: ClassVar[int] = 384
    aspects: ClassVar[tuple[float, ...]] = (1.0, 4 / 3, 3 / 2)
    tools = ("python", "image_search", "text_search")

    def plan(self, brief: Brief) -> Blueprint:
        """Draw the postcard; which building it is, and what is true of it, is left open."""
        rng, canvas = brief.rng, brief.canvas
        candidates = draw_candidates(brief)
        draw = rng.random()
        make = _name if draw < _NAME_SHARE else _titled if draw < _NAME_SHARE + _TITLED_SHARE else _fact
        subject = make(brief, candidates)
        card = Postcard(int(rng.integers(1 << 62)), candidates.kind, int(rng.integers(TINTS)))
        greeting, other = f"Greetings from {candidates.footer()}", candidates.other_line()
        caption = caption_of(canvas, ((greeting,), (*subject.stated, other)))
        album = _Album(card, canvas, rng.permutation(min(_MAX_CARDS, len(candidates.things))).tolist())

        def paint() -> ImageArray:
            scene = paint_postcard(card, canvas)
            write_row(scene, caption, 0, greeting)
            return scene

        def draw_detail(scene: ImageArray, state: int) -> None:
            write_row(scene, caption, 1, other if brief.hides else subject.stated[state % len(subject.answers)])

        def overlay(state: int, _source: ImageArray) -> Overlay:
            key, answer = divmod(state, len(subject.answers))
            pages = candidates.pages(*subject.pages_of(key, answer))
            return Overlay(passages=pages, titled_images=album.titled(subject.titles(key, answer)))

        return Blueprint(
            question=subject.question,
            answers=subject.answers,
            paint=paint,
            draw_detail=draw_detail,
            region=row_box(caption, 1),
            notes="a drawn postcard of a drawn landmark, no photograph",
            explanation=_explained(subject) if brief.hides else "Read it in the postcard's caption.",
            kind=subject.kind,
            overlay=overlay,
            keys=subject.keys if brief.hides else 1,
            chain=subject.searches,
        )


@dataclass(frozen=True)
class _Album:
    """The cards that image search finds: the right one, and the same building in other paints.

    Attributes:
        card: The right one.
        canvas: The size of the task's image.
        order: Of the cards, the right one being number 0.
    """

    card: Postcard
    canvas: Canvas
    order: list[int]

    def titled(self, titles: list[str]) -> tuple[TitledImage, ...]:
        """The cards in their order, with titles given by their numbers."""
        images = _copies(self.card, self.canvas, len(self.order))
        return tuple(
            TitledImage(title=titles[number], image=images[number], link=link_of("postcards", titles[number]))
            for number in self.order
        )


@functools.lru_cache(maxsize=32)
def _copies(card: Postcard, canvas: Canvas, count: int) -> tuple[ImageArray, ...]:
    """Small copies of the card without a caption, in its own paint and in others."""
    scale = _COPY_SIDE / max(canvas.view_width, canvas.view_height)
    small = Canvas(round(canvas.view_width * scale), round(canvas.view_height * scale), 1)
    paints = [card.tint, *(tint for tint in range(TINTS) if tint != card.tint)]
    copies = []
    for tint in paints[:count]:
        copy = paint_postcard(Postcard(card.seed, card.kind, tint), small, has_grain=False)
        copy.flags.writeable = False
        copies.append(copy)
    return tuple(copies)


def _name(brief: Brief, candidates: Candidates) -> _Subject:
    """Ask which of the candidates this is."""
    names = tuple(thing.name for thing in candidates.things)
    count = len(names)

    def titles(_key: int, answer: int) -> list[str]:
        return [_title(candidates, (answer + card) % count) for card in range(count)]

    return _Subject(
        question=choose_wording(brief, NAME_WORDINGS, thing=f"this {candidates.kind}"),
        answers=names,
        stated=names,
        kind=AnswerKind.TEXT,
        keys=1,
        titles=titles,
        pages_of=lambda _key, _answer: (0, 0),
        searches=lambda _key: (ToolCall(name="image_search"),),
    )


def _fact(brief: Brief, candidates: Candidates) -> _Subject:
    """Ask something about the building, whose name the title of the right card says."""
    count = len(candidates.values)

    def titles(key: int, _answer: int) -> list[str]:
        return [_title(candidates, (key + card) % count) for card in range(count)]

    return _Subject(
        question=candidates.question(brief),
        answers=candidates.values,
        stated=candidates.lines(),
        kind=candidates.asked.answer,
        keys=count,
        titles=titles,
        pages_of=lambda key, answer: (key, answer),
        searches=lambda key: (
            ToolCall(name="image_search"),
            ToolCall(name="text_search", arguments={"query": candidates.query(key)}),
        ),
    )


def _titled(brief: Brief, candidates: Candidates) -> _Subject:
    """Ask something about the building that the title of the right card says."""
    count, lines = len(candidates.values), candidates.lines()

    def titles(_key: int, answer: int) -> list[str]:
        return [_title(candidates, card, lines[(answer + card) % count]) for card in range(count)]

    return _Subject(
        question=candidates.question(brief),
        answers=candidates.values,
        stated=lines,
        kind=candidates.asked.answer,
        keys=1,
        titles=titles,
        pages_of=lambda _key, answer: (0, answer),
        searches=lambda _key: (ToolCall(name="image_search"),),
    )


def _title(candidates: Candidates, thing: int, line: str = "") -> str:
    """What stands under a card: name, town and a fact, by default one that all candidates share."""
    shown = candidates.things[thing]
    return f"{shown.name}, {shown.town} ({line or candidates.other_line()})"


def _explained(subject: _Subject) -> str:
    found = "Image search finds cards of this building in several paints, of which one is like this"
    if len(subject.searches(0)) > 1:
        return f"{found}; text search for the name in its title finds the fact, of which the newest is right."
    return f"{found}; its title says it."
