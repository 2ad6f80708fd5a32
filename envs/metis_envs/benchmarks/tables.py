"""The files that a benchmark comes in, each as a table of rows that are read when they are needed."""

import csv
import io
import json
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from metis_gym.errors import TaskDataError
from metis_gym.filesets.parquet import ParquetFile, byte_columns
from metis_gym.filesets.source import existing, file_fingerprint

__all__ = ["JsonTable", "ParquetTable", "SavedTable", "Table", "TsvTable"]

_FIELD_BYTES = min(sys.maxsize, 1 << 30)
_MAX_JSON_BYTES = 1 << 30
_HEAVY = ("image", "images", "bytes", "decoded_image", "image_path")
"""Columns that hold images in one form or another; so does every column of bytes."""
_MAX_INDEX = 64


class Table(Protocol):
    """Rows with named columns.

    Attributes:
        columns: The names.
        folder: Where relative paths of image files begin.
        place: What messages call it.
    """

    columns: tuple[str, ...]
    folder: Path
    place: str

    def __len__(self) -> int: ...

    def row(self, index: int) -> Mapping[str, Any]:
        """The row of an index, as it stands in the file.

        Raises:
            TaskDataError: It cannot be read.
        """
        ...

    def light_row(self, index: int) -> Mapping[str, Any]:
        """The same without values that are stored as bytes, where these can be left unread."""
        ...

    def fingerprint(self) -> str:
        """A few characters that change when the data do."""
        ...


class JsonTable:
    """Objects in a JSON file: a list (perhaps the only one in an object), an object of objects, or one on each line.

    The keys of an object of objects become the column `key`.

    Args:
        path: The file.
        is_single: The file holds one object, which is the only row.

    Raises:
        TaskDataError: It cannot be read, or holds something else.
    """

    def __init__(self, path: Path, *, is_single: bool = False) -> None:
        self.path, self.folder, self.place = existing(path), path.parent, path.name
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise TaskDataError(f"{path} has {path.stat().st_size:,} bytes; at most {_MAX_JSON_BYTES:,} are read")
        try:
            text = path.read_text(encoding="utf-8-sig")
            lines = [line for line in text.split("\n") if line.strip()]
            content = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise TaskDataError(f"{path} is no JSON file: {error!s:.200}") from None
        if is_single:
            content = [content]
        if isinstance(content, Mapping):
            lists = [value for value in content.values() if isinstance(value, list)]
            keyed = [{"key": key, **row} for key, row in content.items() if isinstance(row, Mapping)]
            content = lists[0] if len(lists) == 1 and not keyed else keyed
        if not isinstance(content, list) or not content or not all(isinstance(row, Mapping) for row in content):
            raise TaskDataError(f"{path} must hold a list of objects, or an object of objects")
        self._rows: list[Mapping[str, Any]] = content
        self.columns = tuple(dict.fromkeys(name for row in content for name in row))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Mapping[str, Any]:
        """The object of an index."""
        return self._rows[index]

    light_row = row

    def fingerprint(self) -> str:
        """A digest of the file."""
        return file_fingerprint(self.path)


