"""MathVista: mathematics in charts, figures and scenes (arXiv 2310.02255)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, choice_gold
from metis_envs.benchmarks.figures import Figure, Result, share
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["MathVista"]

_BETWEEN = "; "
_HINTS = {"integer": "Answer with a whole number.", "list": "Answer with a list of numbers, such as [1, 2, 3]."}


class MathVista(Benchmark):
    """1,000 questions: 540 with options, 418 whole numbers, 40 decimal numbers, 2 lists."""

    name: ClassVar[str] = "mathvista"
    hub: ClassVar[str] = "AI4Math/MathVista"
    hub_split: ClassVar[str] = "testmini"
    rows: ClassVar[int | None] = 1_000
    repository_files: ClassVar[tuple[str, ...]] = ("data/testmini.json", "testmini.json", "annot_testmini.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), ("question_type",), ("answer_type",)),
        *(("decoded_image", "image"), ("metadata", "task")),
    )
    image_columns: ClassVar[tuple[str, ...]] = ("decoded_image", "image")
    ability: ClassVar[str] = "maths"
    notes: ClassVar[tuple[str, ...]] = (
        "an answer that names no option is wrong; the authors take the option with the nearest spelling",
        "numbers are compared after rounding to the gold's precision",
    )

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """The task, the skills and the source of a question."""
        metadata: Any = row.literal("metadata") if "metadata" in row else row.values
        if not isinstance(metadata, Mapping):
            raise TaskDataError(f"{row.place}: 'metadata' must be an object")
        inner = Row(metadata, f"{row.place}, 'metadata'")
        skills = inner.texts("skills") if "skills" in inner else ()
        source = inner.optional("source")
        return {"task": inner.optional("task"), "skills": _BETWEEN.join(skills), "source": source}

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Over all rows, by task, and by skill: a question counts for each skill that it needs."""
        of_skill: dict[str, list[Result]] = {}
        for result in results:
            for skill in filter(None, result.labels["skills"].split(_BETWEEN)):
                of_skill.setdefault(skill, []).append(result)
        skills = {skill: share(part) for skill, part in sorted(of_skill.items())}
        return {"overall": share(results), **self.by_label(results, "task"), **skills}

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question, with the unit and the form in which it is to be answered."""
        answer, question = row.text("answer"), row.words("question")
        if row.text("question_type") == "multi_choice":
            options = row.texts("choices")
            gold = choice_gold(options, str(row.get("answer")), row.place)
            return Item(question=question, options=options, gold=gold)
        unit = f" (unit: {row.text('unit')})" if row.optional("unit") else ""
        kind = row.text("answer_type")
        decimals = _decimals(row) if kind == "float" else None
        hint = _HINTS.get(
            kind, "" if decimals is None else f"Round to {decimals} decimal place{'s' * (decimals != 1)}."
        )
        gold = GoldAnswer(
            value=answer,
            kind=AnswerKind.NUMBER if kind in ("integer", "float") else AnswerKind.AUTO,
            decimals=decimals,
        )
        return Item(question=f"{question}{unit} {hint}".strip(), gold=gold)


def _decimals(row: Row) -> int:
    """How many decimals the gold answer has: `precision`, or what is written."""
    if row.optional("precision"):
        return row.whole("precision")
    return len(row.text("answer").partition(".")[2])
