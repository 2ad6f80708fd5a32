"""HR-Bench: scenes of 4K and 8K (arXiv 2408.15556). Each question comes in four orders of its options."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.figures import Figure, Result, grouped, mean_of_shares
from metis_envs.benchmarks.tables import Table

__all__ = ["HRBench4K", "HRBench8K"]

_LETTERS = ("A", "B", "C", "D")


class HRBench4K(Benchmark):
    """200 questions on scenes of 4K, each in four orders."""

    name: ClassVar[str] = "hrbench_4k"
    hub: ClassVar[str] = "DreamMr/HR-Bench"
    subset: ClassVar[str | None] = "hrbench_version_split"
    hub_split: ClassVar[str] = "hrbench_4k"
    rows: ClassVar[int | None] = 800
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), ("category",), ("cycle_category",), ("image",)),
        *((letter,) for letter in _LETTERS),
    )

    def __init__(self, **options: Any) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()
        super().__init__(**options)

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """One instance or several, and which order of the options this is."""
        return {"category": row.text("category"), "cycle": row.label("cycle_category")}

    def unit_of(self, row: Row) -> str:
        """The question with its image: the n-th row of an order that has this text is about the n-th such image."""
        options = sorted(row.text(letter) for letter in _LETTERS)
        text = "\n".join((row.text("category"), row.text("question"), *options))
        self._seen[text, row.label("cycle_category")] += 1
        return f"{text}\n{self._seen[text, row.label('cycle_category')]}"

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question in one order of its options."""
        options = tuple(row.text(letter) for letter in _LETTERS)
        gold = letter_gold(_LETTERS, row.text("answer"), row.place)
        return Item(question=row.text("question"), options=options, gold=gold)

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """The mean over the four orders; single instances (FSP), several (FCP), all four orders right."""
        named = {"single": "FSP", "cross": "FCP"}
        parts = {
            named.get(category, category): _over_cycles(_where(results, "category", category))
            for category in _values(results, "category")
        }
        every: dict[str, list[Result]] = {}
        for result in results:
            every.setdefault(result.unit, []).append(result)
        all_right = grouped(every, lambda group: float(all(result.score for result in group)))
        return {"overall": _over_cycles(results), **parts, "all orders right": all_right}


class HRBench8K(HRBench4K):
    """200 questions on scenes of 8K, each in four orders."""

    name: ClassVar[str] = "hrbench_8k"
    hub_split: ClassVar[str] = "hrbench_8k"


def _over_cycles(results: Sequence[Result]) -> Figure:
    return mean_of_shares(_where(results, "cycle", cycle) for cycle in _values(results, "cycle"))


def _where(results: Sequence[Result], label: str, value: str) -> list[Result]:
    return [result for result in results if result.labels[label] == value]


def _values(results: Sequence[Result], label: str) -> list[str]:
    return sorted({result.labels[label] for result in results})
