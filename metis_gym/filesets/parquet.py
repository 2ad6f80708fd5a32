"""Parquet files, read within bounds, and tasks in them: verl's schema, or plain columns."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metis_gym.errors import MissingDependencyError, TaskDataError
from metis_gym.filesets.parquet_pages import unpacked_sizes
from metis_gym.filesets.rows import ImageFolder, RawTask, as_text, column_names, field, raw_task
from metis_gym.filesets.source import existing, file_fingerprint

__all__ = ["MAX_GROUP_BYTES", "ParquetFile", "ParquetRows", "byte_columns"]

MAX_GROUP_BYTES = 1 << 32
"""Largest row group that is read, by the memory that it may take: 4 GiB."""

_VERL = ("prompt", "images", "reward_model", "ability", "extra_info")
_PLAIN = ("question", "answer", "image", "images", "options", "candidates", "ability", "necessity")
_ROWS_PER_BYTE = 8  # of rows that hold a question each; a file that says more was made to keep its reader busy


class ParquetFile:
    """A parquet file, row by row. Safe for threads.

    One row group is held in memory at a time, for each choice of columns. Nothing is decoded before it is known what
    that may take.

    Args:
        path: The file.

    Attributes:
        columns: The names of its columns.
        byte_columns: Those that hold bytes, such as encoded images.

    Raises:
        TaskDataError: It is not there, or is no parquet file.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise MissingDependencyError.of("pyarrow", "data", "Reading a parquet file") from error
        self.path = existing(path)
        try:
            self._file = parquet.ParquetFile(path)
            self.columns = tuple(self._file.schema_arrow.names)
            self.byte_columns = byte_columns(self._file.schema_arrow)
            metadata = self._file.metadata
            groups = [metadata.row_group(group) for group in range(self._file.num_row_groups)]
            sizes, self._bytes = [group.num_rows for group in groups], [group.total_byte_size for group in groups]
            self._lengths = [max(0, self._file.schema.column(leaf).length) for leaf in range(metadata.num_columns)]
        except Exception as error:  # noqa: BLE001 — the boundary of pyarrow: what damaged files make it raise is no closed set
            raise TaskDataError(f"{path} is no parquet file: {type(error).__name__}: {error!s:.300}") from None
        if any(size < 0 for size in sizes) or sum(sizes) > _ROWS_PER_BYTE * path.stat().st_size:
            raise TaskDataError(f"{path} is no parquet file: it says that it has {sum(sizes):,} rows")
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self._held: dict[tuple[str, ...], tuple[int, Any]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def row(self, index: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some columns of a row.

        Raises:
            TaskDataError: They cannot be read, or would take too much memory.
        """
        group = int(np.searchsorted(self._ends, index, side="right"))
        place, first = f"row {index} of {self.path.name}", int(self._ends[group - 1]) if group else 0
        table = self._table(group, tuple(columns))
        if isinstance(table, str):
            raise TaskDataError(f"{place} cannot be read: row group {group}: {table}")
        if index - first >= table.num_rows:
            raise TaskDataError(f"{place} cannot be read: row group {group} has {table.num_rows:,} rows only")
        return {name: _value(table, name, index - first, place) for name in table.column_names}

    def fingerprint(self) -> str:
        """A digest of the file, which task ids carry."""
        return file_fingerprint(self.path)

    def _table(self, group: int, columns: tuple[str, ...]) -> Any:
        """A row group, or what is wrong with it."""
        with self._lock:
            held, table = self._held.get(columns, (-1, None))
            if held != group:
                table = self._read_group(group, columns)
                self._held[columns] = group, table
            return table

    def _read_group(self, group: int, columns: tuple[str, ...]) -> Any:
        if not 0 <= self._bytes[group] <= MAX_GROUP_BYTES:
            return f"it has {self._bytes[group]:,} bytes; at most {MAX_GROUP_BYTES:,} are read"
        metadata, wanted = self._file.metadata, list(columns)
        try:
            with self.path.open("rb") as file:
                sizes = unpacked_sizes(file.fileno(), metadata.row_group(group), self._lengths, wanted)
            if sum(size.plain for size in sizes) <= MAX_GROUP_BYTES:
                return self._file.read_row_group(group, columns=wanted)
            if (least := sum(size.with_dictionary for size in sizes)) > MAX_GROUP_BYTES:
                return f"it may unpack to {least:,} bytes; at most {MAX_GROUP_BYTES:,} are read"
            repeated = [size.path for size in sizes if size.with_dictionary < size.plain]
            with type(self._file)(self.path, metadata=metadata, read_dictionary=repeated) as indexed:
                return indexed.read_row_group(group, columns=wanted)
        except Exception as error:  # noqa: BLE001 — the boundary of pyarrow
            return f"{type(error).__name__}: {error!s:.300}"


def byte_columns(schema: Any) -> tuple[str, ...]:
    """The names of the columns of an Arrow schema that hold bytes, alone, in a list or in a struct."""
    return tuple(field.name for field in schema if _holds_bytes(field.type))


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return is_bytes or any(map(_holds_bytes, inner))


class ParquetRows:
    """The rows of a parquet file as tasks, in verl's schema or in plain columns.

    Args:
        path: The file.
        images: Where image files lie; None for the file's own folder.

    Raises:
        TaskDataError: It is not there, is no parquet file, or has other columns.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, path: Path, images: ImageFolder | None = None) -> None:
        self.path, self._images = path, images or ImageFolder(path.parent)
        self._file = ParquetFile(path)
        self._is_verl = {"prompt", "reward_model"} <= set(self._file.columns)
        self._columns = _used(list(self._file.columns), self._is_verl, path)

    def __len__(self) -> int:
        return len(self._file)

    def read(self, row: int) -> RawTask:
        """Read a row as a task that is not checked yet."""
        place = f"row {row} of {self.path.name}"
        columns = self._file.row(row, self._columns)
        return _verl_task(columns, self._images, place) if self._is_verl else raw_task(columns, self._images, place)

    def fingerprint(self) -> str:
        """A digest of the file, which task ids carry."""
        return self._file.fingerprint()


def _used(columns: list[str], is_verl: bool, path: Path) -> list[str]:
    """The columns that tasks are made of.

    Raises:
        TaskDataError: They are not there, or one is there twice.
    """
    if not is_verl and not {"question", "answer"} <= set(columns):
        raise TaskDataError(
            f"{path} has the columns {column_names(columns)}; expected prompt, images and reward_model, "
            "or question, answer and image or images"
        )
    used = [name for name in columns if name in (_VERL if is_verl else _PLAIN)]
    if len(set(used)) < len(used):
        raise TaskDataError(f"{path} has a column twice: {column_names(used)}")
    return used


def _value(table: Any, name: str, index: int, place: str) -> Any:
    try:
        return table.column(name)[index].as_py()
    except Exception as error:  # noqa: BLE001 — the boundary of pyarrow: bytes that are no text, dates that are no dates
        raise TaskDataError(f"{place}: {name!r} cannot be read: {type(error).__name__}: {error!s:.200}") from None


def _verl_task(row: Mapping[str, Any], folder: ImageFolder, place: str) -> RawTask:
    """A row in the schema of verl-style trainers, as Metis's training data has it (arXiv 2604.08545)."""
    graded = field(row, "reward_model", dict, place)
    extra = row.get("extra_info")
    if extra is not None and not isinstance(extra, Mapping):
        field(row, "extra_info", dict, place)
    extra = extra or {}
    columns = {
        "question": extra.get("question") or _user_turn(row, place),
        "answer": field(graded, "ground_truth", object, f"{place}, 'reward_model'"),
        "images": row.get("images") or [],
        "candidates": graded.get("candidate_answers"),
        "ability": row.get("ability"),
    }
    task = raw_task(columns, folder, place)
    key = extra.get("index")
    return task if key is None else replace(task, search_key=as_text(key, f"{place}, 'extra_info': 'index'"))


def _user_turn(row: Mapping[str, Any], place: str) -> str:
    """The last user turn of the prompt, without the space around the marks that stand for images."""
    turns = [turn for turn in field(row, "prompt", list, place) if isinstance(turn, Mapping)]
    said = [turn.get("content") for turn in turns if turn.get("role") == "user"]
    if not said or not isinstance(said[-1], str):
        raise TaskDataError(f"{place}: 'prompt' has no user turn with text")
    return str(said[-1]).replace("<image>", "").strip()
