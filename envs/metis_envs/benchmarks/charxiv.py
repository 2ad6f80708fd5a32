"""CharXiv: charts of scientific papers (arXiv 2406.18521): 1,000 figures of the validation split.

A figure has one question that needs reasoning, and four that ask for something basic, from 19 templates. Its authors
let a judge grade; without one the rules do, and the figure is called `rules_only`.
"""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.figures import Figure, Result, share
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import ConfigError, TaskDataError
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["CharXivDescriptive", "CharXivReasoning"]

_CLASSES = {"1": "text in chart", "2": "text in general", "3": "number in chart", "4": "number in general"}
_TEMPLATES = {
    1: "what is its title?",
    2: "what is the label of the x-axis?",
    3: "what is the label of the y-axis?",
    4: "what is the leftmost labelled tick on the x-axis?",
    5: "what is the rightmost labelled tick on the x-axis?",
    6: "what is the spatially lowest labelled tick on the y-axis?",
    7: "what is the spatially highest labelled tick on the y-axis?",
    8: "what is the difference between consecutive numerical ticks on the x-axis?",
    9: "what is the difference between consecutive numerical ticks on the y-axis?",
    10: "how many lines are there?",
    11: "do any lines intersect?",
    12: "how many discrete labels are there in the legend?",
    13: "what are the names of the labels in the legend, from top to bottom, then left to right?",
    14: "what is the difference between the largest and the smallest tick of the continuous legend (the colour bar)?",
    15: "what is the largest tick of the continuous legend (the colour bar)?",
    16: "what is the general trend of the data from left to right?",
    17: "how many explicitly labelled ticks are there on all axes together?",
    18: "what is the layout of the subplots, as in 2 by 3 (rows by columns)?",
    19: "how many subplots are there?",
}
"""Number of a template → our wording of it."""
_KINDS = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 7), "extraction"),
    **dict.fromkeys((8, 9, 13, 14, 15), "enumeration"),
    **dict.fromkeys((11, 16, 18), "pattern"),
    **dict.fromkeys((10, 12, 19), "counting"),
    17: "compositionality",
}
_WHOLE_FIGURE = (18, 19)
_OR_NOT = "If this does not apply to the plot, answer “Not Applicable”."
_RUBRIC = (
    "Numbers must have exactly the value of the right answer; notation and unit may differ. Texts must say the same; "
    "lists must have the same items. “Not Applicable” is right only where it is the right answer."
)
_PER_FIGURE = 4
_CONSTANTS = "src/constants.py"


class _CharXiv(Benchmark):
    hub: ClassVar[str] = "princeton-nlp/CharXiv"
    hub_split: ClassVar[str] = "validation"
    notes: ClassVar[tuple[str, ...]] = ("rules_only, unless a judge was given: answers are then compared by value",)

    def image_values(self, row: Row) -> list[Any]:
        """The figure, or the repository's file with the figure's number."""
        if "image" in row:
            return super().image_values(row)
        number = row.text("figure_id", "key")
        folder = self.tables[0].folder
        for place in ("images", "../images", "../data/images"):
            if (folder / place / f"{number}.jpg").is_file():
                return [f"{place}/{number}.jpg"]
        return [f"images/{number}.jpg"]


class CharXivReasoning(_CharXiv):
    """One question for each figure that needs reasoning."""

    name: ClassVar[str] = "charxiv_rq"
    repository_files: ClassVar[tuple[str, ...]] = ("data/reasoning_val.json", "reasoning_val.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("query", "reasoning_q"),
        ("answer", "reasoning_a"),
        ("inst_category", "reasoning_a_type"),
    )

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """The question, with how many decimals a number of the fourth class is to have."""
        answer, kind = row.text("answer", "reasoning_a"), row.text("inst_category", "reasoning_a_type")
        question = row.text("query", "reasoning_q")
        decimals = len(answer.partition(".")[2]) if kind == "4" else 0
        if kind == "4":
            form = f"{decimals} decimal place{'s' * (decimals != 1)}" if decimals else "a whole number"
            question = f"{question} Give {form}." if not decimals else f"{question} Give the number with {form}."
        return Item(question=question, gold=_gold(answer), labels={"class": _CLASSES.get(kind, kind)})


