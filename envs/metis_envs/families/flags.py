"""`flags`: which colour does a town's flag have? Learnable by a small policy, for the numeric view.

Two flags stand in front of a sky: that of the town, above the sign with its name, and another one. One of the two
flies, the other is rolled up in its cover.

| necessity | the town's flag |
|---|---|
| none | flies: its colour is seen; in a third of the tasks all pages are out of date |
| required | is covered: its colour stands in pages that only text search finds, by the name on the sign |

In small views (the numeric one) the name cannot be read: there the search action asks for it, `Task.query`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Overlay, SearchFamily
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import doubled
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.flagpoles import Flagpole, draw_cover, draw_flag, draw_pole, draw_sign
from metis_envs.scenes.noise import add_grain
from metis_envs.scenes.places import Place, choose_place
from metis_envs.world.names import choose, draw_head
from metis_envs.world.pages import link_of
from metis_envs.world.sources import CURRENT, OUTDATED
from metis_envs.world.things import owner_of
from metis_gym.records import ImageArray, Passage, ToolCall

__all__ = ["FLAG_COLOURS", "Flags"]

FLAG_COLOURS: Mapping[str, Colour] = {
    "red": (206, 36, 36),
    "green": (32, 146, 64),
    "blue": (34, 74, 204),
    "yellow": (240, 212, 40),
    "purple": (132, 44, 164),
    "orange": (242, 128, 26),
    "white": (236, 236, 236),
    "black": (34, 34, 38),
}
_TOWN_SIGN: tuple[Colour, Colour] = (240, 206, 60), (24, 24, 24)
_OTHER_SIGN: tuple[Colour, Colour] = (36, 84, 160), (244, 244, 244)
_OTHERS = ("GUESTS", "HARBOUR", "SCHOOL", "ROWING CLUB", "MARKET", "FIRE BRIGADE")
_STALE_SHARE = 1 / 3
_GRAIN = 5.0
_WORDINGS = (
    "What colour is the flag of this town?",
    "Which colour does the flag of this town have?",
    "What is the colour of this town's flag?",
    "In which colour is the flag of this town?",
    "Of what colour is this town's flag?",
    "The flag of this town is of which colour?",
)
_FORMS = (
    ("Flag of {town}", "The flag of {town} is {colour}. So it was noted in {year}."),
    ("Flags of the district, {year}", "{town} has a {colour} flag and flies it every day. Edition of {year}."),
    ("{town} and its flag", "{town}, {year}. Over the town hall flies its flag, which is {colour} all over."),
    ("The council of {town}", "Note of the council of {town}, {year}: the flag of the town is {colour}."),
    ("A letter on the flag of {town}", "In {year} I saw the flag of {town}: {colour}, without any device."),
)
_SITES = ("towns", "flags", "councils", "letters")
_CHATTER = "A walk through {town}: the market, the old wall and the town hall, where the flag is taken in at dusk."


class Flags(SearchFamily):
    """Flags of invented towns. The image is square."""

    name: ClassVar[str] = "flags"
    smallest_view: ClassVar[int] = 32
    aspects: ClassVar[tuple[float, ...]] = (1.0,)

    def plan(self, brief: Brief) -> Blueprint:
        """Draw towns and where the flags are; options are always in the same order, so that no reading is needed."""
        rng = brief.rng
        colours = tuple(FLAG_COLOURS)[: brief.choices or self.choices]
        towns = _draw_towns(rng, brief.split, len(colours))
        scene = _draw_scene(brief, towns[0], choose(rng, colours))
        is_stale = bool(rng.random() < _STALE_SHARE) and not brief.hides
        seed, shift = int(rng.integers(1 << 62)), int(rng.integers(1, len(colours)))

        def draw_detail(image: ImageArray, index: int) -> None:
            if not brief.hides:
                draw_flag(image, scene.own, FLAG_COLOURS[colours[index]])

        def overlay(index: int, _source: ImageArray) -> Overlay:
            places = [(index + place) % len(colours) for place in range(len(colours))]
            told, older = ([colours[(place + by) % len(colours)] for place in places] for by in (0, shift))
            return Overlay(passages=_pages(np.random.default_rng(seed), towns, told, older, is_stale=is_stale))

        query = f"flag of {towns[0]}"
        return Blueprint(
            question=choose_wording(brief, _WORDINGS),
            answers=colours,
            paint=scene.paint,
            draw_detail=draw_detail,
            region=scene.own.cloth,
            notes="drawn flags in front of a drawn sky over hills, no photograph",
            explanation="The town's flag is in its cover: search for the town on the sign; the newest page is right."
            if brief.hides
            else "The town's flag flies: its colour is seen.",
            overlay=overlay,
            searches=(ToolCall(name="text_search", arguments={"query": query}),),
            query=query,
        )


@dataclass(frozen=True)
class _Scene:
    """Two poles in front of a sky, and what is on the other one."""

    canvas: Canvas
    own: Flagpole
    other: Flagpole
    town: str
    club: str
    flown: str
    """The colour on the other pole; none where the town's own flag flies."""
    place: Place
    seed: int

    def paint(self) -> ImageArray:
        """Paint everything but the town's flag; where that does not fly, its cover."""
        half = self.place.paint_half()
        add_grain(half, np.random.default_rng(self.seed), _GRAIN)
        scene = doubled(half, self.canvas)
        for pole in (self.own, self.other):
            draw_pole(scene, pole)
        draw_sign(scene, self.own, self.town.upper(), *_TOWN_SIGN)
        draw_sign(scene, self.other, self.club, *_OTHER_SIGN)
        if self.flown:
            draw_cover(scene, self.own)
            draw_flag(scene, self.other, FLAG_COLOURS[self.flown])
        else:
            draw_cover(scene, self.other)
        return scene