class TsvTable:
    """Tab-separated values. The file is gone through once: what is not an image stays in memory, images stay in it.

    Args:
        path: The file.

    Attributes:
        is_closed: Does it end with a line end? If not, its last value may have been cut off.

    Raises:
        TaskDataError: It cannot be read, has no rows, or a row has more or fewer values than there are columns.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder, self.place = existing(path), path.parent, path.name
        self._starts, self._light = array("q"), list[dict[str, str]]()
        csv.field_size_limit(max(csv.field_size_limit(), _FIELD_BYTES))
        try:
            self._find_rows()
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise TaskDataError(f"{path} cannot be read as tab-separated values: {error!s:.200}") from None
        if not len(self):
            raise TaskDataError(f"{path} has no rows")

    def __len__(self) -> int:
        return len(self._light)

    def row(self, index: int) -> Mapping[str, Any]:
        """The row of an index; all values are texts."""
        row, seen = self._read(index), {index}
        while "image" in row and "index" in row:
            named = row["image"].strip()
            other = self._row_of_index.get(named) if 0 < len(named) <= _MAX_INDEX else None
            if other is None or seen == {other}:
                break
            if other in seen:
                raise TaskDataError(f"{self.place}: row {index} takes its image from rows that take it from each other")
            seen.add(other)
            row = {**row, "image": self._read(other)["image"]}
        return row

    def light_row(self, index: int) -> Mapping[str, Any]:
        """The row without its images."""
        return self._light[index]

    def fingerprint(self) -> str:
        """A digest of the file."""
        return file_fingerprint(self.path)

    def _read(self, index: int) -> dict[str, str]:
        start, end = self._starts[index], self._starts[index + 1]
        with self.path.open("rb") as stream:
            stream.seek(start)
            text = stream.read(end - start).decode()
        values = next(csv.reader(io.StringIO(text, newline=""), delimiter="\t"), [])
        if len(values) != len(self.columns):
            raise TaskDataError(f"row {index} of {self.place} is another one than at first: the file was written anew")
        return dict(zip(self.columns, values, strict=True))

    def _find_rows(self) -> None:
        position, line = 0, b""

        def lines() -> Iterator[str]:
            nonlocal position, line
            with self.path.open("rb") as stream:
                for line in stream:
                    position += len(line)
                    yield line.decode("utf-8-sig" if position == len(line) else "utf-8")

        reader = csv.reader(lines(), delimiter="\t")
        self.columns = tuple(next(reader, ()))
        self._starts.append(position)
        self._row_of_index: dict[str, int] = {}
        kept = [(number, name) for number, name in enumerate(self.columns) if name not in _HEAVY]
        for number, values in enumerate(reader):
            if len(values) != len(self.columns):
                raise TaskDataError(
                    f"row {number} of {self.place} has {len(values)} values for {len(self.columns)} columns"
                    + (": it is half-downloaded, or no tab-separated values" if self._is_over(position) else "")
                )
            row = {name: values[place] for place, name in kept}
            self._light.append(row)
            if "index" in row:
                self._row_of_index.setdefault(row["index"], number)
            self._starts.append(position)
        self.is_closed = line.endswith(b"\n")

    def _is_over(self, position: int) -> bool:
        return position >= self.path.stat().st_size


class ParquetTable:
    """The rows of one or more parquet files; one row group is held in memory at a time.

    Args:
        paths: The files, in order.
        folder: Where relative paths of image files begin.

    Raises:
        TaskDataError: One cannot be read, or they have different columns.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self._files, self.folder = [ParquetFile(path) for path in paths], folder
        self.place = paths[0].name if len(paths) == 1 else folder.name
        self.columns = self._files[0].columns
        for path, file in zip(paths, self._files, strict=True):
            if set(file.columns) != set(self.columns):
                differing = ", ".join(map(repr, sorted(set(file.columns) ^ set(self.columns))))
                raise TaskDataError(f"{paths[0]} and {path} have different columns: only one of them has {differing}")
        heavy = {*_HEAVY, *self._files[0].byte_columns}
        self._light = [name for name in self.columns if name not in heavy]
        self._starts = np.cumsum([0, *map(len, self._files)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def row(self, index: int) -> Mapping[str, Any]:
        """The row of an index."""
        return self._row(index, self.columns)

    def light_row(self, index: int) -> Mapping[str, Any]:
        """The row without its images."""
        return self._row(index, self._light)

    def _row(self, index: int, columns: Sequence[str]) -> Mapping[str, Any]:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._files[number].row(index - int(self._starts[number]), columns)

    def fingerprint(self) -> str:
        """A digest of the files."""
        found = [file.fingerprint() for file in self._files]
        return found[0] if len(found) == 1 else f"{zlib.crc32(''.join(found).encode()):08x}"


class SavedTable:
    """One split of a data set that the `datasets` library holds.

    Args:
        rows: The split.
        folder: Where relative paths of image files begin.
        place: What messages call it.
    """

    def __init__(self, rows: Any, folder: Path, place: str) -> None:
        self._rows = rows.with_format("arrow")  # as stored: images stay bytes
        heavy = {*_HEAVY, *byte_columns(rows.features.arrow_schema)}
        light = [name for name in rows.column_names if name not in heavy]
        self._light = rows.select_columns(light).with_format("arrow")
        self.folder, self.place = folder, place
        self.columns = tuple(rows.column_names)
        self._fingerprint = str(rows._fingerprint)[:8]

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Mapping[str, Any]:
        """The row of an index."""
        return self._read(self._rows, index)

    def light_row(self, index: int) -> Mapping[str, Any]:
        """The row without its images."""
        return self._read(self._light, index)

    def _read(self, rows: Any, index: int) -> Mapping[str, Any]:
        try:
            row: Mapping[str, Any] = rows[index].to_pylist()[0]
        except Exception as error:  # noqa: BLE001 — the boundary of datasets
            raise TaskDataError(
                f"row {index} of {self.place} cannot be read: {type(error).__name__}: {error!s:.200}"
            ) from None
        return row

    def fingerprint(self) -> str:
        """The library's fingerprint of the split."""
        return self._fingerprint
