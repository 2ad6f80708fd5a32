"""`plaques`: what is true of a building that its plaque names in small print. See `metis_envs.families.printed`."""

from typing import ClassVar

from metis_envs.families.candidates import draw_candidates, fact_line
from metis_envs.families.family import Brief
from metis_envs.families.plates import PLAQUES
from metis_envs.families.printed import Printed, PrintedFamily
from metis_envs.world import draw_values
from metis_envs.world.names import choose

__all__ = ["Plaques"]

_HEADS = ("PROTECTED BUILDING", "TOWN HERITAGE", "HISTORIC SITE", "MONUMENT", "HERITAGE TRAIL")


class Plaques(PrintedFamily):
    """Heights, years, architects and the like of buildings that are named in small print."""

    name: ClassVar[str] = "plaques"
    generation: ClassVar[int] = 3

    def draw_printed(self, brief: Brief) -> Printed:
        """Draw buildings of one kind and town; the plaque belongs to one of them."""
        candidates = draw_candidates(brief)
        third = choose(
            brief.rng,
            [a for a in candidates.things[0].traits.attributes if a not in (candidates.asked, candidates.other)],
        )
        noun = candidates.things[0].traits.noun
        others = draw_values(brief.rng, third, len(candidates.values))
        return Printed(
            question=candidates.question(brief),
            answers=candidates.values,
            styles=PLAQUES,
            head=choose(brief.rng, _HEADS),
            large=candidates.lines(),
            large_other=candidates.other_line(),
            foot=candidates.footer(),
            fine=f"Set up by the council of {candidates.things[0].town}",
            keys=tuple(f"{noun}: {thing.name.removesuffix(noun).strip()}" for thing in candidates.things),
            small=candidates.lines(),
            small_other=tuple(fact_line(third, value) for value in others),
            pages=candidates.sharing(third, others[0]).pages,
            query=candidates.query,
            searched=f"the {candidates.kind} that it names",
            kind=candidates.asked.answer,
        )
