"""Task cards: what a reader of a recording must know of a task and no event holds, so that none is drawn again.

A card holds the right answer, and what is known about the task. Nothing in a recording is ever shown to a model.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from metis_gym.records import AnswerKind, Box, GoldAnswer, ImageArray, Necessity, Task

__all__ = ["TaskCard", "as_card", "card_of", "card_values"]

_MAX_DETAIL_PIXELS = 1 << 22
_MAX_ITEMS = 4_096


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskCard:
    """What is known about a task.

    Attributes:
        task_id: The task.
        family: Its family or benchmark.
        question: The question, without the options.
        options: Texts of the options A, B, …; empty for an open question.
        gold: The right answer.
        necessity: Does the task need a tool?
        ability: "perception", "search" or "maths".
        explanation: The shortest solution in words.
        notes: What a reader of the image should be told.
        sizes: Width and height of each source.
        region: The deciding detail, in source pixels of the first image.
        detail: That region, cut from the source; reduced where it has more than four megapixels.
        blind_accuracy: The best accuracy that is possible without a tool.
        min_calls: Calls of the best plan.
        tool_accuracy: Accuracy of the best plan.
    """

    task_id: str
    family: str
    question: str
    options: tuple[str, ...]
    gold: GoldAnswer
    necessity: Necessity
    ability: str
    explanation: str
    notes: str
    sizes: tuple[tuple[int, int], ...]
    region: Box | None
    detail: ImageArray | None
    blind_accuracy: float | None
    min_calls: int | None
    tool_accuracy: float | None


def card_of(task: Task) -> TaskCard:
    """The card of a task."""
    return TaskCard(
        task_id=task.task_id,
        family=task.family,
        question=task.question,
        options=tuple(task.options),
        gold=task.gold,
        necessity=task.necessity,
        ability=task.ability,
        explanation=task.explanation,
        notes=task.notes,
        sizes=tuple((int(image.source.shape[1]), int(image.source.shape[0])) for image in task.images),
        region=task.region,
        detail=_detail(task),
        blind_accuracy=task.blind_accuracy,
        min_calls=task.min_calls,
        tool_accuracy=task.tool_accuracy,
    )


def card_values(card: TaskCard) -> dict[str, Any]:
    """The card as a mapping, for the writer."""
    values = {field.name: getattr(card, field.name) for field in dataclasses.fields(TaskCard)}
    return {**values, "gold": dataclasses.asdict(card.gold)}


def as_card(read: Any) -> TaskCard:
    """The inverse of `card_values`, for whatever stood in a file.

    Raises:
        ValueError: It is no card; the message says what is wrong.
    """
    _expect(isinstance(read, dict), "a card is an object", read)
    names = {field.name for field in dataclasses.fields(TaskCard)}
    _expect(read.keys() == names, f"a card has the keys {', '.join(sorted(names))}", sorted(read)[:20])
    for name in ("task_id", "family", "question", "ability", "explanation", "notes", "necessity"):
        _expect(isinstance(read[name], str), f"{name} is text", read[name])
    _expect(_are(read["options"], str), "options is a tuple of texts", read["options"])
    sizes, region, detail = read["sizes"], read["region"], read["detail"]
    _expect(isinstance(sizes, tuple) and len(sizes) <= _MAX_ITEMS, "sizes is a tuple", sizes)
    _expect(all(_are(size, int) and len(size) == 2 for size in sizes), "a size is two whole numbers", sizes)
    _expect(region is None or (_are(region, int) and len(region) == 4), "region is four whole numbers", region)
    is_image = isinstance(detail, np.ndarray) and detail.dtype == np.uint8 and detail.ndim == 3 and detail.size > 0
    is_image = is_image and detail.shape[2] == 3
    _expect(detail is None or is_image, "detail is an image", type(detail).__name__)
    for name in ("blind_accuracy", "min_calls", "tool_accuracy"):
        _expect(read[name] is None or _is_number(read[name]), f"{name} is a number or none", read[name])
    return TaskCard(**{**read, "necessity": Necessity(read["necessity"]), "gold": _as_gold(read["gold"])})


def _as_gold(read: Any) -> GoldAnswer:
    names = {field.name for field in dataclasses.fields(GoldAnswer)}
    is_gold = isinstance(read, Mapping) and {"value", "kind"} <= read.keys() <= names
    _expect(is_gold, f"gold has a value, a kind, and of the others only {', '.join(sorted(names))}", None)
    _expect(isinstance(read["value"], str) and isinstance(read["kind"], str), "gold has a value and a kind", None)
    _expect(_is_number(read.get("tolerance", 0.0)), "tolerance is a number", read.get("tolerance"))
    _expect(_are(read.get("candidates", ()), str), "candidates is a tuple of texts", read.get("candidates"))
    return GoldAnswer(**{**read, "kind": AnswerKind(read["kind"])})


def _detail(task: Task) -> ImageArray | None:
    """The deciding region, cut from the source."""
    if task.region is None or not task.images:
        return None
    left, top, right, bottom = task.region
    cut = task.images[0].source[max(0, top) : bottom, max(0, left) : right]
    if not cut.size:
        return None
    height, width = cut.shape[:2]
    scale = min(1.0, math.sqrt(_MAX_DETAIL_PIXELS / (height * width)))
    if scale == 1.0:
        return np.ascontiguousarray(cut)
    size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
    return np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


def _are(values: Any, kind: type) -> bool:
    are_all = isinstance(values, tuple) and all(isinstance(one, kind) for one in values)
    return are_all and len(values) <= _MAX_ITEMS and not any(isinstance(one, bool) for one in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _expect(is_right: bool, expected: str, actually: object) -> None:
    if not is_right:
        raise ValueError(f"expected that {expected}, actually: {actually!r:.80}")
