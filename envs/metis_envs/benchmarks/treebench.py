"""TreeBench: small targets in crowded scenes, and reasoning about them (arXiv 2507.07999)."""

from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.options import listed_options
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError

__all__ = ["TreeBench"]


class TreeBench(Benchmark):
    """405 questions in ten categories of perception and reasoning."""

    name: ClassVar[str] = "treebench"
    hub: ClassVar[str] = "HaochenWang/TreeBench"
    hub_split: ClassVar[str] = "train"
    repository_files: ClassVar[tuple[str, ...]] = ("TreeBench.tsv",)
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), ("category",), ("image",)),
        ("A", "multi-choice options"),
    )

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question with its options, which stand in columns or in one text."""
        labels, options = separate_options(row)
        protocol, _, category = row.text("category").partition("/")
        return Item(
            question=row.text("question"),
            options=options,
            gold=letter_gold(labels, row.text("answer"), row.place),
            labels={"protocol": protocol, "category": category} if category else {"category": protocol},
        )


def separate_options(row: Row) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels and the options of a row: one in each column A, B …, or all in `multi-choice options`.

    Raises:
        TaskDataError: They cannot be told apart.
    """
    columns = [letter for letter in "ABCDEFGH" if letter in row and row.text(letter)]
    if columns:
        return tuple(columns), tuple(row.text(letter) for letter in columns)
    value: Any = row.get("multi-choice options", "multi_choice_options")
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = row.literal("multi-choice options", "multi_choice_options")
    text = "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    listed = listed_options(text)
    if listed is None:
        raise TaskDataError(f"{row.place}: no options can be read from {text!r:.200}")
    return listed.labels, listed.options
