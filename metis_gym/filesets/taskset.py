"""A taskset whose tasks are the rows of a file."""

import logging

import numpy as np

from metis_gym.errors import ConfigError, ImageError, TaskDataError, TaskIdError
from metis_gym.filesets.images import task_image
from metis_gym.filesets.rows import LETTERS, RawTask, Rows
from metis_gym.images import MAX_DECODED_PIXELS, decode, decode_file
from metis_gym.records import AnswerKind, GoldAnswer, ImageArray, Task, TaskImage
from metis_gym.tasksets import Taskset

__all__ = ["FileTaskset"]

_ON_ERROR = ("raise", "skip")
_MAX_SIDE = 32_768
_LARGE_IMAGES = 4
_log = logging.getLogger("metis_gym.filesets")


class FileTaskset(Taskset):
    """Draws rows of a file, uniformly.

    Args:
        rows: The file.
        name: The file's name, for task ids and tables.
        view_size: Longest side of the views, pixels.
        on_error: "raise" names a broken row when it is drawn; "skip" reads every row now, leaves broken ones out,
            counts them in `skipped` and logs how many there are.
        max_pixels: Largest image that is decoded; all images of a row together may have four times as many pixels.

    Attributes:
        skipped: Row → why it was left out.

    Raises:
        ConfigError: An argument is not valid.
        TaskDataError: There is no usable row.
    """

    def __init__(
        self,
        rows: Rows,
        name: str,
        *,
        view_size: int,
        on_error: str = "raise",
        max_pixels: int = MAX_DECODED_PIXELS,
    ) -> None:
        if on_error not in _ON_ERROR:
            raise ConfigError(f"on_error must be one of {', '.join(_ON_ERROR)}, actually: {on_error!r}")
        self.rows, self.name, self.view_size, self.max_pixels = rows, name, view_size, max_pixels
        self.skipped: dict[int, str] = {}
        self._fingerprint = rows.fingerprint()
        if on_error == "skip":
            self._find_broken()
        self._usable = [row for row in range(len(rows)) if row not in self.skipped]
        if not self._usable:
            raise TaskDataError(f"{name} has no usable row{self._reasons()}")

    @property
    def families(self) -> tuple[str, ...]:
        """One family, named after the file."""
        return (self.name,)

    def knows(self, task_id: str) -> bool:
        """Whether this id begins with the file's name."""
        return task_id.startswith(f"{self.name}/")

    def __len__(self) -> int:
        """How many rows can be drawn."""
        return len(self._usable)

    def task_ids(self) -> list[str]:
        """The ids of all usable rows, in order."""
        return [self.task_id(row) for row in self._usable]

    def task_id(self, row: int) -> str:
        """The id of a row: the file's name, the row, and a fingerprint of the file."""
        return f"{self.name}/{row}@{self._fingerprint}"

    def draw(self, rng: np.random.Generator) -> str:
        """Draw the id of one of the usable rows."""
        return self.task_id(self._usable[int(rng.integers(len(self._usable)))])

    def build(self, task_id: str) -> Task:
        """Read and decode the row that an id names.

        Raises:
            TaskIdError: The id is of another file, or of another state of this one.
            TaskDataError: The row is broken.
        """
        row = self._row_of(task_id)
        raw = self.rows.read(row)
        images = self._images(raw, f"row {row} of {self.name}: {raw.column!r}")
        return Task(
            task_id=self.task_id(row),
            family=self.name,
            question=raw.question,
            images=images,
            gold=_gold(raw),
            options=raw.options,
            necessity=raw.necessity,
            ability=raw.ability,
            alternatives=tuple(LETTERS[: len(raw.options)]),
            search_key=raw.search_key,
        )

    def _images(self, raw: RawTask, place: str) -> tuple[TaskImage, ...]:
        """The images of a row, in order; together they may have a few times the pixels of the largest one."""
        images: list[TaskImage] = []
        left = _LARGE_IMAGES * self.max_pixels
        for number, image in enumerate(raw.images, start=1):
            name = f"{place}, image {number}"
            limit = min(self.max_pixels, left)
            try:
                source: ImageArray = (
                    decode(image, max_pixels=limit, name=name)
                    if isinstance(image, bytes)
                    else decode_file(image, max_pixels=limit, name=name, follow_link=False)  # they are followed already
                )
            except ImageError as error:
                raise TaskDataError(str(error)) from None
            left -= source.shape[0] * source.shape[1]
            images.append(task_image(source, self.view_size))
            if max(images[-1].view.shape) > _MAX_SIDE:
                raise TaskDataError(f"{name} would be shown with a side of more than {_MAX_SIDE:,} pixels")
        return tuple(images)

    def _row_of(self, task_id: str) -> int:
        whole, _, fingerprint = task_id.partition("@")
        name, _, row = whole.rpartition("/")
        if name != self.name or not row.isdecimal() or int(row) >= len(self.rows):
            raise TaskIdError(
                f"task id {task_id!r} is not of {self.name!r}; expected {self.name}/row with row < {len(self.rows)}"
            )
        if fingerprint and fingerprint != self._fingerprint:
            raise TaskIdError(f"{self.name} has changed since task id {task_id!r} was made; leave out '@{fingerprint}'")
        return int(row)

    def _find_broken(self) -> None:
        for row in range(len(self.rows)):
            try:
                self.build(f"{self.name}/{row}")
            except TaskDataError as error:
                self.skipped[row] = str(error)
        if self.skipped:
            counted = f"{len(self.skipped):,} of {len(self.rows):,} rows"
            _log.warning("%s: %s were skipped%s", self.name, counted, self._reasons())

    def _reasons(self) -> str:
        if not self.skipped:
            return ""
        shown = "; ".join(list(self.skipped.values())[:3])
        return f" ({len(self.skipped)} were skipped: {shown}{'; …' if len(self.skipped) > 3 else ''})"


def _gold(raw: RawTask) -> GoldAnswer:
    kind = AnswerKind.CHOICE if raw.options else AnswerKind.AUTO
    return GoldAnswer(value=raw.answer, kind=kind, candidates=raw.candidates)
