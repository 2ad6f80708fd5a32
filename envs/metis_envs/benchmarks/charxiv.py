"""CharXiv: charts of scientific papers (arXiv 2406.18521): 1,000 figures of the validation split.

A figure has one question that needs reasoning, and four that ask for something basic, from 19 templates. Its authors
let a judge grade; without one the rules do, and the figure is called `rules_only`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.charxiv_wording import Wording, official_wording
from metis_envs.benchmarks.figures import Figure, Result, share
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["CharXivDescriptive", "CharXivReasoning"]

_CLASSES = {"1": "text-in-chart", "2": "text-in-general", "3": "number-in-chart", "4": "number-in-general"}
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


class _CharXiv(Benchmark):
    hub: ClassVar[str] = "princeton-nlp/CharXiv"
    hub_split: ClassVar[str] = "validation"
    split_names: ClassVar[tuple[str, ...]] = ("val",)
    without_judge: ClassVar[Mapping[str, str]] = {"overall": "rules_only"}
    notes: ClassVar[tuple[str, ...]] = ("the authors let a judge grade; rules_only is what rules give without one",)
    wordings: ClassVar[tuple[str, ...]] = ("ours", "official")
    _official: Wording | None = None

    def open_tables(self) -> list[Table]:
        """The figures; with the official wording, that is read first."""
        if self.wording == "official":
            self._official = official_wording(self.path)
        return super().open_tables()

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Over all questions, and by class."""
        return {"overall": share(results), **self.by_label(results, "class")}

    def image_values(self, row: Row) -> list[Any]:
        """The figure, or the repository's file with the figure's number."""
        if "image" in row:
            return super().image_values(row)
        return [f"{row.text('figure_id', 'key')}.jpg"]


class CharXivReasoning(_CharXiv):
    """One question for each figure that needs reasoning."""

    name: ClassVar[str] = "charxiv_rq"
    rows: ClassVar[int | None] = 1_000
    repository_files: ClassVar[tuple[str, ...]] = ("data/reasoning_val.json", "reasoning_val.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("query", "reasoning_q"),
        ("answer", "reasoning_a"),
        ("inst_category", "reasoning_a_type"),
    )

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """The question, with how many decimals a number of the fourth class is to have."""
        answer, kind = row.text("answer", "reasoning_a"), self.labels_of(row)["class"]
        question, number = row.words("query", "reasoning_q"), ""
        if kind == _CLASSES["4"]:
            decimals = len(answer.partition(".")[2])
            form = f"the number with {decimals} decimal place{'s' * (decimals != 1)}" if decimals else "a whole number"
            number = f"Give {form}."
        if self._official is not None:
            place = next((int(key) for key, name in _CLASSES.items() if name == kind), 0)
            return Item(
                question=self._official.reasoning_question(place, question, number),
                gold=_gold(answer, self._official.reasoning_rubric(place)),
            )
        return Item(question=f"{question} {number}".strip(), gold=_gold(answer))

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """Of what kind the answer is."""
        kind = row.label("inst_category", "reasoning_a_type")
        return {"class": _CLASSES.get(kind, kind.lower().replace(" ", "-"))}


class CharXivDescriptive(_CharXiv):
    """Four basic questions for each figure."""

    name: ClassVar[str] = "charxiv_dq"
    rows: ClassVar[int | None] = 4_000
    repository_files: ClassVar[tuple[str, ...]] = ("data/descriptive_val.json", "descriptive_val.json")
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("qids", "descriptive_q1"),
        ("answers", "descriptive_a1"),
        ("subplot_loc", "subplot_row"),
    )

    def open_tables(self) -> list[Table]:
        """The figures, four times: a row for each question of each figure."""
        return [_FourTimes(table) for table in super().open_tables()]

    def item(self, row: Row, table: Table) -> Item | None:  # noqa: ARG002 — the row says it all
        """A template, asked of a subplot."""
        template, number = self._template(row), row.whole("question_number")
        answer = _fourth(row, "answers", number) if "answers" in row else row.text(f"descriptive_a{number + 1}")
        where = "" if template in _WHOLE_FIGURE else _where(row)
        if self._official is not None:
            return Item(
                question=self._official.descriptive_question(template, where),
                gold=_gold(answer, self._official.descriptive_rubric(template)),
            )
        text = f"{where}{_TEMPLATES[template]} {_OR_NOT}"
        return Item(question=f"{text[0].upper()}{text[1:]}", gold=_gold(answer))

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """What the template asks for."""
        return {"class": _KINDS[self._template(row)]}

    def unit_of(self, row: Row) -> str:
        """The figure."""
        return row.label("figure_id", "key", "number")

    def _template(self, row: Row) -> int:
        number = row.whole("question_number")
        given = _fourth(row, "qids", number) if "qids" in row else row.label(f"descriptive_q{number + 1}")
        if not given.isdecimal() or int(given) not in _TEMPLATES:
            raise TaskDataError(f"{row.place}: there is no question {given!r:.80}")
        return int(given)


class _FourTimes:
    """Each row of a table, once for each of its questions."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.columns: tuple[str, ...] = (*table.columns, "question_number", "number")
        self.folder, self.place, self.fetch = table.folder, table.place, getattr(table, "fetch", None)

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


def _gold(answer: str, rubric: str = _RUBRIC) -> GoldAnswer:
    return GoldAnswer(value=answer, kind=AnswerKind.JUDGED, rubric=rubric)


def _fourth(row: Row, name: str, number: int) -> str:
    """One of the four values of a list."""
    values = row.texts(name)
    if len(values) != _PER_FIGURE:
        raise TaskDataError(f"{row.place}: {name!r} must have {_PER_FIGURE} values, actually: {len(values)}")
    return values[number]


def _where(row: Row) -> str:
    """Which subplot is meant, as the beginning of a question."""
    place: Any = row.get("subplot_loc") if "subplot_loc" in row else ""
    if isinstance(place, str) and place.startswith(("[", "(")):
        place = row.literal("subplot_loc")
    if place in ("", []) and "subplot_row" in row and "subplot_col" in row:
        place = (row.whole("subplot_row"), row.whole("subplot_col"))
    if isinstance(place, list | tuple) and len(place) == 2:
        return "In the plot, " if list(place) == [0, 0] else f"In the subplot in row {place[0]} and column {place[1]}, "
    if isinstance(place, str) and place.strip():
        return f"In {place.strip()}, "
    return "In the plot, "
