"""We-Math: composite problems and their steps (arXiv 2407.01284).

A composite problem of two or three steps is asked as a whole and step by step. Insufficient knowledge (IK): a step and
the whole are wrong. Inadequate generalisation (IG): all steps are right and the whole is wrong. Complete mastery (CM):
all are right. Rote memorisation (RM): the whole is right although a step is wrong (strict) or all are (loose); where
the loose reading sees no rote memorisation, it sees mastery. Score: (N − IK − IG/2 − RM) / N.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.figures import Figure, Result, grouped, share
from metis_envs.benchmarks.options import listed_options
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError

__all__ = ["WeMath"]

_STEPS = {"2steps": 2, "3steps": 3}


class WeMath(Benchmark):
    """1,740 questions: 525 composite problems and their steps."""

    name: ClassVar[str] = "wemath"
    hub: ClassVar[str] = "We-Math/We-Math"
    hub_split: ClassVar[str] = "testmini"
    rows: ClassVar[int | None] = 1_740
    repository_files: ClassVar[tuple[str, ...]] = ("data/testmini.json", "testmini.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("ID",), ("key",), ("question",), ("option",), ("answer",)),
        ("image_path", "image"),
    )
    image_columns: ClassVar[tuple[str, ...]] = ("image", "image_path")
    ability: ClassVar[str] = "maths"
    primary: ClassVar[tuple[str, ...]] = ("score strict", "score loose")
    notes: ClassVar[tuple[str, ...]] = ("both readings of rote memorisation are given, as papers seldom say theirs",)

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """Which part of which composite this is, and how many steps it takes."""
        key = row.text("key")
        steps = _STEPS.get(key.partition("_")[0])
        level = f"S{steps}" if steps and key.endswith("_multi") else "S1"
        return {"level": level, "key": key, "composite": row.text("ID")}

    def unit_of(self, row: Row) -> str:
        """The composite."""
        return row.text("ID")

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A step, or a whole."""
        listed = listed_options(row.text("option"))
        if listed is None:
            raise TaskDataError(f"{row.place}: no options can be read from {row.text('option')!r:.200}")
        gold = letter_gold(listed.labels, row.text("answer"), row.place)
        return Item(question=row.text("question"), options=listed.options, gold=gold)

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Both scores, the four kinds in both readings, and the share of right answers by number of steps."""
        composites: dict[str, list[Result]] = {}
        for result in results:
            composites.setdefault(result.unit, []).append(result)
        whole = {name: group for name, group in composites.items() if _is_complete(group)}

        def kind(name: str, *, strict: bool) -> Figure:
            return grouped(whole, lambda group: float(_kind(group, strict=strict) == name))

        scores = {f"score {reading}": grouped(whole, _score_of(reading == "strict")) for reading in ("strict", "loose")}
        kinds = {name: kind(name, strict=True) for name in ("IK", "IG")}
        readings = {
            f"{name} {reading}": kind(name, strict=reading == "strict")
            for name in ("CM", "RM")
            for reading in ("strict", "loose")
        }
        levels = {
            level: share([result for result in results if result.labels["level"] == level])
            for level in sorted({result.labels["level"] for result in results})
        }
        return {**scores, **kinds, **readings, **levels}


def _is_complete(group: Sequence[Result]) -> bool:
    """Whether the whole problem and all its steps are there."""
    steps = _STEPS.get(group[0].labels["key"].partition("_")[0], 0)
    return steps > 0 and len(group) == steps + 1 and sum(_is_whole(result) for result in group) == 1


def _is_whole(result: Result) -> bool:
    return result.labels["key"].endswith("_multi")


def _kind(group: Sequence[Result], *, strict: bool) -> str:
    steps = [bool(result.score) for result in group if not _is_whole(result)]
    is_right = next(bool(result.score) for result in group if _is_whole(result))
    if not is_right:
        return "IG" if all(steps) else "IK"
    is_rote = not all(steps) if strict else not any(steps)
    return "RM" if is_rote else "CM"


def _score_of(strict: bool) -> Callable[[Sequence[Result]], float]:
    worth = {"CM": 1.0, "IG": 0.5, "IK": 0.0, "RM": 0.0}
    return lambda group: worth[_kind(group, strict=strict)]
