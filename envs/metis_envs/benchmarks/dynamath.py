"""DynaMath: 501 questions in ten variants each (arXiv 2411.00836). Worst case: right in all ten."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.figures import Figure, Result, grouped, share
from metis_envs.benchmarks.options import listed_options
from metis_envs.benchmarks.tables import Table, hub_table, open_table
from metis_gym.grading.choice import LETTERS
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["DynaMath"]

_VARIANTS = 10
_TOLERANCE = 1e-3
_TRIALS = ("trials", "samples and result/10trials", "10trials")
_FILES = ("trial{}.json", "trial{}/dataset.json")


class DynaMath(Benchmark):
    """5,010 rows: 501 questions with ten draws of their numbers."""

    name: ClassVar[str] = "dynamath"
    hub: ClassVar[str] = "DynaMath/DynaMath_Sample"
    hub_split: ClassVar[str] = "sample_variant1"
    repository_files: ClassVar[tuple[str, ...]] = ("dataset/dataset.json", "dataset.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("id", "key"), ("question",), ("ground_truth", "answer"), ("answer_type",)),
        *(("subject",), ("knowledge_level", "level"), ("decoded_image", "image")),
    )
    image_columns: ClassVar[tuple[str, ...]] = ("decoded_image", "image")
    ability: ClassVar[str] = "maths"
    primary: ClassVar[tuple[str, ...]] = ("average", "worst case")
    notes: ClassVar[tuple[str, ...]] = ("texts are compared as wholes; the authors look for one inside the other",)

    def open_tables(self) -> list[Table]:
        """A table for each variant, as far as they are there."""
        if self.path is None:
            names = [f"sample_variant{number}" for number in range(1, _VARIANTS + 1)]
            return [hub_table(self.hub, subset=None, split=name, revision=self.revision) for name in names]
        found = _trials(self.path) if self.path.is_dir() else []
        if found:
            return [open_table(file, split="", repository_files=()) for file in found]
        saved = [self.path / f"sample_variant{number}" for number in range(1, _VARIANTS + 1)]
        if self.path.is_dir() and all(folder.is_dir() for folder in saved):
            return [open_table(folder, split=folder.name, repository_files=()) for folder in saved]
        return super().open_tables()

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002
        """A question in one variant."""
        answer, kind = row.text("ground_truth", "answer"), row.text("answer_type")
        labels = {"subject": row.text("subject"), "level": row.text("knowledge_level", "level")}
        unit = row.text("id", "key")
        text = row.text("question")
        if kind == "multiple choice":
            listed = listed_options(text)
            if listed is not None and answer.strip("()") in listed.labels:
                gold = GoldAnswer(value=LETTERS[listed.labels.index(answer.strip("()"))], kind=AnswerKind.CHOICE)
                return Item(question=listed.question, options=listed.options, gold=gold, labels=labels, unit=unit)
            is_label = len(answer) == 1 and answer.isalpha()
            gold = GoldAnswer(value=answer, kind=AnswerKind.LETTERS if is_label else AnswerKind.AUTO)
            return Item(question=text, gold=gold, labels=labels, unit=unit)
        is_number = kind in ("float", "int", "integer")
        gold = GoldAnswer(
            value=answer,
            kind=AnswerKind.NUMBER if is_number else AnswerKind.AUTO,
            absolute=_TOLERANCE if is_number else 0.0,
        )
        return Item(question=text, gold=gold, labels=labels, unit=unit)

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """The average over all variants, the share of questions right in all ten, and both by subject and level."""
        parts: dict[str, list[Result]] = {}
        for result in results:
            for label in ("subject", "level"):
                parts.setdefault(result.labels[label], []).append(result)
        found = {"average": share(results), "worst case": _worst_case(results)}
        for name, part in sorted(parts.items()):
            found |= {name: share(part), f"{name}, worst case": _worst_case(part)}
        return found


def _worst_case(results: Sequence[Result]) -> Figure:
    questions: dict[str, list[Result]] = {}
    for result in results:
        questions.setdefault(result.unit, []).append(result)
    return grouped(questions, lambda group: float(all(result.score for result in group)))


def _trials(folder: Path) -> list[Path]:
    """The files of the ten variants in a clone of the repository; none if one is not there."""
    for place in _TRIALS:
        for form in _FILES:
            files = [folder / place / form.format(number) for number in range(1, _VARIANTS + 1)]
            if all(file.is_file() for file in files):
                return files
    return []
