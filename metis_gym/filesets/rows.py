"""Rows of a file: what a row must hold to become a task, and how a broken one is named."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metis_gym.errors import ImageError, TaskDataError
from metis_gym.filesets.texts import clean, shown
from metis_gym.images import path_below
from metis_gym.records import Necessity

__all__ = ["LETTERS", "ImageFolder", "RawTask", "Rows", "as_text", "as_texts", "field", "raw_task"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The letters of options: a row may have that many."""
MAX_QUESTION_CHARS = 1 << 18
MAX_TEXT_CHARS = 1 << 14
"""Longest answer and option. A question and all its options stay within what an observation may hold."""
MAX_CANDIDATES = 1000
MAX_IMAGES = 64
_MAX_COLUMNS_NAMED = 20


@dataclass(frozen=True)
class ImageFolder:
    """Where the image files of a data set lie.

    Attributes:
        root: Where relative paths begin, and what paths may not lead out of.
        allow_outside: Let them.
    """

    root: Path
    allow_outside: bool = False


@dataclass(frozen=True, kw_only=True)
class RawTask:
    """A row before its images are decoded.

    Attributes:
        question: The question.
        answer: The right answer: the letter or the text of an option, or free text.
        images: Encoded images, or paths of image files.
        column: Where the images come from, for messages.
        options: The options; empty for an open question, or where the question lists them itself.
        candidates: Further right answers.
        ability: What the file says about it.
        necessity: What the file says about it.
        search_key: Key of this row in a prepared image-search cache; empty if there is none.
    """

    question: str
    answer: str
    images: tuple[bytes | Path, ...]
    column: str = "images"
    options: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    ability: str = ""
    necessity: Necessity = Necessity.UNKNOWN
    search_key: str = ""


class Rows(Protocol):
    """The rows of a file or data set, each read when it is needed."""

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
        raise TaskDataError(f"{place} has no {name!r}; it has: {column_names(row)}")
    value = row[name]
    if not isinstance(value, kind):
        raise TaskDataError(f"{place}: {name!r} must be {kind.__name__}, actually: {shown(value)}")
    return value


def column_names(names: Mapping[str, Any] | Sequence[str]) -> str:
    """The first names, for messages."""
    listed = [f"{name!r:.40}" for name in list(names)[:_MAX_COLUMNS_NAMED]]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more else "") or "nothing"


def as_text(value: Any, place: str, limit: int = MAX_TEXT_CHARS) -> str:
    """A text or a number as clean text.

    Raises:
        TaskDataError: It is neither, no finite number, or too long.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TaskDataError(f"{place} must be text or a number, actually: {shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise TaskDataError(f"{place} must be a finite number, actually: {value}")
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python writes
        raise TaskDataError(f"{place} is a number of too many digits: {shown(value)}") from None
    if len(text) > limit:
        raise TaskDataError(f"{place} has {len(text):,} characters; at most {limit:,} are read")
    return clean(text)


def as_texts(value: Any, place: str, limit: int = MAX_CANDIDATES) -> tuple[str, ...]:
    """Texts from a list, or from a JSON list inside a text; nothing from None. A text that is no JSON list is one item.

    Raises:
        TaskDataError: It is no list of texts and numbers, or has too many items.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = _listed(value, place)
    if not isinstance(value, list | tuple):
        raise TaskDataError(f"{place} must be a list of texts, actually: {shown(value)}")
    if len(value) > limit:
        raise TaskDataError(f"{place} has {len(value):,} items; at most {limit:,} are read")
    return tuple(as_text(item, f"{place}, item {number},") for number, item in enumerate(value))


def _listed(text: str, place: str) -> list[Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise TaskDataError(f"{place} is nested too deeply: {shown(text)}") from None
    except ValueError:
        return [text]
    return value if isinstance(value, list) else [text]


def raw_task(row: Mapping[str, Any], folder: ImageFolder, place: str) -> RawTask:
    """A row with the columns `question`, `answer`, `image` or `images`, and perhaps `options`, `candidates`, ….

    Args:
        row: Column → value.
        folder: Where image files lie.
        place: The row, for messages.

    Raises:
        TaskDataError: A column is missing or of a wrong kind.
    """
    given = row.get("answer")
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise TaskDataError(f"{place} must have an 'answer' that is text or a number, actually: {shown(given)}")
    answer = as_text(given, f"{place}: 'answer'")
    if not answer.strip():
        raise TaskDataError(f"{place}: 'answer' is empty")
    column = "images" if "images" in row else "image"
    images = row["images"] if "images" in row else [field(row, "image", object, place)]
    if not isinstance(images, list | tuple):
        raise TaskDataError(f"{place}: 'images' must be a list, actually: {shown(images)}")
    if len(images) > MAX_IMAGES:
        raise TaskDataError(f"{place}: 'images' has {len(images):,} items; at most {MAX_IMAGES} are read")
    question = field(row, "question", str, place)
    return RawTask(
        question=as_text(question, f"{place}: 'question'", MAX_QUESTION_CHARS).strip(),
        answer=answer,
        images=tuple(_image(image, folder, f"{place}: {column!r}") for image in images),
        column=column,
        options=as_texts(row.get("options"), f"{place}: 'options'", len(LETTERS)),
        candidates=as_texts(row.get("candidates"), f"{place}: 'candidates'"),
        ability=_optional_text(row.get("ability"), f"{place}: 'ability'"),
        necessity=_necessity(row.get("necessity"), place),
    )


def _image(image: Any, folder: ImageFolder, place: str) -> bytes | Path:
    """An image from bytes, from a path, or from the `{"bytes", "path"}` of the hub's data sets."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return image
    if isinstance(image, str) and image:
        try:
            return path_below(folder.root, image, allow_outside=folder.allow_outside)
        except ImageError as error:
            raise TaskDataError(f"{place}: {error}") from None
    raise TaskDataError(f"{place}: an image is bytes or a path, actually: {shown(image)}")


def _optional_text(value: Any, place: str) -> str:
    return "" if value is None else as_text(value, place)


def _necessity(value: Any, place: str) -> Necessity:
    if value is None:
        return Necessity.UNKNOWN
    if isinstance(value, str) and value in list(Necessity):
        return Necessity(value)
    raise TaskDataError(f"{place}: 'necessity' must be one of {', '.join(Necessity)}, actually: {shown(value)}")
