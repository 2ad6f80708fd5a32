"""`facts`: a plaque names a building, and a question asks something about it.

| necessity | what the plaque says |
|---|---|
| none | the name, and what is asked for; in a third of the tasks all pages are out of date and say something else |
| required | the name, and something else: what is asked for stands in pages that only text search finds |
"""

from typing import ClassVar

from metis_envs.families.candidates import draw_candidates
from metis_envs.families.family import Blueprint, Brief, Overlay, SearchFamily
from metis_envs.families.plates import PLAQUES, draw_notice_scene
from metis_envs.scenes.notices import row_box, write_row
from metis_gym.records import ImageArray, ToolCall

__all__ = ["Facts"]

_NAME, _FACT, _FOOTER, _SMALL = range(4)


class Facts(SearchFamily):
    """Heights, years, architects and the like of buildings that are named on a plaque."""

    name: ClassVar[str] = "facts"
    generation: ClassVar[int] = 3
    smallest_view: ClassVar[int] = 384

    def plan(self, brief: Brief) -> Blueprint:
        """Draw buildings with their facts, one of which the plaque names; what is true of it is left open."""
        candidates = draw_candidates(brief)
        named = int(brief.rng.integers(len(candidates.things)))
        stated, other = candidates.lines(), candidates.other_line()
        constant = {
            _NAME: candidates.things[named].name,
            _FOOTER: candidates.footer(),
            _SMALL: f"Set up by the council of {candidates.things[named].town}",
        }
        large = ((constant[_NAME],), (*stated, other), (constant[_FOOTER],))
        scene = draw_notice_scene(brief, PLAQUES, large, ((constant[_SMALL],),))

        def paint() -> ImageArray:
            image = scene.paint()
            for row, text in constant.items():
                write_row(image, scene.notice, row, text)
            return image

        def draw_detail(image: ImageArray, index: int) -> None:
            write_row(image, scene.notice, _FACT, other if brief.hides else stated[index])

        def overlay(index: int, _source: ImageArray) -> Overlay:
            return Overlay(passages=candidates.pages(named, index))

        style, query = scene.notice.style.name, candidates.query(named)
        return Blueprint(
            question=candidates.question(brief),
            answers=candidates.values,
            paint=paint,
            draw_detail=draw_detail,
            region=row_box(scene.notice, _FACT),
            notes=scene.notes,
            explanation=f"Read the name on the {style} and search for it; of two sources the newer is right."
            if brief.hides
            else f"Read it on the {style}.",
            kind=candidates.asked.answer,
            overlay=overlay,
            searches=(ToolCall(name="text_search", arguments={"query": query}),),
            query=query,
        )
