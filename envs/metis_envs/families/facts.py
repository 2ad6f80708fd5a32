"""`facts`: a plaque names a building, and a question asks something about it.

| necessity | what the plaque says |
|---|---|
| none | the name, and what is asked for |
| required | the name, and something else: what is asked for stands in pages that only text search finds |
"""

from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Overlay, SearchFamily
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.boards import BoardStyle, draw_board, fitting_board
from metis_envs.world import Attribute, Thing, draw_fact, draw_thing, draw_values, pages_of_task
from metis_gym.records import ImageArray, ToolCall

__all__ = ["Facts", "plaque_line"]

_OPEN_ANSWERS = 8
"""Every attribute has more values than that."""
_PLAQUES = (
    BoardStyle(name="brass plaque", fill=(176, 142, 72), ink=(34, 24, 10), border=(94, 70, 28), face="serif-bold"),
    BoardStyle(name="enamel plaque", fill=(24, 60, 120), ink=(250, 250, 250), border=(250, 250, 250), rounded=0.2),
    BoardStyle(name="stone plaque", fill=(206, 202, 192), ink=(40, 40, 44), border=(140, 136, 126), face="serif-bold"),
)


class Facts(SearchFamily):
    """Heights, years, architects and the like of buildings that are named on a plaque."""

    name: ClassVar[str] = "facts"
    smallest_view: ClassVar[int] = 384

    def plan(self, brief: Brief) -> Blueprint:
        """Draw a building with its facts; the value of the one that is asked for is left open."""
        rng = brief.rng
        thing = draw_thing(rng, owner=brief.split)
        asked = draw_fact(rng, thing)
        values = draw_values(rng, asked.attribute, brief.choices or _OPEN_ANSWERS)
        texts = [_plaque(thing, line) for line in _last_lines(brief, thing, asked.attribute, values)]
        style = _PLAQUES[int(rng.integers(len(_PLAQUES)))]
        background = choose_background(rng, brief.canvas, brief.split)
        board = fitting_board(rng, brief.canvas, style, texts)
        is_named = bool(rng.random() < 0.5)
        page_seed = int(rng.integers(1 << 62))

        def draw_detail(scene: ImageArray, index: int) -> None:
            draw_board(scene, board, texts[index])

        def overlay(index: int, _source: ImageArray) -> Overlay:
            told = thing.with_fact(asked.attribute, values[index])
            return Overlay(passages=pages_of_task(np.random.default_rng(page_seed), told, asked.attribute))

        on_plaque = f"the {thing.kind} named on the {style.name}"
        return Blueprint(
            question=asked.question if is_named else asked.attribute.question.format(thing=on_plaque),
            answers=values,
            paint=background.paint,
            draw_detail=draw_detail,
            region=board.box,
            notes=background.notes,
            explanation=f"Read the name on the {style.name} and search for it."
            if brief.hides
            else f"Read it on the {style.name}.",
            kind=asked.attribute.answer,
            overlay=overlay,
            searches=(ToolCall(name="text_search", arguments={"query": asked.question}),),
        )


def plaque_line(attribute: Attribute, value: str) -> str:
    """A fact as plaques and captions put it: "Height: 87 m"."""
    return f"{attribute.name.capitalize()}: {value}{' m' if attribute.unit == 'metres' else ''}"


def _last_lines(brief: Brief, thing: Thing, asked: Attribute, values: tuple[str, ...]) -> list[str]:
    """What the plaque's last line would say for each answer: what is asked for, or always the same other fact."""
    others = [attribute for attribute in thing.traits.attributes if attribute is not asked]
    other = others[int(brief.rng.integers(len(others)))]
    if brief.hides:
        return [plaque_line(other, thing.facts[other.name])] * len(values)
    return [plaque_line(asked, value) for value in values]


def _plaque(thing: Thing, last_line: str) -> str:
    return f"{thing.name}\n{thing.town}\n{last_line}"
