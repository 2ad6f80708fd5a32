"""What all files of tasks have in common: being there, and a fingerprint."""

import zlib
from pathlib import Path

from metis_gym.errors import TaskDataError

__all__ = ["existing", "file_fingerprint"]

_FINGERPRINTED = 1 << 20


def existing(path: Path) -> Path:
    """The path, if there is a regular file.

    Raises:
        TaskDataError: There is none.
    """
    try:
        is_there = path.is_file()
    except (OSError, ValueError) as error:
        raise TaskDataError(f"{path} cannot be read: {error}") from None
    if not is_there:
        raise TaskDataError(f"there is no file {path}")
    return path


def file_fingerprint(path: Path) -> str:
    """Eight hexadecimal digits of a file's size, beginning and end: cheap, and different for different files.

    Raises:
        TaskDataError: It cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(_FINGERPRINTED)
            stream.seek(max(0, size - _FINGERPRINTED))
            tail = stream.read(_FINGERPRINTED)
    except OSError as error:
        raise TaskDataError(f"{path} cannot be read: {error}") from None
    return f"{zlib.crc32(tail, zlib.crc32(head, size & 0xFFFFFFFF)):08x}"
