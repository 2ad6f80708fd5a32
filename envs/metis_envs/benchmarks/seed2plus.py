"""SEED-Bench-2-Plus: charts, maps and web pages that are rich in text (arXiv 2404.16790)."""

from collections.abc import Mapping
from typing import ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.tables import Table

__all__ = ["Seed2Plus"]

_LETTERS = ("A", "B", "C", "D")
_OPTIONS = tuple((f"choice_{letter}", f"choice_{letter.lower()}", letter) for letter in _LETTERS)
_TYPE = ("question_image_type", "question_image_subtype", "category")
_GROUPS = {"chart": "Chart", "map": "Map", "web": "Web"}


class Seed2Plus(Benchmark):
    """2,277 questions with four options."""

    name: ClassVar[str] = "seed2plus"
    hub: ClassVar[str] = "doolayer/SEED-Bench-2-Plus"
    rows: ClassVar[int | None] = 2_277
    image_columns: ClassVar[tuple[str, ...]] = ("image", "data_id")
    repository_files: ClassVar[tuple[str, ...]] = ("SEED-Bench-2-Plus.json",)
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), _TYPE, ("image", "data_id")),
        *_OPTIONS,
    )
    notes: ClassVar[tuple[str, ...]] = ("a chosen option counts, not an answer's first character",)

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """What the image shows."""
        group = row.text(*_TYPE)
        return {"type": _GROUPS.get(group.lower(), group)}

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question with its four options."""
        return Item(
            question=row.text("question"),
            options=tuple(row.text(*names) for names in _OPTIONS),
            gold=letter_gold(_LETTERS, row.text("answer"), row.place),
        )
