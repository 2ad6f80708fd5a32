"""The images of a row, in each form in which files hold them: bytes, base64, `{"bytes", "path"}`, or a path."""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metis_gym.errors import ImageError, TaskDataError
from metis_gym.filesets.texts import shown
from metis_gym.images import MAX_DECODED_PIXELS, decode, decode_file, path_below
from metis_gym.records import ImageArray

__all__ = ["VIEW_PIXELS", "decoded"]

VIEW_PIXELS = 16_384 * 28 * 28
"""Largest image that a model is shown whole, in pixels; larger ones are shrunk to it."""

_MAX_PATH = 1024
_IMAGE_FOLDERS = ("", "images", "image", "data", "data/images")
_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def decoded(
    value: Any, folder: Path, place: str, fetch: Callable[[str], Path] | None = None, root: Path | None = None
) -> ImageArray:
    """An image from what a row holds.

    Args:
        value: Bytes, base64 (also as a data URL), a path, or `{"bytes", "path"}`.
        folder: Where relative paths begin.
        place: The row, for messages.
        fetch: Downloads the file of a path, where the rows are not in a folder.
        root: What paths may not lead out of; None for the folder.

    Raises:
        TaskDataError: There is no image, or it cannot be decoded.
    """
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    try:
        if isinstance(value, str):
            value = _from_base64(value) or value
        if isinstance(value, bytes | bytearray | memoryview):
            return decode(bytes(value), max_pixels=MAX_DECODED_PIXELS, name=place)
        if isinstance(value, str) and value and fetch is not None:
            return decode_file(fetch(value), max_pixels=MAX_DECODED_PIXELS, name=place)
        if isinstance(value, str) and value:
            file = path_below(root or folder, _found(value, folder, root or folder))
            return decode_file(file, max_pixels=MAX_DECODED_PIXELS, name=place, follow_link=False)
    except (ImageError, binascii.Error) as error:
        raise TaskDataError(f"{place}: {error}") from None
    raise TaskDataError(f"{place}: an image is bytes, base64 or a path, actually: {shown(value)}")


def _found(name: str, folder: Path, root: Path) -> str:
    """Where a file lies, relative to the root: below one of the folders in which clones keep images."""
    places = (start / inner / name for start in (folder, root) for inner in _IMAGE_FOLDERS)
    try:
        found = next((place for place in places if place.is_file()), folder / name)
    except (OSError, ValueError):  # no name of a file
        return name
    return os.path.relpath(found, root)


def _from_base64(text: str) -> bytes | None:
    """What a text says in base64; None if it is a path. A short text is base64 only if an image comes out."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    if len(body) > _MAX_PATH:
        return base64.b64decode(body, validate=False)
    try:
        found = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if found.startswith(_HEADS) else None
