"""MathVerse: 788 problems of geometry and functions in five versions each (arXiv 2403.14624).

The versions move what is given from the text into the diagram, down to an image that holds everything.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.figures import Figure, Result, mean_of_shares
from metis_envs.benchmarks.options import listed_options
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError
from metis_gym.grading.choice import LETTERS
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["MathVerse"]

_IN_THE_IMAGE = "Solve the problem that is stated in the image."
_BY_LETTER = " Answer with the letter of the right option."
_TEXT_ONLY = "Text Only"
_BROKEN = {"掳": "°"}


class MathVerse(Benchmark):
    """3,940 rows: 788 problems, each in five versions."""

    name: ClassVar[str] = "mathverse"
    hub: ClassVar[str] = "AI4Math/MathVerse"
    subset: ClassVar[str | None] = "testmini"
    hub_split: ClassVar[str] = "testmini"
    rows: ClassVar[int | None] = 3_940
    repository_files: ClassVar[tuple[str, ...]] = ("testmini.json", "testmini_text_only.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), ("question_type",), ("image",)),
        *(("problem_index",), ("problem_version",)),
    )
    may_lack_images: ClassVar[bool] = True
    ability: ClassVar[str] = "maths"
    notes: ClassVar[tuple[str, ...]] = ("graded by rules, not by a judge",)

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """Which of the versions this is."""
        return {"version": row.text("problem_version")}

    def unit_of(self, row: Row) -> str:
        """The problem."""
        return row.label("problem_index")

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A problem in one version. Golds of choices that name no option are compared as open answers."""
        text, answer = _mended(row.optional("question")), _mended(row.text("answer"))
        if not answer:
            raise TaskDataError(f"{row.place} has no answer")
        listed = listed_options(text) if row.text("question_type") == "multi-choice" else None
        if listed is not None and answer in listed.labels:
            gold = GoldAnswer(value=LETTERS[listed.labels.index(answer)], kind=AnswerKind.CHOICE)
            question = listed.question or _IN_THE_IMAGE
            return Item(question=question, options=listed.options, gold=gold)
        is_label = row.text("question_type") == "multi-choice" and len(answer) == 1 and answer.isalpha()
        gold = GoldAnswer(value=answer, kind=AnswerKind.LETTERS if is_label else AnswerKind.AUTO)
        return Item(question=text or f"{_IN_THE_IMAGE}{_BY_LETTER if is_label else ''}", gold=gold)

    def image_values(self, row: Row) -> list[Any]:
        """The diagram; none for the versions that are text alone."""
        return super().image_values(row) if "image" in row and row.get("image") not in ("", []) else []

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """The mean over the versions that have an image, and each of them."""
        versions: dict[str, list[Result]] = {}
        for result in results:
            versions.setdefault(result.labels["version"], []).append(result)
        with_image = [part for version, part in versions.items() if version != _TEXT_ONLY] or list(versions.values())
        return {"overall": mean_of_shares(with_image), **self.by_label(results, "version")}


def _mended(text: str) -> str:
    for broken, right in _BROKEN.items():
        text = text.replace(broken, right)
    return text.strip()
