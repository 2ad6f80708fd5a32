"""Rows of a file: what a row must hold to become a task, and how a broken one is named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metis_gym.errors import TaskDataError
from metis_gym.records import Necessity

__all__ = ["RawTask", "Rows", "as_texts", "field", "raw_task"]


@dataclass(frozen=True, kw_only=True)
class RawTask:
    """A row before its pictures are decoded.

    Attributes:
        question: The question.
        answer: The right answer: the letter or the text of an option, or free text.
        pictures: Encoded pictures, or paths of picture files.
        options: The options; empty for an open question, or where the question lists them itself.
        candidates: Further right answers.
        ability: What the file says about it.
        necessity: What the file says about it.
        search_key: Key of this row in a prepared image-search cache; empty if there is none.
    """

    question: str
    answer: str
    pictures: tuple[bytes | Path, ...]
    options: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    ability: str = ""
    necessity: Necessity = Necessity.UNKNOWN
    search_key: str = ""


class Rows(Protocol):
    """A file of rows."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> RawTask:
        """Read a row, from 0 on.

        Raises:
            TaskDataError: The row is broken; the message says how.
        """
        ...

    def fingerprint(self) -> str:
        """A few characters that change when the file does."""
        ...


def field(row: Mapping[str, Any], name: str, kind: type, place: str) -> Any:
    """A value that must be there and of a kind.

    Raises:
        TaskDataError: It is not; the message names the place, the column and the columns that there are.
    """
    if name not in row:
        raise TaskDataError(f"{place} has no {name!r}; it has: {', '.join(map(repr, row)) or 'nothing'}")
    value = row[name]
    if not isinstance(value, kind):
        raise TaskDataError(
            f"{place}: {name!r} must be {kind.__name__}, actually: {type(value).__name__} {value!r:.80}"
        )
    return value


def as_texts(value: Any, place: str) -> tuple[str, ...]:
    """Texts from a list, or from a JSON list inside a text; nothing from None.

    Raises:
        TaskDataError: It is neither.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or not all(isinstance(v, str | int | float) for v in value)
    ):
        raise TaskDataError(f"{place} must be a list of texts, actually: {value!r:.80}")
    return tuple(str(item) for item in value)


def raw_task(row: Mapping[str, Any], folder: Path, place: str) -> RawTask:
    """A row with the columns `question`, `answer`, `image` or `images`, and perhaps `options`, `candidates`, ….

    Args:
        row: Column → value.
        folder: What paths of pictures are relative to.
        place: The row, for messages.

    Raises:
        TaskDataError: A column is missing or of a wrong kind.
    """
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise TaskDataError(f"{place} must have an 'answer' that is text or a number, actually: {answer!r:.80}")
    images = row["images"] if "images" in row else [field(row, "image", object, place)]
    if not isinstance(images, Sequence) or isinstance(images, str | bytes):
        raise TaskDataError(f"{place}: 'images' must be a list, actually: {type(images).__name__}")
    return RawTask(
        question=field(row, "question", str, place),
        answer=str(answer),
        pictures=tuple(_picture(image, folder, place) for image in images),
        options=as_texts(row.get("options"), f"{place}: 'options'"),
        candidates=as_texts(row.get("candidates"), f"{place}: 'candidates'"),
        ability=str(row.get("ability") or ""),
        necessity=_necessity(row.get("necessity"), place),
    )


def _picture(image: Any, folder: Path, place: str) -> bytes | Path:
    """A picture from bytes, from a path, or from the `{"bytes", "path"}` of the hub's data sets."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return image
    if isinstance(image, str) and image:
        return folder / image
    raise TaskDataError(f"{place}: a picture is bytes or a path, actually: {type(image).__name__} {image!r:.80}")


def _necessity(value: Any, place: str) -> Necessity:
    if value is None:
        return Necessity.UNKNOWN
    try:
        return Necessity(value)
    except ValueError:
        valid = ", ".join(Necessity)
        raise TaskDataError(f"{place}: 'necessity' must be one of {valid}, actually: {value!r:.80}") from None
