"""What a benchmark is: rows of files as tasks, in order, and the figures that its authors report.

A subclass says which columns it reads and makes an `Item` from a row. What cannot be graded (no gold answer, a gold
that is none of the options) is left out before anything is played and named in `left_out`.
"""

import ast
import base64
import binascii
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from metis_envs.benchmarks.figures import Figure, Result, estimate_figures, share
from metis_envs.benchmarks.tables import Table, hub_table, open_table
from metis_gym.errors import ConfigError, ImageError, TaskDataError, TaskIdError
from metis_gym.filesets.rows import column_names
from metis_gym.filesets.texts import clean, shown
from metis_gym.grading.choice import LETTERS
from metis_gym.images import MAX_DECODED_PIXELS, decode, decode_file, path_below
from metis_gym.records import AnswerKind, GoldAnswer, ImageArray, Task, TaskImage
from metis_gym.scores import Score
from metis_gym.tasksets import Taskset

__all__ = ["VIEW_PIXELS", "Benchmark", "Item", "Row", "choice_gold", "letter_gold"]

VIEW_PIXELS = 16_384 * 28 * 28
"""Largest image that a model is shown whole, in pixels; larger ones are shrunk to it."""

_TEXT_CHARS = 1 << 18
_ROW_ID = re.compile(r"(?P<row>\d{1,9})(?:@(?P<fingerprint>\w+))?")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row as a question.

    Attributes:
        question: The question, without its options.
        gold: The right answer.
        options: The options, in order; empty for an open question.
        labels: What figures are split by: category, group, variant ….
        unit: What was sampled, where several rows share one: intervals are over units. Empty for the row itself.
    """

    question: str
    gold: GoldAnswer
    options: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""


class Row:
    """A row, with clear errors for columns that are not there.

    Args:
        values: Column → value.
        place: What messages call the row.
    """

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self.values, self.place = values, place

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def get(self, *names: str) -> Any:
        """The value of the first of some columns that is there.

        Raises:
            TaskDataError: None of them is.
        """
        for name in names:
            if name in self:
                return self.values[name]
        wanted = " or ".join(map(repr, names))
        raise TaskDataError(f"{self.place} has no {wanted}; it has: {column_names(self.values)}")

    def text(self, *names: str) -> str:
        """A text, or a number as text, without space around it."""
        value = self.get(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TaskDataError(f"{self.place}: {names[0]!r} must be text or a number, actually: {shown(value)}")
        return clean(str(value)[:_TEXT_CHARS]).strip()

    def literal(self, *names: str) -> Any:
        """A list that stands in a text as Python or JSON would write it; a list as it is."""
        value = self.get(*names)
        if not isinstance(value, str):
            return value
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise TaskDataError(f"{self.place}: {names[0]!r} is no list: {shown(value)}") from None

    def optional(self, name: str) -> str:
        """A text; empty where there is none."""
        return self.text(name) if name in self else ""


class Benchmark(Taskset):
    """The rows of a benchmark, in order.

    Args:
        path: A file or folder that holds it; None for the hub.
        revision: Which version of the hub's data set; None for the newest.
        limit: Play the first rows only; None for all.
        view_pixels: Largest image that the model is shown whole.
        wording: "ours", or "official" where the benchmark's own wording can be read from its repository.
        split: Not used: a benchmark is its own split.
        view_size: Not used: the model sees the whole image, up to `view_pixels`.

    Raises:
        ConfigError: An argument is not valid.
        TaskDataError: The files are not there, or hold something else.
    """

    is_benchmark = True
    name: ClassVar[str]
    hub: ClassVar[str]
    """Where it is on the hub, `owner/name`."""
    subset: ClassVar[str | None] = None
    hub_split: ClassVar[str] = "test"
    needed: ClassVar[tuple[tuple[str, ...], ...]]
    """Columns without which nothing can be read: of each tuple, one name must be there."""
    image_columns: ClassVar[tuple[str, ...]] = ("image",)
    repository_files: ClassVar[tuple[str, ...]] = ()
    ability: ClassVar[str] = "perception"
    primary: ClassVar[tuple[str, ...]] = ("overall",)
    notes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        path: str | None = None,
        revision: str | None = None,
        limit: int | None = None,
        view_pixels: int = VIEW_PIXELS,
        wording: str = "ours",
        split: str = "test",  # noqa: ARG002 — a benchmark is its own split
        view_size: int = 448,  # noqa: ARG002 — the model sees the whole image
    ) -> None:
        for name, value in (("limit", limit), ("view_pixels", view_pixels)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name} must be a whole number of at least 1, actually: {value!r}")
        if wording not in ("ours", "official"):
            raise ConfigError(f"wording must be 'ours' or 'official', actually: {wording!r}")
        self.path = None if path is None else Path(str(path))
        self.revision, self.limit, self.view_pixels, self.wording = revision, limit, view_pixels, wording
        self.tables = self.open_tables()
        for table in self.tables:
            self._check_columns(table)
        self._starts = np.cumsum([0, *map(len, self.tables)])
        self.fingerprint = self._fingerprint()
        self.left_out: dict[int, str] = {}
        self.items: dict[int, Item] = {}
        self._read_rows()

    @property
    def families(self) -> tuple[str, ...]:
        """One family, the benchmark."""
        return (self.name,)

    @property
    def total(self) -> int:
        """How many rows there are, those that were left out included."""
        count = int(self._starts[-1])
        return count if self.limit is None else min(count, self.limit)

    def open_tables(self) -> list[Table]:
        """The tables that the rows stand in, one after the other."""
        if self.path is None:
            return [hub_table(self.hub, subset=self.subset, split=self.hub_split, revision=self.revision)]
        return [open_table(self.path, split=self.hub_split, repository_files=self.repository_files)]

    @abstractmethod
    def item(self, row: Row, table: Table) -> Item | None:
        """Read a row, without its images; None if it is no question of this benchmark.

        Raises:
            TaskDataError: It cannot be graded.
        """

    def image_values(self, row: Row) -> list[Any]:
        """The values that hold the row's images."""
        value = row.get(*self.image_columns)
        if isinstance(value, str) and value.startswith("["):
            value = row.literal(*self.image_columns)
        return list(value) if isinstance(value, list | tuple) else [value]

    def task_ids(self) -> list[str]:
        """The ids of all rows that can be graded, in order."""
        return [f"{self.name}/{index}@{self.fingerprint}" for index in self.items]

    def labels(self, task_id: str) -> Mapping[str, str]:
        """What figures are split by; decodes no image."""
        return self.items[self._index(task_id)].labels

    def draw(self, rng: np.random.Generator) -> str:
        """Draw the id of a row."""
        ids = self.task_ids()
        return ids[int(rng.integers(len(ids)))]

    def build(self, task_id: str) -> Task:
        """Make the task of a row.

        Raises:
            TaskIdError: The id is of another benchmark, or of another state of this one.
            TaskDataError: An image cannot be read.
        """
        index = self._index(task_id)
        item, (table, number) = self.items[index], self._place(index)
        row = Row(table.row(number), f"row {number} of {table.place}")
        images = tuple(self._image(value, table, row.place) for value in self.image_values(row))
        return Task(
            task_id=f"{self.name}/{index}@{self.fingerprint}",
            family=self.name,
            question=item.question,
            images=images,
            gold=item.gold,
            options=item.options,
            ability=self.ability,
            alternatives=tuple(LETTERS[: len(item.options)]),
        )

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """The figures over some results, the primary ones first. By default all rows, and each value of each label."""
        return {"overall": share(results), **self.by_label(results)}

    def by_label(self, results: Sequence[Result], *names: str) -> dict[str, Figure]:
        """The share of right answers for each value of some labels, or of all."""
        found: dict[str, list[Result]] = {}
        for result in results:
            for name, value in result.labels.items():
                if not names or name in names:
                    found.setdefault(value, []).append(result)
        return {value: share(part) for value, part in sorted(found.items())}

    def score(self, scores: Mapping[str, float | None], no_choice: int = 0) -> Score:
        """The figures of some graded rows.

        Args:
            scores: Task id → grade, from 0 to 1; None for an episode that was not scored. Rows that are not named
                count as not scored.
            no_choice: Answers that name no option.
        """
        graded = {self._index(task_id): score for task_id, score in scores.items()}
        every = [
            Result(unit=item.unit or str(index), labels=item.labels, score=graded.get(index))
            for index, item in self.items.items()
        ]
        scored = [result for result in every if result.score is not None]
        filled = [[result.filled(value) for result in every] for value in (0.0, 1.0)]
        low, high = (self.figures(results) for results in filled)
        found = self.figures(every)
        return Score(
            name=self.name,
            figures=estimate_figures(found),
            primary=self.primary,
            bounds={name: (low[name].mean, high[name].mean) for name in self.primary},
            scored=len(scored),
            total=self.total,
            no_choice=no_choice,
            notes=(*self.notes, *self._notes()),
        )

    def _notes(self) -> tuple[str, ...]:
        if not self.left_out:
            return ()
        shown_rows = "; ".join(list(self.left_out.values())[:3])
        return (f"{len(self.left_out)} of {self.total} rows cannot be graded and were left out: {shown_rows}",)

    def _check_columns(self, table: Table) -> None:
        lacking = [names for names in self.needed if not set(names) & set(table.columns)]
        if lacking:
            wanted = ", ".join(" or ".join(map(repr, names)) for names in lacking)
            raise TaskDataError(
                f"{table.place} lacks columns of {self.name}: {wanted}. It has: {column_names(table.columns)}"
            )

    def _fingerprint(self) -> str:
        first = self.tables[0].fingerprint()
        return first if len(self.tables) == 1 else f"{first}{len(self.tables)}"

    def _read_rows(self) -> None:
        for index in range(self.total):
            table, number = self._place(index)
            place = f"row {number} of {table.place}"
            try:
                item = self.item(Row(table.light_row(number), place), table)
            except TaskDataError as error:
                self.left_out[index] = str(error)
                continue
            if item is not None:
                self.items[index] = item
        if not self.items:
            raise TaskDataError(f"{self.name} has no row that can be graded{''.join(self._notes())}")

    def _place(self, index: int) -> tuple[Table, int]:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.tables[number], index - int(self._starts[number])

    def _index(self, task_id: str) -> int:
        name, _, rest = task_id.rpartition("/")
        found = _ROW_ID.fullmatch(rest)
        if name != self.name or found is None or int(found["row"]) not in self.items:
            raise TaskIdError(f"task id {task_id!r:.200} names no row of {self.name}; expected {self.name}/ROW")
        if found["fingerprint"] not in (None, self.fingerprint):
            raise TaskIdError(f"{self.name} has changed since task id {task_id!r} was made")
        return int(found["row"])

    def _image(self, value: Any, table: Table, place: str) -> TaskImage:
        source = _decoded(value, table.folder, place)
        return TaskImage(source=source, view=_view(source, self.view_pixels))


