"""The files of a recording: where they lie, how large they may be, and how one is opened that somebody else made."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from metis_gym.errors import ImageError, RecordingError
from metis_gym.images import decode
from metis_gym.images.transforms import fingerprint
from metis_gym.records import ImageArray

__all__ = [
    "EVENTS",
    "FORMAT",
    "HEADER",
    "IMAGES",
    "MAX_HEADER_BYTES",
    "MAX_IMAGE_PIXELS",
    "MAX_LINE_BYTES",
    "TASKS",
    "opened",
    "read_image",
    "read_whole",
    "saying",
]

FORMAT = 1
HEADER, EVENTS, TASKS, IMAGES = "run.json", "events.jsonl", "tasks.jsonl", "images"

MAX_HEADER_BYTES = 1 << 20
MAX_LINE_BYTES = 8 << 20
"""Longest line of events: one event without its images. Its objects take up to some twenty times as much memory."""
MAX_IMAGE_PIXELS = 1 << 26
"""Largest image: 67 megapixels, 201 MB decoded. Views and returned images are far smaller."""
_MAX_IMAGE_BYTES = 256 << 20
_PNG = b"\x89PNG\r\n\x1a\n"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; a link, a pipe or a device in its place is refused, and none of them is waited for.

    Raises:
        RecordingError: It is not a regular file.
        OSError: It is not there, or cannot be read.
    """
    if path.is_symlink() or (path.parent.name == IMAGES and path.parent.is_symlink()):
        raise RecordingError(f"{path} is behind a symbolic link; a recording holds its files itself")
    with open(os.open(path, _FLAGS | getattr(os, "O_CLOEXEC", 0)), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise RecordingError(f"{path} is not a regular file")
        yield stream


def read_whole(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        RecordingError: It is larger than that, or not a regular file.
        OSError: It cannot be read.
    """
    with opened(path) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise RecordingError(f"{path} has more than {max_bytes:,} bytes")
    return data


def read_image(folder: Path, name: object) -> ImageArray:
    """The image of a fingerprint.

    Args:
        folder: The recording's.
        name: The fingerprint, as it stood in an event.

    Raises:
        RecordingError: It is no fingerprint, or its file is not there, damaged, too large or another image.
    """
    if not isinstance(name, str) or not _FINGERPRINT.fullmatch(name):
        raise RecordingError(f"an image is named by 64 hexadecimal digits, actually: {name!r:.80}")
    path = folder / IMAGES / f"{name}.png"
    image = _decoded(read_whole(path, _MAX_IMAGE_BYTES), path)
    if fingerprint(image) != name:
        raise RecordingError(f"image {name} of {folder} is damaged")
    return image


@contextlib.contextmanager
def saying(what: str) -> Iterator[None]:
    """Turn errors of files and their contents into a RecordingError that says what could not be done."""
    try:
        yield
    except RecordingError as error:
        raise RecordingError(f"{what}: {error}") from error
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RecordingError(f"{what}: {type(error).__name__}: {error}") from error


def _decoded(data: bytes, path: Path) -> ImageArray:
    """Decode a PNG. The one place where a recording's images are decoded."""
    if not data.startswith(_PNG):
        raise RecordingError(f"{path} is damaged: it is no PNG file")
    try:
        return decode(data, max_pixels=MAX_IMAGE_PIXELS, name=str(path))
    except ImageError as error:
        raise RecordingError(f"{path} is damaged: {error}") from error