class CharXivDescriptive(_CharXiv):
    """Four basic questions for each figure."""

    name: ClassVar[str] = "charxiv_dq"
    repository_files: ClassVar[tuple[str, ...]] = ("data/descriptive_val.json", "descriptive_val.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("qids", "descriptive_q1"),
        ("answers", "descriptive_a1"),
        ("subplot_loc",),
    )

    def open_tables(self) -> list[Table]:
        """The figures, four times: a row for each question of each figure."""
        tables = super().open_tables()
        self._templates = _official(self.path) if self.wording == "official" else _TEMPLATES
        return [_FourTimes(table) for table in tables]

    def item(self, row: Row, table: Table) -> Item | None:  # noqa: ARG002 — the row says it all
        """A template, asked of a subplot."""
        number = int(row.text("question_number"))
        if "qids" in row:
            template, answer = int(row.literal("qids")[number]), str(row.literal("answers")[number])
        else:
            template = int(row.text(f"descriptive_q{number + 1}"))
            answer = row.text(f"descriptive_a{number + 1}")
        if template not in self._templates:
            raise TaskDataError(f"{row.place}: there is no question {template}")
        where = "" if template in _WHOLE_FIGURE else _where(row)
        text = self._templates[template]
        question = f"{where}{text} {_OR_NOT}" if where else f"{text[0].upper()}{text[1:]} {_OR_NOT}"
        labels = {"class": _KINDS[template]}
        return Item(question=question, gold=_gold(answer), labels=labels, unit=row.text("figure_id", "key", "number"))

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Over all questions, and by the class of the template."""
        return {"overall": share(results), **self.by_label(results, "class")}


class _FourTimes:
    """Each row of a table, once for each of its questions."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.columns: tuple[str, ...] = (*table.columns, "question_number", "number")
        self.folder, self.place = table.folder, table.place

    def __len__(self) -> int:
        return _PER_FIGURE * len(self._table)

    def row(self, index: int) -> Mapping[str, Any]:
        """A figure with the number of one of its questions."""
        return self._numbered(self._table.row(index // _PER_FIGURE), index)

    def light_row(self, index: int) -> Mapping[str, Any]:
        """The same without the figure."""
        return self._numbered(self._table.light_row(index // _PER_FIGURE), index)

    def fingerprint(self) -> str:
        """That of the table."""
        return self._table.fingerprint()

    @staticmethod
    def _numbered(row: Mapping[str, Any], index: int) -> Mapping[str, Any]:
        number, question = divmod(index, _PER_FIGURE)
        return {**row, "question_number": question, "number": number}


def _gold(answer: str) -> GoldAnswer:
    return GoldAnswer(value=answer, kind=AnswerKind.JUDGED, rubric=_RUBRIC)


def _where(row: Row) -> str:
    """Which subplot is meant, as the beginning of a question."""
    if "subplot_row" in row and "subplot_col" in row:
        place: Any = (int(row.text("subplot_row")), int(row.text("subplot_col")))
    else:
        place = row.get("subplot_loc")
        place = row.literal("subplot_loc") if isinstance(place, str) and place.startswith(("[", "(")) else place
    if isinstance(place, list | tuple) and len(place) == 2:
        return "In the plot, " if list(place) == [0, 0] else f"In the subplot in row {place[0]} and column {place[1]}, "
    if isinstance(place, str) and place.strip():
        return f"In {place.strip()}, "
    return "In the plot, "


def _official(path: Path | None) -> Mapping[int, str]:
    """The authors' wordings, read as literals from a clone of their repository; nothing of it is run."""
    file = None if path is None else path / _CONSTANTS
    if file is None or not file.is_file():
        raise ConfigError(f"wording=official needs path= a clone of the benchmark's repository, with {_CONSTANTS}")
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        tables = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
        for value in map(ast.literal_eval, tables):
            if len(value) == len(_TEMPLATES) and all(isinstance(text, str) for text in value.values()):
                return {int(key): text for key, text in value.items()}
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TaskDataError(f"{file} cannot be read: {error}") from None
    raise TaskDataError(f"{file} holds no table of {len(_TEMPLATES)} questions")