def choice_gold(options: Sequence[str], right: str, place: str) -> GoldAnswer:
    """The letter of the option that is literally the right text.

    Raises:
        TaskDataError: No option is.
    """
    for letter, option in zip(LETTERS, options, strict=False):
        if option == right:
            return GoldAnswer(value=letter, kind=AnswerKind.CHOICE)
    raise TaskDataError(f"{place}: the right answer {right!r:.80} is none of the options {list(options)!r:.200}")


def letter_gold(labels: Sequence[str], right: str, place: str) -> GoldAnswer:
    """The letter of the option with a label.

    Raises:
        TaskDataError: No option has it.
    """
    label = right.strip().strip("().").upper()
    if label not in labels:
        raise TaskDataError(f"{place}: the right answer {right!r:.80} is none of the labels {', '.join(labels)}")
    return GoldAnswer(value=LETTERS[list(labels).index(label)], kind=AnswerKind.CHOICE)


def _decoded(value: Any, folder: Path, place: str) -> ImageArray:
    """An image from bytes, base64, a path below the folder, or the `{"bytes", "path"}` of the hub's data sets."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    try:
        if isinstance(value, str) and len(value) > _MAX_PATH:
            value = base64.b64decode(value, validate=False)
        if isinstance(value, bytes):
            return decode(value, max_pixels=MAX_DECODED_PIXELS, name=place)
        if isinstance(value, str) and value:
            return decode_file(path_below(folder, value), max_pixels=MAX_DECODED_PIXELS, name=place, follow_link=False)
    except (ImageError, binascii.Error) as error:
        raise TaskDataError(f"{place}: {error}") from None
    raise TaskDataError(f"{place}: an image is bytes, base64 or a path, actually: {shown(value)}")


_MAX_PATH = 1024


def _view(source: ImageArray, view_pixels: int) -> ImageArray:
    height, width = source.shape[:2]
    if height * width <= view_pixels:
        return source
    scale = (view_pixels / (height * width)) ** 0.5
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return np.array(Image.fromarray(source).resize(size, Image.Resampling.BOX, reducing_gap=2.0), dtype=np.uint8)