def _draw_scene(brief: Brief, town: str, flown: str) -> _Scene:
    rng, canvas = brief.rng, brief.canvas
    side = min(canvas.view_width, canvas.view_height)
    poles = []
    for start in (0.05, 0.54):
        x, top = round(side * (start + 0.05 * rng.random())), round(side * (0.06 + 0.12 * rng.random()))
        foot = round(side * (0.9 + 0.06 * rng.random()))
        poles.append(Flagpole(canvas, x, max(1, top), foot, (float(rng.uniform(0, 6)), float(rng.uniform(0.5, 1)))))
    own = int(rng.integers(2))
    return _Scene(
        canvas=canvas,
        own=poles[own],
        other=poles[1 - own],
        town=town,
        club=choose(rng, _OTHERS),
        flown=flown if brief.hides else "",
        place=choose_place(rng, canvas, brief.split, "sky"),
        seed=int(rng.integers(1 << 62)),
    )


def _draw_towns(rng: np.random.Generator, split: str, count: int) -> tuple[str, ...]:
    """Towns that no other split and no corpus knows."""
    towns: dict[str, None] = {}
    while len(towns) < count:
        town = draw_head(rng)
        if owner_of(f"{town} flag") == split:
            towns[town] = None
    return tuple(towns)


def _pages(
    rng: np.random.Generator, towns: Sequence[str], told: Sequence[str], older: Sequence[str], *, is_stale: bool
) -> tuple[Passage, ...]:
    """For each town two current sources, an outdated one and chatter; with `is_stale`, three outdated ones."""
    pages = []
    for town, colour, former in zip(towns, told, older, strict=True):
        forms = [_FORMS[int(place)] for place in rng.permutation(len(_FORMS))[:3]]
        years = [choose(rng, OUTDATED if is_stale else CURRENT) for _ in range(2)]
        current = former if is_stale else colour
        claims = ((current, years[0]), (current, years[1]), (former, choose(rng, OUTDATED)))
        pages += [
            _page(rng, *form, {"town": town, "colour": claim, "year": str(year)})
            for form, (claim, year) in zip(forms, claims, strict=True)
        ]
        pages.append(_page(rng, "A day in {town}", _CHATTER, {"town": town}))
    return tuple(pages[int(place)] for place in rng.permutation(len(pages)))


def _page(rng: np.random.Generator, title: str, text: str, words: Mapping[str, str]) -> Passage:
    head = title.format(**words)
    return Passage(title=head, text=text.format(**words), link=link_of(choose(rng, _SITES), f"{head} {words['town']}"))
