"""What a benchmark is: rows of files as tasks, in order, and the figures that its authors report.

A subclass says which columns it reads and makes an `Item` from a row. What cannot be graded (no gold answer, a gold
that is none of the options) is left out before anything is played and named in `left_out`.
"""

import re
import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from metis_envs.benchmarks.decoding import VIEW_PIXELS, decoded
from metis_envs.benchmarks.figures import Figure, Result, estimate_figures, share
from metis_envs.benchmarks.opening import hub_table, open_table
from metis_envs.benchmarks.rows import Item, Row, choice_gold, is_blank, letter_gold
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import ConfigError, TaskDataError, TaskIdError
from metis_gym.filesets.rows import column_names
from metis_gym.grading.choice import LETTERS
from metis_gym.images.transforms import shrink
from metis_gym.records import Task, TaskImage
from metis_gym.scores import Score
from metis_gym.tasksets import Taskset

__all__ = ["VIEW_PIXELS", "Benchmark", "Item", "Row", "choice_gold", "letter_gold"]

_ROW_ID = re.compile(r"(?P<row>\d{1,9})(?:@(?P<fingerprint>\w+))?")


class Benchmark(Taskset):
    """The rows of a benchmark, in order.

    Args:
        path: A file or folder that holds it; None for the hub.
        revision: Which version of the hub's data set; None for the newest.
        limit: Play the first rows only; None for all.
        view_pixels: Largest image that the model is shown whole.
        wording: One of `wordings`: "ours", or "official" where the authors' own can be read from their repository.
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
    split_names: ClassVar[tuple[str, ...]] = ()
    """What files of the split are called besides `hub_split` and `name`."""
    rows: ClassVar[int | None] = None
    """How many rows its authors' version has; None if that is not known."""
    needed: ClassVar[tuple[tuple[str, ...], ...]]
    """Columns without which nothing can be read: of each tuple, one name must be there."""
    image_columns: ClassVar[tuple[str, ...]] = ("image",)
    may_lack_images: ClassVar[bool] = False
    repository_files: ClassVar[tuple[str, ...]] = ()
    ability: ClassVar[str] = "perception"
    primary: ClassVar[tuple[str, ...]] = ("overall",)
    without_judge: ClassVar[Mapping[str, str]] = {}
    """Figure → what it is called where its authors let a judge grade and there was none."""
    notes: ClassVar[tuple[str, ...]] = ()
    wordings: ClassVar[tuple[str, ...]] = ("ours",)

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
        if wording not in self.wordings:
            known = " or ".join(map(repr, self.wordings))
            raise ConfigError(f"wording of {self.name} must be {known}, actually: {wording!r}")
        self.path = None if path is None else Path(str(path))
        self.revision, self.limit, self.view_pixels, self.wording = revision, limit, view_pixels, wording
        self.tables = self.open_tables()
        for table in self.tables:
            self._check_columns(table)
        self._starts = np.cumsum([0, *map(len, self.tables)])
        self.fingerprint = self._fingerprint()
        self.left_out: dict[int, str] = {}
        self.items: dict[int, Item] = {}
        self._ungraded: dict[int, Result] = {}
        count = int(self._starts[-1])
        self._last, self._others = count if limit is None else min(count, limit), 0
        self._read_rows()
        self._check_end()

    @property
    def families(self) -> tuple[str, ...]:
        """One family, the benchmark."""
        return (self.name,)

    @property
    def set_names(self) -> tuple[str, ...]:
        """What its files, folders and splits may be called, where others lie beside them."""
        return (self.hub_split, *self.split_names, self.name)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides which rows are played, and how they look."""
        return {
            "hub": self.hub,
            "rows": self.rows,
            "path": None if self.path is None else str(self.path),
            "revision": self.revision,
            "fingerprint": self.fingerprint,
            "limit": self.limit,
            "wording": self.wording,
            "view_pixels": self.view_pixels,
        }

    @property
    def cache_key(self) -> str:
        """What a task looks like depends on, besides its id."""
        return f"{self.path}\n{self.revision}\n{self.wording}\n{self.view_pixels}"

    @property
    def total(self) -> int:
        """How many rows there are, those that were left out included."""
        return self._last - self._others

    def open_tables(self) -> list[Table]:
        """The tables that the rows stand in, one after the other."""
        if self.path is None:
            return [hub_table(self.hub, subset=self.subset, split=self.hub_split, revision=self.revision)]
        return [open_table(self.path, names=self.set_names, repository_files=self.repository_files)]

    @abstractmethod
    def item(self, row: Row, table: Table) -> Item | None:
        """Read a row, without its images; None if it is no question of this benchmark.

        Raises:
            TaskDataError: It cannot be graded.
        """

    def labels_of(self, row: Row) -> Mapping[str, str]:  # noqa: ARG002 — a benchmark may have one figure only
        """What figures are split by, for rows whose item has no labels. Asked also of rows that cannot be graded.

        Raises:
            TaskDataError: The row does not say.
        """
        return {}

    def unit_of(self, row: Row) -> str:  # noqa: ARG002 — mostly the row itself
        """What was sampled, where several rows share one; asked of each row once, in order.

        Raises:
            TaskDataError: The row does not say.
        """
        return ""

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

    def item_of(self, task_id: str) -> Item:
        """The question of a row; decodes no image."""
        return self.items[self._index(task_id)]

    def row_of(self, task_id: str) -> Row:
        """The row of a task, without its images."""
        table, number = self._place(self._index(task_id))
        return Row(table.light_row(number), f"row {number} of {table.place}")

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
        if not images and not self.may_lack_images:
            raise TaskDataError(f"{row.place} has no image")
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

    def score(
        self,
        scores: Mapping[str, float | None],
        no_choice: int = 0,
        *,
        measures: Mapping[str, Mapping[str, float]] | None = None,
        is_judged: bool = False,
    ) -> Score:
        """The figures of some graded rows.

        Args:
            scores: Task id → grade, from 0 to 1; None for an episode that was not scored. Rows that are not named
                count as not scored.
            no_choice: Answers that name no option.
            measures: Task id → what `measure` found.
            is_judged: Did a judge grade what rules cannot?
        """
        graded = {self._index(task_id): score for task_id, score in scores.items()}
        measured = {self._index(task_id): found for task_id, found in (measures or {}).items()}
        every = [
            Result(unit=item.unit, labels=item.labels, score=graded.get(index), measures=measured.get(index, {}))
            for index, item in self.items.items()
        ]
        every += self._ungraded.values()
        low, high = (self.figures([result.filled(value) for result in every]) for value in (0.0, 1.0))
        found = self.figures(every)
        renamed = {} if is_judged else self.without_judge
        return Score(
            name=self.name,
            figures={renamed.get(name, name): figure for name, figure in estimate_figures(found).items()},
            primary=tuple(renamed.get(name, name) for name in self.primary),
            bounds={renamed.get(name, name): (low[name].mean, high[name].mean) for name in self.primary},
            scored=sum(graded.get(index) is not None for index in self.items),
            total=self.total,
            no_choice=no_choice,
            notes=(*self.notes, *self._notes()),
            settings=self.settings,
        )

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.rows is not None and self.total != self.rows:
            notes.append(f"{self.total:,} rows were given; the whole benchmark has {self.rows:,}")
        if self.left_out:
            shown_rows = "; ".join(list(self.left_out.values())[:3])
            notes.append(f"{len(self.left_out)} of {self.total} rows cannot be graded and were left out: {shown_rows}")
        return tuple(notes)

    def _check_columns(self, table: Table) -> None:
        lacking = [names for names in self.needed if not set(names) & set(table.columns)]
        if lacking:
            wanted = ", ".join(" or ".join(map(repr, names)) for names in lacking)
            raise TaskDataError(
                f"{table.place} lacks columns of {self.name}: {wanted}. It has: {column_names(table.columns)}"
            )

    def _fingerprint(self) -> str:
        found = [table.fingerprint() for table in self.tables]
        return found[0] if len(found) == 1 else f"{zlib.crc32(''.join(found).encode()):08x}"

    def _read_rows(self) -> None:
        shared: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        for index in range(self._last):
            table, number = self._place(index)
            row = Row(table.light_row(number), f"row {number} of {table.place}")
            try:
                labels, unit = _one_spelling(self.labels_of(row)), self.unit_of(row) or str(index)
            except TaskDataError as error:
                self.left_out[index] = str(error)
                continue
            try:
                item = _with_words(self.item(row, table), row.place)
            except TaskDataError as error:
                self.left_out[index] = str(error)
                self._ungraded[index] = Result(unit=unit, labels=labels, score=None)
                continue
            if item is None:
                self._others += 1
            else:
                labels = _one_spelling(item.labels) or labels
                labels = shared.setdefault(tuple(labels.items()), labels)
                self.items[index] = replace(item, labels=labels, unit=item.unit or unit)
        if not self.items:
            raise TaskDataError(f"{self.name} has no row that can be graded. {' '.join(self._notes())}".strip())

    def _check_end(self) -> None:
        """Where a file may have been cut off inside the last value, see that the last image is whole.

        Raises:
            TaskDataError: It is not.
        """
        last = self.tables[-1]
        if not getattr(last, "is_closed", True) and self.limit is None and self._last - 1 in self.items:
            try:
                self.build(self.task_ids()[-1])
            except TaskDataError as error:
                raise TaskDataError(f"{self.path} is half-downloaded: {error}") from None

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
        is_clone = self.path is not None and self.path.is_dir() and table.folder.is_relative_to(self.path)
        source = decoded(value, table.folder, place, getattr(table, "fetch", None), self.path if is_clone else None)
        return TaskImage(source=source, view=shrink(source, self.view_pixels))


def _with_words(item: Item | None, place: str) -> Item | None:
    """The item, if its question and its right answer say something.

    Raises:
        TaskDataError: One of them is blank.
    """
    if item is None:
        return None
    for what, text in (("question", item.question), ("right answer", item.gold.value)):
        if is_blank(text):
            raise TaskDataError(f"{place} has no {what}")
    return item


def _one_spelling(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Labels that differ in space only are the same: DynaMath has "analytic     geometry"."""
    return {name: " ".join(value.split()) for name, value in labels.items()}
