"""Files of rows, read one row at a time and within bounds: parquet, JSON lines, a JSON list."""

import json
import mmap
import re
from array import array
from pathlib import Path
from typing import Any, Protocol

from metis_gym.errors import ConfigError, TaskDataError
from metis_gym.filesets.jsonl import MAX_LINE_BYTES, JsonlRows
from metis_gym.filesets.parquet import ParquetFile
from metis_gym.filesets.source import existing

__all__ = ["SUFFIXES", "Table", "open_table"]

SUFFIXES = (".parquet", ".pq", ".jsonl", ".json")
"""Names of files that hold rows end so."""
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)


class Table(Protocol):
    """The rows of a file."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> dict[str, Any]:
        """Column → value.

        Raises:
            TaskDataError: The row cannot be read.
        """
        ...

    def columns(self) -> tuple[str, ...]:
        """The names of the columns, or the keys of the first object that can be read."""
        ...


def open_table(path: Path) -> Table:
    """The rows of a file, by how its name ends.

    Raises:
        ConfigError: The name ends otherwise.
        TaskDataError: It is not there or cannot be read.
        MissingDependencyError: It is a parquet file, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _Parquet(path)
    if suffix == ".jsonl":
        return _JsonLines(path)
    if suffix == ".json":
        return _JsonList(path)
    raise ConfigError(f"{path} holds no rows that are read: expected a name that ends in {', '.join(SUFFIXES)}")


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._file = ParquetFile(path)
        names = self._file.columns
        if len(set(names)) < len(names):
            raise TaskDataError(f"{path} has a column twice")

    def __len__(self) -> int:
        return len(self._file)

    def row(self, index: int) -> dict[str, Any]:
        return self._file.row(index, self._file.columns)

    def columns(self) -> tuple[str, ...]:
        return self._file.columns


class _Objects:
    """Rows that are JSON objects."""

    def __len__(self) -> int:
        raise NotImplementedError

    def row(self, index: int) -> dict[str, Any]:
        raise NotImplementedError

    def columns(self) -> tuple[str, ...]:
        for index in range(min(len(self), 100)):
            try:
                return tuple(self.row(index))
            except TaskDataError:
                continue
        return ()


class _JsonLines(_Objects):
    def __init__(self, path: Path) -> None:
        self._rows = JsonlRows(path)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> dict[str, Any]:
        return self._rows.columns(index)


class _JsonList(_Objects):
    """The objects of a JSON list. The file is gone through once to find them; none is kept."""

    def __init__(self, path: Path) -> None:
        self._path = existing(path)
        self._starts, self._ends = array("q"), array("q")
        try:
            if path.stat().st_size:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    self._find(data)
        except (OSError, ValueError) as error:
            raise TaskDataError(f"cannot read {path}: {error}") from None
        if not len(self):
            raise TaskDataError(f"{path} is no JSON list of objects; for one object a line, call it .jsonl")

    def __len__(self) -> int:
        return len(self._ends)

    def row(self, index: int) -> dict[str, Any]:
        place = f"row {index} of {self._path.name}"
        start, end = self._starts[index], self._ends[index]
        if end - start > MAX_LINE_BYTES:
            raise TaskDataError(f"{place} has {end - start:,} bytes; at most {MAX_LINE_BYTES:,} are read")
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                read = json.loads(file.read(end - start).decode())
        except RecursionError:
            raise TaskDataError(f"{place} is nested too deeply") from None
        except (OSError, ValueError) as error:
            raise TaskDataError(f"{place} cannot be read: {error!s:.200}") from None
        if not isinstance(read, dict):
            raise TaskDataError(f"{place} must be a JSON object, actually: {type(read).__name__}")
        return read

    def _find(self, data: mmap.mmap) -> None:
        """Where each element of the outermost list begins and ends; plain numbers and words are passed over."""
        depth = 0
        for token in _TOKEN.finditer(data):
            sign = token.group()
            if sign in b"{[" and len(sign) == 1:
                depth += 1
                if depth == 1 and sign != b"[":
                    return
                if depth == 2:
                    self._starts.append(token.start())
            elif sign in b"}]" and len(sign) == 1:
                depth -= 1
                if depth == 1:
                    self._ends.append(token.end())
                elif depth == 0:
                    return
            elif depth == 1:
                self._starts.append(token.start())
                self._ends.append(token.end())
