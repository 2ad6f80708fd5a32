"""MME-RealWorld: 43 tasks on high-resolution images (arXiv 2408.13257). Option E says that no other one fits."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.figures import Figure, Result, mean_of_shares, share
from metis_envs.benchmarks.tables import Table
from metis_envs.benchmarks.treebench import OPTION_COLUMNS, separate_options
from metis_gym.grading.choice import LETTERS, chosen_letters

__all__ = ["MMERealWorld", "MMERealWorldLite"]

_ANSWER = ("answer", "Ground truth")
_NONE_FITS = "answers that none fits"


class MMERealWorld(Benchmark):
    """23,512 English questions with five options; with the 5,917 Chinese ones, from a `path=`, they are 29,429."""

    name: ClassVar[str] = "mme_realworld"
    hub: ClassVar[str] = "yifanzhang114/MME-RealWorld-Lmms-eval"
    hub_split: ClassVar[str] = "train"
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question", "Text"), _ANSWER, ("category", "Category"), ("bytes", "image", "Image")),
        (*OPTION_COLUMNS, "A"),
    )
    image_columns: ClassVar[tuple[str, ...]] = ("bytes", "image", "Image")
    notes: ClassVar[tuple[str, ...]] = ("a chosen option counts, not the first capital A to E in an answer",)

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """Perception or reasoning, the domain, and the task."""
        if "Subtask" in row:
            protocol, domain, task = row.text("Task"), row.text("Subtask"), row.text("Category")
        else:
            protocol, _, domain = row.text("category").partition("/")
            task = row.optional("l2-category", "l2_category") or domain
        return {"protocol": protocol, "domain": f"{protocol}/{domain}", "task": f"{protocol}/{domain}/{task}"}

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question with its five options."""
        labels, options = separate_options(row)
        gold = letter_gold(labels, row.text(*_ANSWER), row.place)
        return Item(question=row.text("question", "Text"), options=options, gold=gold)

    def measure(self, task_id: str, texts: Sequence[str], answer: str | None) -> Mapping[str, float]:  # noqa: ARG002
        """Whether the answer says that no option fits."""
        item = self.item_of(task_id)
        chosen = chosen_letters(answer or "", item.options, item.question)
        return {_NONE_FITS: float(chosen == {LETTERS[len(item.options) - 1]})}

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Over all rows; by protocol and domain; the mean over tasks, each counting the same."""
        tasks: dict[str, list[Result]] = {}
        for result in results:
            tasks.setdefault(result.labels["task"], []).append(result)
        found = {
            "overall": share(results),
            "mean over tasks": mean_of_shares(tasks.values()),
            **self.by_label(results, "protocol", "domain"),
        }
        measured = [result for result in results if _NONE_FITS in result.measures]
        if measured:
            found[_NONE_FITS] = share(measured, lambda result: result.measures[_NONE_FITS])
        return found


class MMERealWorldLite(MMERealWorld):
    """At most 50 questions of each task."""

    name: ClassVar[str] = "mme_realworld_lite"
    hub: ClassVar[str] = "yifanzhang114/MME-RealWorld-lite-lmms-eval"
