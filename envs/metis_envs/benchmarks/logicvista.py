"""LogicVista: logical reasoning on drawings (arXiv 2407.04973). The answer is a set of the labels in the image."""

from collections.abc import Mapping
from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError
from metis_gym.grading.labels import stated_labels
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["LogicVista"]


class LogicVista(Benchmark):
    """448 questions in five kinds of reasoning; one has no answer and is left out."""

    name: ClassVar[str] = "logicvista"
    hub: ClassVar[str] = "lscpku/LogicVista"
    rows: ClassVar[int | None] = 448
    repository_files: ClassVar[tuple[str, ...]] = ("data/dataset.json", "dataset.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (("question",), ("answer",), ("skill",), ("imagename", "image"))
    image_columns: ClassVar[tuple[str, ...]] = ("image", "imagename")
    ability: ClassVar[str] = "maths"
    notes: ClassVar[tuple[str, ...]] = ("graded by rules: all labels must be named and no other, without a judge",)

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """The kind of reasoning, the first that is named."""
        given: Any = row.get("skill")
        is_list = not isinstance(given, str) or given.startswith("[")
        skills = row.texts("skill") if is_list else (given.strip(),)
        return {"skill": skills[0] if skills else ""}

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question whose answer is one label or several."""
        answer = row.text("answer")
        if not stated_labels(answer):
            raise TaskDataError(f"{row.place}: the answer {answer!r:.80} names no label")
        return Item(question=row.text("question"), gold=GoldAnswer(value=answer, kind=AnswerKind.LETTERS))
