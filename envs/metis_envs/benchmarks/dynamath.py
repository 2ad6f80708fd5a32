"""DynaMath: 501 questions in ten variants each (arXiv 2411.00836). Worst case: right in all ten."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.figures import Figure, Result, grouped, share
from metis_envs.benchmarks.opening import hub_table, open_saved, open_table, parquet_files
from metis_envs.benchmarks.options import listed_options
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError
from metis_gym.grading.choice import LETTERS
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["DynaMath"]

_VARIANTS = 10
_TOLERANCE = 1e-3
_TRIALS = ("trials", "samples and result/10trials", "10trials", ".")
_VARIANT = re.compile(r"sample_?(?:variant)?_?(?P<number>\d+)(?=[-_./]|$)")
_FILES = ("trial{}.json", "trial{}/dataset.json")


class DynaMath(Benchmark):
    """5,010 rows: 501 questions with ten draws of their numbers."""

    name: ClassVar[str] = "dynamath"
    hub: ClassVar[str] = "DynaMath/DynaMath_Sample"
    hub_split: ClassVar[str] = "sample_variant1"
    rows: ClassVar[int | None] = 5_010
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
        """A table for each variant; only one where the path is that of one file.

        Raises:
            TaskDataError: Some of the variants are there and others are not.
        """
        names = [f"sample_variant{number}" for number in range(1, _VARIANTS + 1)]
        if self.path is None:
            return [hub_table(self.hub, subset=None, split=name, revision=self.revision) for name in names]
        if not self.path.is_dir():
            return super().open_tables()
        if (self.path / "dataset_dict.json").is_file():
            return [open_saved(self.path, [name]) for name in names]
        found = _trials(self.path) or _parquet(self.path) or _saved(self.path, names)
        if not found:
            return super().open_tables()
        if len(found) < _VARIANTS:
            lacking = ", ".join(str(number) for number in range(1, _VARIANTS + 1) if number not in found)
            raise TaskDataError(
                f"{self.path} is half-downloaded: of the ten variants it lacks {lacking}. To play one variant only, "
                "give its file as path="
            )
        return [open_table(found[number], names=[names[number - 1]]) for number in sorted(found)]

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """Subject and level."""
        return {"subject": row.text("subject"), "level": row.text("knowledge_level", "level")}

    def unit_of(self, row: Row) -> str:
        """The question that this is a variant of."""
        return row.label("id", "key")

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002
        """A question in one variant."""
        answer, kind = row.text("ground_truth", "answer"), row.text("answer_type")
        text = row.text("question")
        if kind == "multiple choice":
            listed = listed_options(text)
            if listed is not None and answer.strip("()") in listed.labels:
                gold = GoldAnswer(value=LETTERS[listed.labels.index(answer.strip("()"))], kind=AnswerKind.CHOICE)
                return Item(question=listed.question, options=listed.options, gold=gold)
            is_label = len(answer) == 1 and answer.isalpha()
            gold = GoldAnswer(value=answer, kind=AnswerKind.LETTERS if is_label else AnswerKind.AUTO)
            return Item(question=text, gold=gold)
        is_number = kind in ("float", "int", "integer")
        gold = GoldAnswer(
            value=answer,
            kind=AnswerKind.NUMBER if is_number else AnswerKind.AUTO,
            absolute=_TOLERANCE if is_number else 0.0,
        )
        return Item(question=text, gold=gold)

    def _notes(self) -> tuple[str, ...]:
        variants = Counter(item.unit for item in self.items.values())
        least = min(variants.values())
        few = () if least >= _VARIANTS else (f"the worst case is over as few as {least} of {_VARIANTS} variants",)
        return (*super()._notes(), *few)

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


def _trials(folder: Path) -> dict[int, Path]:
    """The files of the variants in a clone of the repository, by number."""
    for place in _TRIALS:
        for form in _FILES:
            files = {number: folder / place / form.format(number) for number in range(1, _VARIANTS + 1)}
            found = {number: file for number, file in files.items() if file.is_file()}
            if found:
                return found
    return {}


def _parquet(folder: Path) -> dict[int, Path]:
    """The parquet files of the variants, by number. Their names say `-00000-of-00003` without two others."""
    found = {}
    for file in parquet_files(folder):
        named = (_VARIANT.match(part) for part in (file.name, *reversed(file.relative_to(folder).parts[:-1])))
        number = next((int(match["number"]) for match in named if match), 0)
        if 1 <= number <= _VARIANTS:
            found[number] = file
    return found


def _saved(folder: Path, names: Sequence[str]) -> dict[int, Path]:
    """Folders of saved data sets, one for each variant."""
    return {number: folder / name for number, name in enumerate(names, start=1) if (folder / name).is_dir()}
