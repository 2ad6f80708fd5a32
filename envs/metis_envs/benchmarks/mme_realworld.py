"""MME-RealWorld: 43 tasks on high-resolution images (arXiv 2408.13257). Option E says that no other one fits."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.figures import Figure, Result, mean_of_shares, share
from metis_envs.benchmarks.tables import Table
from metis_envs.benchmarks.treebench import separate_options

__all__ = ["MMERealWorld", "MMERealWorldLite"]


class MMERealWorld(Benchmark):
    """29,429 questions with five options, 5,917 of them Chinese."""

    name: ClassVar[str] = "mme_realworld"
    hub: ClassVar[str] = "yifanzhang114/MME-RealWorld-Lmms-eval"
    hub_split: ClassVar[str] = "train"
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), ("category",), ("bytes", "image")),
        ("multi-choice options", "multi_choice_options", "A"),
    )
    image_columns: ClassVar[tuple[str, ...]] = ("bytes", "image")
    notes: ClassVar[tuple[str, ...]] = ("a chosen option counts, not the first capital A to E in an answer",)

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question with its five options."""
        labels, options = separate_options(row)
        protocol, _, domain = row.text("category").partition("/")
        task = row.optional("l2-category") or row.optional("l2_category") or domain
        gold = letter_gold(labels, row.text("answer"), row.place)
        return Item(
            question=row.text("question"),
            options=options,
            gold=gold,
            labels={"protocol": protocol, "domain": f"{protocol}/{domain}", "task": f"{protocol}/{domain}/{task}"},
        )

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Over all rows; by protocol and domain; the mean over tasks, each counting the same."""
        tasks: dict[str, list[Result]] = {}
        for result in results:
            tasks.setdefault(result.labels["task"], []).append(result)
        return {
            "overall": share(results),
            "mean over tasks": mean_of_shares(tasks.values()),
            **self.by_label(results, "protocol", "domain"),
        }


class MMERealWorldLite(MMERealWorld):
    """At most 50 questions of each task."""

    name: ClassVar[str] = "mme_realworld_lite"
    hub: ClassVar[str] = "yifanzhang114/MME-RealWorld-lite-lmms-eval"
