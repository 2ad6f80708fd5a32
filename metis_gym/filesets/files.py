"""The files that tasksets are read from: `"parquet:train.parquet"`, `"jsonl:tasks.jsonl"`, `"folder:pictures"`."""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metis_gym.errors import MissingDependencyError, TaskDataError
from metis_gym.filesets.pictures import MAX_PICTURE_PIXELS
from metis_gym.filesets.rows import RawTask, field, raw_task
from metis_gym.filesets.taskset import FileTaskset

__all__ = ["JsonlRows", "ParquetRows", "folder_taskset", "jsonl_taskset", "parquet_taskset"]

_FOLDER_INDEX = "metadata.jsonl"
_FINGERPRINTED = 1 << 20


def parquet_taskset(
    path: str,
    *,
    split: str = "",  # noqa: ARG001 — a file is its own split
    view_size: int = 448,
    on_error: str = "raise",
    max_pixels: int = MAX_PICTURE_PIXELS,
) -> FileTaskset:
    """The rows of a parquet file: verl's schema, or the columns `question`, `answer`, `image` or `images`."""
    rows = ParquetRows(Path(path))
    return FileTaskset(rows, Path(path).name, view_size=view_size, on_error=on_error, max_pixels=max_pixels)


def jsonl_taskset(
    path: str,
    *,
    split: str = "",  # noqa: ARG001 — a file is its own split
    view_size: int = 448,
    on_error: str = "raise",
    max_pixels: int = MAX_PICTURE_PIXELS,
) -> FileTaskset:
    """The lines of a JSONL file; paths of pictures are relative to it."""
    rows = JsonlRows(Path(path))
    return FileTaskset(rows, Path(path).name, view_size=view_size, on_error=on_error, max_pixels=max_pixels)


def folder_taskset(
    path: str,
    *,
    split: str = "",  # noqa: ARG001 — a folder is its own split
    view_size: int = 448,
    on_error: str = "raise",
    max_pixels: int = MAX_PICTURE_PIXELS,
) -> FileTaskset:
    """A folder of pictures with a `metadata.jsonl` whose lines have `file_name`, `question` and `answer`."""
    index = Path(path) / _FOLDER_INDEX
    if Path(path).is_dir() and not index.exists():
        raise TaskDataError(f"{path} has no {_FOLDER_INDEX}, which names each picture's file_name, question and answer")
    return FileTaskset(
        JsonlRows(index), Path(path).resolve().name, view_size=view_size, on_error=on_error, max_pixels=max_pixels
    )


class JsonlRows:
    """The lines of a JSONL file.

    Args:
        path: The file.

    Raises:
        TaskDataError: It is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = _existing(path)
        with path.open("rb") as stream:
            self._starts = [0]
            for line in stream:
                self._starts.append(self._starts[-1] + len(line))
        self._rows = [start for start, end in zip(self._starts, self._starts[1:], strict=False) if end - start > 1]

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, row: int) -> RawTask:
        """Parse a line; empty lines are not counted."""
        place = f"row {row} of {self.path.name}"
        with self.path.open("rb") as stream:
            stream.seek(self._rows[row])
            line = stream.readline()
        try:
            columns = json.loads(line.decode())
        except ValueError as error:
            raise TaskDataError(f"{place} is not valid JSON: {error}") from None
        if not isinstance(columns, dict):
            raise TaskDataError(f"{place} must be a JSON object, actually: {type(columns).__name__}")
        if "file_name" in columns:
            columns = {"image": columns["file_name"], **columns}
        return raw_task(columns, self.path.parent, place)

    def fingerprint(self) -> str:
        """Of the file."""
        return file_fingerprint(self.path)


class ParquetRows:
    """The rows of a parquet file. One row group is held in memory at a time.

    Args:
        path: The file.

    Raises:
        TaskDataError: It is not there, is no parquet file, or has other columns.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise MissingDependencyError.of("pyarrow", "data", "Reading a parquet file") from error
        self.path = _existing(path)
        try:
            self._file = parquet.ParquetFile(path)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise TaskDataError(f"{path} is no parquet file: {error}") from None
        columns = self._file.schema_arrow.names
        self._is_verl = {"prompt", "reward_model"} <= set(columns)
        if not self._is_verl and not {"question", "answer"} <= set(columns):
            raise TaskDataError(
                f"{path} has the columns {', '.join(columns)}; expected prompt, images and reward_model, "
                "or question, answer and image or images"
            )
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._place = [(group, index) for group, size in enumerate(sizes) for index in range(size)]
        self._held: tuple[int, Sequence[Mapping[str, Any]]] = (-1, ())

    def __len__(self) -> int:
        return len(self._place)

    def read(self, row: int) -> RawTask:
        """Read a row."""
        group, index = self._place[row]
        if self._held[0] != group:
            self._held = (group, self._file.read_row_group(group).to_pylist())
        place = f"row {row} of {self.path.name}"
        columns = self._held[1][index]
        return (
            _verl_task(columns, self.path.parent, place)
            if self._is_verl
            else raw_task(columns, self.path.parent, place)
        )

    def fingerprint(self) -> str:
        """Of the file."""
        return file_fingerprint(self.path)


def _verl_task(row: Mapping[str, Any], folder: Path, place: str) -> RawTask:
    """A row in the schema of verl-style trainers, as Metis's training data has it (arXiv 2604.08545)."""
    graded = field(row, "reward_model", dict, place)
    extra = row.get("extra_info") or {}
    columns = {
        "question": extra.get("question") or _user_turn(row, place),
        "answer": field(graded, "ground_truth", object, f"{place}, 'reward_model'"),
        "images": row.get("images") or [],
        "candidates": graded.get("candidate_answers"),
        "ability": row.get("ability"),
    }
    task = raw_task(columns, folder, place)
    key = extra.get("index")
    return task if key is None else RawTask(**{**vars(task), "search_key": str(key)})


def _user_turn(row: Mapping[str, Any], place: str) -> str:
    """The last user turn of the prompt, without the marks that stand for pictures."""
    turns = [turn for turn in field(row, "prompt", list, place) if turn.get("role") == "user"]
    if not turns or not isinstance(turns[-1].get("content"), str):
        raise TaskDataError(f"{place}: 'prompt' has no user turn with text")
    return str(turns[-1]["content"]).replace("<image>", "").strip()


def file_fingerprint(path: Path) -> str:
    """Eight hexadecimal digits of a file's size, beginning and end: cheap, and different for different files."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_FINGERPRINTED)
        stream.seek(max(0, size - _FINGERPRINTED))
        tail = stream.read()
    return f"{zlib.crc32(tail, zlib.crc32(head, size & 0xFFFFFFFF)):08x}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise TaskDataError(f"there is no file {path}")
    return path
