"""What the readers of all forms share: images, texts, options and answers of a row."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metis_agents.curate.records import RowError, SampleImage
from metis_gym.dialects.contract import IMAGE_MARK, without_image_marks
from metis_gym.errors import ImageError
from metis_gym.filesets.rows import ImageFolder
from metis_gym.filesets.texts import shown
from metis_gym.images import path_below, read_regular_file
from metis_gym.turns import encodable

__all__ = ["MAX_IMAGE_BYTES", "gold_of", "load_image", "load_images", "options_in", "question_in", "text_of"]

MAX_IMAGE_BYTES = 64 << 20
"""Largest image file of a row that is read."""
MAX_TEXT_CHARS = 1 << 20
MAX_IMAGES = 64
_MAX_PATH = 1_024
_URI = re.compile(r"data:image/[\w.+-]{1,40};base64,")
_IMAGE_NAME = re.compile(r"[^\x00]+\.(?:png|jpe?g|bmp|gif|webp|tiff?)", re.IGNORECASE)
_OPTION_LINE = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]*(\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"(?<![\w(])\(([A-Z])\)[ \t]*([^()\n]+?)(?=[ \t,;]*(?:\([A-Z]\)|\n|\Z))")
_MARKS = (IMAGE_MARK, "<video>", "<audio>")
_ASKED = re.compile(r"(?:\A|\n)[ \t]*Question:[ \t]*")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_GOLDS = ("answer", "gold", "ground_truth", "gt", "solution")


def text_of(value: Any, what: str) -> str:
    """A text of a row; lone surrogates become `?`.

    Raises:
        RowError: It is no text, or too long.
    """
    if not isinstance(value, str):
        raise RowError("unreadable", f"{what} must be text, actually: {shown(value)}")
    if len(value) > MAX_TEXT_CHARS:
        raise RowError("unreadable", f"{what} has {len(value):,} characters; at most {MAX_TEXT_CHARS:,} are read")
    return encodable(value)


def load_images(values: Any, folder: ImageFolder) -> tuple[SampleImage, ...]:
    """The images of a column: a list, one image, or nothing.

    Raises:
        RowError: It is none of these, or there are too many.
    """
    if values is None or values == "":
        return ()
    if isinstance(values, str) and values.lstrip().startswith("["):
        values = _json(values, "images")
    if not isinstance(values, list | tuple):
        values = [values]
    if len(values) > MAX_IMAGES:
        raise RowError("unreadable", f"a row of {len(values):,} images; at most {MAX_IMAGES} are read")
    return tuple(load_image(value, folder) for value in values)


def load_image(value: Any, folder: ImageFolder) -> SampleImage:
    """An image from bytes, a path, base64, a data URI, `{"bytes", "path"}` or `{"url"}`; not decoded.

    What cannot be read comes back with its problem, which the stage `images` drops the sample for.

    Raises:
        RowError: It is nothing that could be an image.
    """
    name = ""
    if isinstance(value, Mapping):
        path = value.get("path")
        name = encodable(path[:_MAX_PATH]) if isinstance(path, str) else ""
        value = value.get("bytes") or value.get("url") or path
    if isinstance(value, bytes):
        return _checked(value, Path(name).name if name else "")
    if not isinstance(value, str) or not value:
        raise RowError("unreadable", f"an image is bytes, a path or base64, actually: {shown(value)}")
    uri = _URI.match(value)
    if uri or len(value) > _MAX_PATH or not _IMAGE_NAME.fullmatch(value):
        return _from_base64(value[uri.end() :] if uri else value)
    try:
        place = path_below(folder.root, value, allow_outside=folder.allow_outside)
        data = read_regular_file(place, max_bytes=MAX_IMAGE_BYTES, follow_link=False)
        return _checked(data, encodable(place.name))
    except ImageError as error:
        reason = "too_large" if "at most" in str(error) else "missing"
        return SampleImage(b"", reason, str(error), encodable(Path(value).name))


def _checked(data: bytes, name: str) -> SampleImage:
    if len(data) > MAX_IMAGE_BYTES:
        return SampleImage(b"", "too_large", f"{len(data):,} bytes; at most {MAX_IMAGE_BYTES:,} are read", name)
    return SampleImage(data, name=name)


def _from_base64(text: str) -> SampleImage:
    try:
        return _checked(base64.b64decode(text, validate=True), "")
    except (binascii.Error, ValueError) as error:
        return SampleImage(b"", "not_an_image", f"neither a path of an image nor base64: {error}", encodable(text[:80]))


def question_in(text: str) -> tuple[str, tuple[str, ...]]:
    r"""The question of a first user turn, and its options.

    >>> question_in("<image>\nimage_1: 9 x 9 pixels.\n\nQuestion: Which?\nA. red\nB. blue\nAnswer with the letter.")
    ('Which?', ('red', 'blue'))
    """
    asked = _ASKED.search(text)
    said = without_image_marks(text[asked.end() :] if asked else text).strip()
    options, start = options_in(said)
    return (said[:start].strip() if options else said), options


def options_in(text: str) -> tuple[tuple[str, ...], int]:
    """The options that a question lists, A, B, … in order, and where they begin; none if there are fewer than two.

    >>> options_in("Which one? (A) red, (B) dark blue")
    (('red', 'dark blue'), 11)
    """
    for pattern in (_OPTION_LINE, _INLINE):
        found = list(pattern.finditer(text))
        for first, match in enumerate(found):
            if match[1] != "A":
                continue
            run = [m for n, m in enumerate(found[first : first + 26]) if m[1] == chr(ord("A") + n)]
            letters = "".join(m[1] for m in run)
            if len(run) >= 2 and "ABCDEFGHIJKLMNOPQRSTUVWXYZ".startswith(letters):
                return tuple(m[2].strip(" \t,;") for m in run), match.start()
    return (), len(text)


def gold_of(row: Mapping[str, Any]) -> str:
    """The right answer that a row states under one of the usual names; empty if it states none.

    Raises:
        RowError: It is too long.
    """
    for name in _GOLDS:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        text = text_of(str(value), f"{name!r}")
        marked = _ANSWER.search(text)
        return (marked[1] if marked else text).strip()
    return ""


def listed(value: Any, what: str) -> Sequence[Any]:
    """A list, also out of JSON text.

    Raises:
        RowError: It is none.
    """
    if isinstance(value, str):
        value = _json(value, what)
    if not isinstance(value, list | tuple):
        raise RowError("unreadable", f"{what} must be a list, actually: {shown(value)}")
    return value


def without_marks(text: str) -> str:
    """The text without whatever verl's data sets take for the place of an image, a film or a sound.

    >>> without_marks("Which <video>thing<im<audio>age>?")
    'Which thing?'
    """
    if not any(mark in text for mark in _MARKS):
        return text
    kept: list[str] = []  # in time linear in the text, however deeply they are nested
    for character in text:
        kept.append(character)
        for mark in _MARKS if character == ">" else ():
            if "".join(kept[-len(mark) :]) == mark:
                del kept[-len(mark) :]
                break
    return "".join(kept)


def marks(text: str) -> int:
    """How many images a text has a place for."""
    return text.count(IMAGE_MARK)


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise RowError("unreadable", f"{what} is nested too deeply") from None
    except ValueError as error:
        raise RowError("unreadable", f"{what} is no JSON: {error!s:.200}") from None
