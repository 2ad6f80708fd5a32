"""`landmarks`: a postcard shows a building, and a question asks its name or something about it.

| necessity | what the postcard's caption says | the shortest solution |
|---|---|---|
| none | what is asked for | read it |
| required, the name is asked | the number of the postcard | image search finds the same postcard with a title |
| required, a fact is asked | the number of the postcard | image search finds the name, text search the fact: two hops |
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from PIL import Image

from metis_envs.families.facts import plaque_line
from metis_envs.families.family import Blueprint, Brief, Overlay, SearchFamily
from metis_envs.scenes.boards import Board, BoardStyle, draw_board, fitting_board
from metis_envs.world import Attribute, Thing, draw_fact, draw_landmark, draw_thing, draw_values, pages_of_task
from metis_gym.records import AnswerKind, ImageArray, TitledImage, ToolCall

__all__ = ["Landmarks"]

_OPEN_ANSWERS = 8
_CAPTION = BoardStyle(name="caption", fill=(250, 246, 232), ink=(40, 36, 32), border=(196, 186, 160))
_EDGE = 4
_COPY_SIDE = 448
_COPY_BRIGHTNESS = (0.85, 1.15)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is asked, and which building it would be for each answer.

    Attributes:
        question: The question.
        answers: The possible answers.
        things: The building for each answer.
        lines: What a caption that gives the answer away says, for each answer.
        asked: The fact that is asked for; of a name, any.
        kind: How an open answer is compared.
        searches: The shortest solution.
    """

    question: str
    answers: tuple[str, ...]
    things: tuple[Thing, ...]
    lines: tuple[str, ...]
    asked: Attribute
    kind: AnswerKind
    searches: tuple[ToolCall, ...]


class Landmarks(SearchFamily):
    """Names and facts of buildings on postcards."""

    name: ClassVar[str] = "landmarks"
    smallest_view: ClassVar[int] = 384
    tools = ("python", "image_search", "text_search")

    def plan(self, brief: Brief) -> Blueprint:
        """Draw the postcard; which building it is, or what is true of it, is left open."""
        rng = brief.rng
        first = draw_thing(rng, owner=brief.split)
        count = brief.choices or _OPEN_ANSWERS
        subject = (_name if rng.random() < 0.5 else _fact)(rng, brief.split, first, count)
        number = f"Postcard no. {int(rng.integers(100, 1000))}"
        texts = [f"{number}\n{line}" for line in subject.lines] if not brief.hides else [number] * count
        board = _lowered(fitting_board(rng, brief.canvas, _CAPTION, texts))
        look, pages, brightness = int(rng.integers(1 << 62)), int(rng.integers(1 << 62)), rng.uniform(*_COPY_BRIGHTNESS)

        def paint() -> ImageArray:
            stream = np.random.default_rng(look)
            return draw_landmark(stream, first.kind, brief.canvas.width, brief.canvas.height)

        def draw_detail(scene: ImageArray, index: int) -> None:
            draw_board(scene, board, texts[index])

        def overlay(index: int, source: ImageArray) -> Overlay:
            thing = subject.things[index]
            copy = TitledImage(
                title=f"{thing.name}, {thing.town}", image=_copied(source, brightness), link=_link(thing)
            )
            return Overlay(
                passages=pages_of_task(np.random.default_rng(pages), thing, subject.asked), titled_images=(copy,)
            )

        return Blueprint(
            question=subject.question,
            answers=subject.answers,
            paint=paint,
            draw_detail=draw_detail,
            region=board.box,
            notes="drawn landmark, not a photograph",
            explanation=_explained(subject) if brief.hides else "Read it in the postcard's caption.",
            kind=subject.kind,
            overlay=overlay,
            searches=subject.searches,
        )


def _lowered(board: Board) -> Board:
    """The board moved down to the edge, where it covers the ground and not the building."""
    left, top, right, bottom = board.box
    down = board.canvas.height - board.canvas.px(_EDGE) - bottom
    return replace(board, box=(left, top + down, right, bottom + down))


def _name(rng: np.random.Generator, split: str, first: Thing, count: int) -> _Subject:
    """Ask which of several buildings of one kind this is."""
    things = {first.name: first}
    while len(things) < count:
        other = draw_thing(rng, owner=split, kind=first.kind)
        things.setdefault(other.name, other)
    return _Subject(
        question=f"What is the name of the {first.kind} on the postcard?",
        answers=tuple(things),
        things=tuple(things.values()),
        lines=tuple(things),
        asked=first.traits.attributes[0],
        kind=AnswerKind.TEXT,
        searches=(ToolCall(name="image_search"),),
    )


def _fact(rng: np.random.Generator, split: str, first: Thing, count: int) -> _Subject:  # noqa: ARG001
    """Ask something about the building, without naming it."""
    fact = draw_fact(rng, first)
    values = draw_values(rng, fact.attribute, count)
    return _Subject(
        question=fact.attribute.question.format(thing=f"the {first.kind} on the postcard"),
        answers=values,
        things=tuple(first.with_fact(fact.attribute, value) for value in values),
        lines=tuple(plaque_line(fact.attribute, value) for value in values),
        asked=fact.attribute,
        kind=fact.attribute.answer,
        searches=(ToolCall(name="image_search"), ToolCall(name="text_search", arguments={"query": fact.question})),
    )


def _explained(subject: _Subject) -> str:
    name = "Image search finds the same postcard under the building's name"
    return f"{name}." if len(subject.searches) == 1 else f"{name}; text search for that name finds the fact."


def _copied(source: ImageArray, brightness: float) -> ImageArray:
    """A smaller scan of the postcard, of another brightness."""
    height, width = source.shape[:2]
    scale = _COPY_SIDE / max(height, width)
    small = Image.fromarray(source).resize((round(width * scale), round(height * scale)), reducing_gap=2.0)
    table = np.clip(np.arange(256) * brightness, 0, 255).astype(np.uint8)
    return np.asarray(table[np.asarray(small)])


def _link(thing: Thing) -> str:
    return f"https://postcards.example/{thing.full_name.casefold().replace(' ', '-')}"
