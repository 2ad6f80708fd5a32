"""How the plots look: one colour for each design in all of them, and images as bytes."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metis_agents.compare.plan import without_weight
from metis_agents.plotting import INK, MUTED, figure, image, tidy
from metis_gym import rewards

if TYPE_CHECKING:
    from metis_agents.compare.report import Comparison

__all__ = ["INK", "MUTED", "colours", "family_label", "figure", "headline", "image", "label", "tidy"]

# Okabe and Ito's colours, which people with any colour vision tell apart.
_OF_FAMILY = {"accuracy": "#8a939e", "hdpo": "#0072b2"}
_OTHERS = ("#d55e00", "#cc79a7", "#009e73", "#e69f00", "#56b4e9", "#000000", "#7a4b2a", "#6a51a3")


def colours(designs: Sequence[str]) -> dict[str, str]:
    """A colour for each design: grey for accuracy alone, blue for HDPO, the others in turn.

    Designs that differ in their weight only have shades of one colour, the darkest for the one that comes last.

    >>> colours(["accuracy", "otc", "hdpo"])
    {'accuracy': '#8a939e', 'otc': '#d55e00', 'hdpo': '#0072b2'}
    >>> colours(["hdpo:w_tool=0.1", "hdpo"])
    {'hdpo:w_tool=0.1': '#4c9cc9', 'hdpo': '#0072b2'}
    """
    families: dict[str, list[str]] = {}
    for design in designs:
        families.setdefault(without_weight(design), []).append(design)
    others, chosen = itertools.cycle(_OTHERS), {}
    for family, members in families.items():
        base = _OF_FAMILY.get(family) or next(others)
        for place, design in enumerate(members, start=1):
            chosen[design] = _shade(base, 0.4 + 0.6 * place / len(members))
    return {design: chosen[design] for design in designs}


def _shade(colour: str, share: float) -> str:
    """A colour mixed with white; all of it at 1."""
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def label(design: str) -> str:
    """What a person calls a design.

    >>> label("coupled:alpha=1,gated=false"), label("hdpo"), label("accuracy")
    ('coupled, not gated, α = 1', 'HDPO, w = 0.15', 'accuracy only')
    """
    made: Any = rewards.make(design)
    if made.name == "accuracy":
        return "accuracy only"
    priced = " by price" if getattr(made, "cost", "calls") == "price" else ""
    if made.name == "hdpo":
        return f"HDPO{priced}, w = {made.w_tool:g}"
    if made.name == "coupled":
        return f"coupled{priced}, {'gated' if made.gated else 'not gated'}, α = {made.alpha:g}"
    name, _, rest = design.partition(":")
    words = [part.replace("=", " = ") for part in rest.split(",") if part]
    return ", ".join([name, *words])


def family_label(designs: Sequence[str]) -> str:
    """What a person calls a design that was run with several weights.

    >>> family_label(["hdpo:w_tool=0.1", "hdpo"]), family_label(["hdpo"])
    ('HDPO', 'HDPO, w = 0.15')
    """
    name = label(designs[0])
    return name.rpartition(", ")[0] or name if len(designs) > 1 else name


def headline(comparison: "Comparison") -> str:
    """What is compared, and how good the grader was."""
    noise = comparison.results[0].env.get("grader_noise", 0)
    grader = f"a grader that is wrong {100 * noise:.0f} % of the time" if noise else "a grader that is always right"
    return f"What each reward teaches, with {grader}"
