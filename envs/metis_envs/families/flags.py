"""`flags`: which colour does a town's flag have? Learnable by a small policy, for the numeric view.

| necessity | the flag in the image |
|---|---|
| none | flies: its colour is seen |
| required | is in a grey cover: its colour stands in pages that only text search finds |
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Overlay, SearchFamily
from metis_envs.families.patches import COLOURS
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import Colour
from metis_envs.world.names import choose, draw_head
from metis_envs.world.things import owner_of
from metis_gym.records import Box, ImageArray, Passage, ToolCall

__all__ = ["Flags"]

_POLE, _COVER = (70, 62, 54), (150, 150, 150)
_WIDTH, _HEIGHT = 7 / 16, 5 / 16
"""Of the cloth, as shares of the view's shorter side: some 13 % of a square view."""
_OTHER_TOWNS = 2

_TRUE = (
    "The flag of {town} is {colour}. It was chosen by a vote of the council.",
    "Over the town hall of {town} flies its flag, which is {colour} all over.",
    "{town} has had a {colour} flag since the last charter, and flies it every day.",
)
_OUTDATED = "Until {year} the flag of {town} was {colour}. That flag is no longer flown; the town has another one now."
_CHATTER = "A walk through {town}: the market, the old wall and the town hall, where the flag is taken in at dusk."


class Flags(SearchFamily):
    """Flags of invented towns, on a pole in front of a photograph. The image is square."""

    name: ClassVar[str] = "flags"
    smallest_view: ClassVar[int] = 32
    aspects: ClassVar[tuple[float, ...]] = (1.0,)

    def plan(self, brief: Brief) -> Blueprint:
        """Draw a town and where its flag is; the options are always in the same order, so that no reading is needed."""
        rng = brief.rng
        town = _draw_town(rng, brief.split)
        colours = tuple(COLOURS)[: brief.choices or self.choices]
        background = choose_background(rng, brief.canvas, brief.split)
        cloth, pole = _places(rng, brief.canvas)
        page_seed = int(rng.integers(1 << 62))

        def paint() -> ImageArray:
            scene = background.paint()
            _fill(scene, pole, _POLE)
            _fill(scene, cloth, _COVER)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            if not brief.hides:
                _fill(scene, cloth, COLOURS[colours[index]])

        def overlay(index: int, _source: ImageArray) -> Overlay:
            return Overlay(passages=_pages(np.random.default_rng(page_seed), town, colours[index], colours))

        question = f"This is in {town}. What colour is the flag of {town}, whose cover is grey?"
        return Blueprint(
            question=question,
            answers=colours,
            paint=paint,
            draw_detail=draw_detail,
            region=cloth,
            notes=background.notes,
            explanation=f"The flag is covered: search for the flag of {town}."
            if brief.hides
            else "The flag's colour is seen directly.",
            overlay=overlay,
            searches=(ToolCall(name="text_search", arguments={"query": f"flag of {town}"}),),
        )


def _draw_town(rng: np.random.Generator, split: str) -> str:
    """A town that no other split and no corpus knows."""
    while True:
        town = draw_head(rng)
        if owner_of(f"{town} flag") == split:
            return town


def _places(rng: np.random.Generator, canvas: Canvas) -> tuple[Box, Box]:
    """Where the cloth and its pole are, on the cells."""
    side = min(canvas.view_width, canvas.view_height)
    width, height, thick = round(side * _WIDTH), round(side * _HEIGHT), max(1, side // 32)
    left = int(rng.integers(thick + 1, canvas.view_width - width))
    top = int(rng.integers(1, canvas.view_height - height - side // 8))
    cloth = canvas.box(left, top, left + width, top + height)
    pole = canvas.box(left - thick, max(0, top - thick), left, canvas.view_height)
    return cloth, pole


def _fill(scene: ImageArray, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    scene[top:bottom, left:right] = colour


def _pages(rng: np.random.Generator, town: str, colour: str, colours: tuple[str, ...]) -> tuple[Passage, ...]:
    """Two pages that answer, one that contradicts them and says that it is out of date, chatter, other towns' flags."""
    others = [other for other in colours if other != colour]
    first, second = (_TRUE[int(i)] for i in rng.permutation(len(_TRUE))[:2])
    outdated = _OUTDATED.format(town=town, year=int(rng.integers(1790, 1990)), colour=choose(rng, others))
    pages = [
        _page("towns", f"Flag of {town}", first, {"town": town, "colour": colour}),
        _page("flags", f"{town} and its flag", second, {"town": town, "colour": colour}),
        _page("old-flags", f"Former flag of {town}", outdated, {}),
        _page("travellers", f"A day in {town}", _CHATTER, {"town": town}),
    ]
    for _ in range(_OTHER_TOWNS):
        facts = {"town": draw_head(rng), "colour": choose(rng, colours)}
        pages.append(_page("towns", f"Flag of {facts['town']}", choose(rng, _TRUE), facts))
    return tuple(pages[int(i)] for i in rng.permutation(len(pages)))


def _page(site: str, title: str, text: str, facts: Mapping[str, str]) -> Passage:
    link = f"https://{site}.example/{title.casefold().replace(' ', '-')}"
    return Passage(title=title, text=text.format(**facts), link=link)
