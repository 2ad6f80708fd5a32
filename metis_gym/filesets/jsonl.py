"""Tasks in a file of JSON lines: one object a line, read when it is needed."""

import json
from array import array
from pathlib import Path
from typing import Any

from metis_gym.errors import TaskDataError
from metis_gym.filesets.rows import ImageFolder, RawTask, raw_task
from metis_gym.filesets.source import existing, file_fingerprint

__all__ = ["MAX_LINE_BYTES", "JsonlRows"]

MAX_LINE_BYTES = 1 << 26
"""Longest line that is read: 64 MiB."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PIECE = 1 << 20


class JsonlRows:
    """The lines of a JSONL file; blank ones are not counted.

    Args:
        path: The file.
        images: Where image files lie; None for the file's own folder.

    Raises:
        TaskDataError: It is not there or cannot be read.
    """

    def __init__(self, path: Path, images: ImageFolder | None = None) -> None:
        self.path = existing(path)
        self._images = images or ImageFolder(path.parent)
        self._starts, self._lengths = array("q"), array("q")
        try:
            self._find_lines()
        except OSError as error:
            raise TaskDataError(f"cannot read {path}: {error}") from None

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, row: int) -> RawTask:
        """Parse a line as a task that is not checked yet."""
        columns = self.columns(row)
        if "file_name" in columns:
            columns = {"image": columns["file_name"], **columns}
        return raw_task(columns, self._images, f"row {row} of {self.path.name}")

    def columns(self, row: int) -> dict[str, Any]:
        """The object of a line.

        Raises:
            TaskDataError: The line is too long, or no JSON object.
        """
        place = f"row {row} of {self.path.name}"
        return _parsed(self._line(row, place), place)

    def fingerprint(self) -> str:
        """A digest of the file, which task ids carry."""
        return file_fingerprint(self.path)

    def _find_lines(self) -> None:
        """Where each line begins, without holding one in memory."""
        start = length = 0
        is_blank = True
        with self.path.open("rb") as stream:
            while piece := stream.readline(_PIECE):
                length += len(piece)
                is_blank = is_blank and piece.isspace()
                if piece.endswith(b"\n"):
                    self._keep(start, length, is_blank)
                    start, length, is_blank = start + length, 0, True
        self._keep(start, length, is_blank)

    def _keep(self, start: int, length: int, is_blank: bool) -> None:
        if not is_blank:
            self._starts.append(start)
            self._lengths.append(length)

    def _line(self, row: int, place: str) -> bytes:
        start, length = self._starts[row], self._lengths[row]
        if length > MAX_LINE_BYTES:
            raise TaskDataError(f"{place} has {length:,} bytes; at most {MAX_LINE_BYTES:,} are read")
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                line = stream.read(length)
        except OSError as error:
            raise TaskDataError(f"{place} cannot be read: {error}") from None
        return line.removeprefix(_BYTE_ORDER_MARK) if start == 0 else line


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    try:
        columns = json.loads(line.decode(), object_pairs_hook=_without_repeats)
    except RecursionError:
        raise TaskDataError(f"{place} is nested too deeply") from None
    except ValueError as error:
        raise TaskDataError(f"{place} is not valid JSON: {error!s:.200}") from None
    if not isinstance(columns, dict):
        raise TaskDataError(f"{place} must be a JSON object, actually: {type(columns).__name__}")
    return columns


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two answers to one question, none is the right one."""
    columns: dict[str, Any] = {}
    for key, value in pairs:
        if key in columns:
            raise ValueError(f"the key {key!r:.80} stands twice in one object")
        columns[key] = value
    return columns
