"""The files that a benchmark comes in, each as a table of rows that are read when they are needed.

| what lies at the path | how it is known |
|---|---|
| parquet files | the suffix, or a folder that holds some |
| tab-separated values with images in base64 | the suffix `.tsv` |
| JSON: a list of objects, or an object of objects | the suffix `.json` |
| JSON lines | the suffix `.jsonl` |
| a data set that `datasets` saved | a folder with `dataset_info.json` or `dataset_dict.json` |
| a clone of the benchmark's own repository | a folder in which the benchmark knows a file by name |
"""

import csv
import json
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from metis_gym.errors import MissingDependencyError, TaskDataError
from metis_gym.filesets.parquet import ParquetFile
from metis_gym.filesets.rows import column_names
from metis_gym.filesets.source import existing, file_fingerprint

__all__ = ["JsonTable", "ParquetTable", "SavedTable", "Table", "TsvTable", "hub_table", "open_table"]

_FIELD_BYTES = min(sys.maxsize, 1 << 30)
_MAX_JSON_BYTES = 1 << 30
_HEAVY = ("image", "bytes", "decoded_image")
_MAX_INDEX = 64
_SAVED = ("dataset_info.json", "dataset_dict.json")


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
    """Objects in a JSON file: a list, or an object whose keys become the column `key`; or one object on each line.

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
            lines = [line for line in text.splitlines() if line.strip()]
            content = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise TaskDataError(f"{path} is no JSON file: {error!s:.200}") from None
        if is_single:
            content = [content]
        if isinstance(content, Mapping):
            content = [{"key": key, **row} for key, row in content.items() if isinstance(row, Mapping)]
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
    """Tab-separated values. The file is gone through once to find its rows; none is kept in memory.

    Args:
        path: The file.

    Raises:
        TaskDataError: It cannot be read, or has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder, self.place = existing(path), path.parent, path.name
        self._starts = array("q")
        csv.field_size_limit(max(csv.field_size_limit(), _FIELD_BYTES))
        try:
            self._find_rows()
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise TaskDataError(f"{path} cannot be read as tab-separated values: {error!s:.200}") from None
        if not len(self):
            raise TaskDataError(f"{path} has no rows")

    def __len__(self) -> int:
        return max(0, len(self._starts) - 1)

    def row(self, index: int) -> Mapping[str, Any]:
        """The row of an index; all values are texts."""
        start, end = self._starts[index], self._starts[index + 1]
        with self.path.open("rb") as stream:
            stream.seek(start)
            text = stream.read(end - start).decode()
        values = next(csv.reader(text.splitlines(keepends=True), delimiter="\t"))
        if len(values) != len(self.columns):
            raise TaskDataError(
                f"row {index} of {self.place} has {len(values)} values for {len(self.columns)} columns; is it whole?"
            )
        row = dict(zip(self.columns, values, strict=True))
        return self._with_image(row) if "image" in row and "index" in row else row

    light_row = row

    def fingerprint(self) -> str:
        """A digest of the file."""
        return file_fingerprint(self.path)

    def _find_rows(self) -> None:
        position = 0

        def lines() -> Iterator[str]:
            nonlocal position
            with self.path.open("rb") as stream:
                for line in stream:
                    position += len(line)
                    yield line.decode("utf-8-sig" if position == len(line) else "utf-8")

        reader = csv.reader(lines(), delimiter="\t")
        self.columns = tuple(next(reader, ()))
        self._starts.append(position)
        self._row_of_index: dict[str, int] = {}
        number = self.columns.index("index") if "index" in self.columns else None
        for values in reader:
            if number is not None and number < len(values):
                self._row_of_index.setdefault(values[number], len(self._starts) - 1)
            self._starts.append(position)

    def _with_image(self, row: dict[str, str]) -> dict[str, str]:
        """The row with the image of another one, where it names that one's index instead of holding an image."""
        named = row["image"].strip()
        if len(named) > _MAX_INDEX or not named or named == row["index"]:
            return row
        if named not in self._row_of_index:
            raise TaskDataError(f"{self.place}: row {row['index']!r} takes the image of {named!r}, which is not there")
        other = self.row(self._row_of_index[named])
        return {**row, "image": other["image"]}


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
        schemas = {file.columns for file in self._files}
        if len(schemas) != 1:
            raise TaskDataError(f"the parquet files of {folder} have different columns")
        self.columns = schemas.pop()
        self._light = [name for name in self.columns if name not in _HEAVY]
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
        light = [name for name in rows.column_names if name not in _HEAVY]
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


def open_table(path: Path, *, split: str, repository_files: Sequence[str]) -> Table:
    """Open whatever lies at a path.

    Args:
        path: A file, or a folder.
        split: Name of the split, where a saved data set has several.
        repository_files: Files by which the benchmark's own repository is known, the best first, relative to it.

    Raises:
        TaskDataError: Nothing that is known lies there.
    """
    if path.is_dir():
        return _open_folder(path, split, repository_files)
    readers: Mapping[str, type[JsonTable] | type[TsvTable]] = {
        ".json": JsonTable,
        ".jsonl": JsonTable,
        ".tsv": TsvTable,
    }
    if path.suffix in (".parquet", ".pq"):
        return ParquetTable([path], path.parent)
    if path.suffix in readers:
        return readers[path.suffix](path)
    existing(path)
    raise TaskDataError(f"{path} is neither .parquet nor .tsv, .json or .jsonl, and no folder")


def hub_table(name: str, *, subset: str | None, split: str, revision: str | None) -> Table:
    """A split of a data set of the hub, through the `datasets` library.

    Raises:
        TaskDataError: It cannot be loaded.
        MissingDependencyError: `datasets` is not installed.
    """
    datasets = _datasets()
    try:
        rows = datasets.load_dataset(name, subset, split=split, revision=revision)
    except Exception as error:  # the boundary of datasets
        raise TaskDataError(
            f"cannot load the split {split!r} of {name!r}: {type(error).__name__}: {error!s:.300}. If there is no way "
            "to the hub, download it elsewhere and give path=…"
        ) from error
    return SavedTable(rows, Path(datasets.config.HF_CACHE_HOME), name)


def _open_folder(path: Path, split: str, repository_files: Sequence[str]) -> Table:
    if any((path / name).exists() for name in _SAVED):
        return _open_saved(path, split)
    for name in repository_files:
        if (path / name).is_file():
            return open_table(path / name, split=split, repository_files=())
    files = sorted(path.rglob("*.parquet"))
    wanted = [file for file in files if file.name.startswith(f"{split}-")] or files
    if wanted:
        return ParquetTable(wanted, path)
    tables = sorted(path.glob("*.tsv"))
    if len(tables) == 1:
        return TsvTable(tables[0])
    known = ", ".join((*repository_files, "*.parquet", "one *.tsv", *_SAVED))
    raise TaskDataError(
        f"{path} holds none of: {known}. It holds: {column_names(sorted(p.name for p in path.iterdir()))}"
    )


def _open_saved(path: Path, split: str) -> Table:
    datasets = _datasets()
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:  # noqa: BLE001 — the boundary of datasets
        raise TaskDataError(f"{path} is no saved data set: {type(error).__name__}: {error!s:.200}") from None
    if isinstance(loaded, Mapping):
        if split not in loaded:
            raise TaskDataError(f"{path} has no split {split!r} but {', '.join(loaded)}")
        loaded = loaded[split]
    return SavedTable(loaded, path, path.name)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError.of("datasets", "data", "Loading a data set of the hub") from error
    return datasets
