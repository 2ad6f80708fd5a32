"""TreeBench: small targets in crowded scenes, and reasoning about them (arXiv 2507.07999).

A model that writes where it looks, as `<box>[x1,y1,x2,y2]</box>` in pixels of the image, is also given the mean IoU of
its boxes: for each target the best of its boxes, over the targets of a question, over the questions.
"""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, letter_gold
from metis_envs.benchmarks.figures import Figure, Result, share
from metis_envs.benchmarks.options import listed_options, separate_lines
from metis_envs.benchmarks.tables import Table
from metis_gym.errors import TaskDataError

__all__ = ["OPTION_COLUMNS", "TreeBench", "separate_options"]

OPTION_COLUMNS = ("multi-choice options", "multi_choice_options", "Answer choices")
"""Columns that hold all options, as a list or as one text."""

_Box: TypeAlias = tuple[float, float, float, float]
_WRITTEN = re.compile(r"<box>\s*\[([^\[\]<>]{1,120})\]\s*</box>")
_MAX_TEXT = 1 << 20
_IOU = "iou"


class TreeBench(Benchmark):
    """405 questions in ten categories of perception and reasoning."""

    name: ClassVar[str] = "treebench"
    hub: ClassVar[str] = "HaochenWang/TreeBench"
    hub_split: ClassVar[str] = "train"
    rows: ClassVar[int | None] = 405
    repository_files: ClassVar[tuple[str, ...]] = ("TreeBench.tsv",)
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("question",), ("answer",), ("category",), ("image",)),
        ("A", *OPTION_COLUMNS),
    )

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """Perception or reasoning, and the category."""
        protocol, _, category = row.text("category").partition("/")
        return {"protocol": protocol, "category": category} if category else {"category": protocol}

    def item(self, row: Row, table: Table) -> Item:  # noqa: ARG002 — the row says it all
        """A question with its options, which stand in columns or in one text."""
        labels, options = separate_options(row)
        gold = letter_gold(labels, row.text("answer"), row.place)
        return Item(question=row.text("question"), options=options, gold=gold)

    def measure(self, task_id: str, texts: Sequence[str], answer: str | None) -> Mapping[str, float]:  # noqa: ARG002
        """How well the boxes that the model wrote fit the targets; nothing where it wrote none."""
        written = [box for text in texts for box in _written_boxes(text)]
        targets = self._targets(task_id) if written else []
        return (
            {_IOU: statistics.fmean(max(_iou(target, box) for box in written) for target in targets)} if targets else {}
        )

    def figures(self, results: Sequence[Result]) -> Mapping[str, Figure]:
        """Over all rows, by protocol and category; where a model writes boxes, their mean IoU, 0 for rows without."""
        found = {"overall": share(results), **self.by_label(results)}
        if any(_IOU in result.measures for result in results):
            found["mIoU"] = share(results, lambda result: result.measures.get(_IOU, 0.0))
        return found

    def _targets(self, task_id: str) -> list[_Box]:
        row = self.row_of(task_id)
        if "target_instances" not in row:
            return []
        given = row.literal("target_instances")
        boxes = given if isinstance(given, list | tuple) else []
        return [box for box in map(_box, boxes) if box is not None]


def _written_boxes(text: str) -> list[_Box]:
    found = (_box(re.split(r"\s*,\s*", inner)) for inner in _WRITTEN.findall(text[:_MAX_TEXT]))
    return [box for box in found if box is not None]


def _box(values: Any) -> _Box | None:
    """A box of four numbers that has an area; None for anything else."""
    try:
        x1, y1, x2, y2 = map(float, values)
    except (TypeError, ValueError):
        return None
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 and math.isfinite(x1 + y1 + x2 + y2) else None


def _iou(one: _Box, other: _Box) -> float:
    """Area of the intersection over that of the union.

    >>> _iou((0, 0, 2, 2), (1, 0, 3, 2))  # 2 of 6
    0.3333333333333333
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (areas - common)


def separate_options(row: Row) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels and the options of a row: one in each column A, B …, or all in `multi-choice options`.

    Raises:
        TaskDataError: They cannot be told apart.
    """
    columns = [letter for letter in "ABCDEFGH" if letter in row and row.text(letter)]
    if columns:
        return tuple(columns), tuple(row.text(letter) for letter in columns)
    value: Any = row.get(*OPTION_COLUMNS)
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = row.literal(*OPTION_COLUMNS)
    lines = [str(line) for line in value] if isinstance(value, list | tuple) else str(value).strip().splitlines()
    separate = separate_lines(lines, may_lack_labels=isinstance(value, list | tuple))
    if separate is not None:
        return separate.labels, separate.options
    listed = listed_options("\n".join(lines))
    if listed is None:
        raise TaskDataError(f"{row.place}: no options can be read from {value!r:.200}")
    return listed.labels, listed.options
