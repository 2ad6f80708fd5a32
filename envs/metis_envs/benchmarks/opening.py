"""Opens whatever lies at a path, or on the hub, as a table of rows.

| what lies at the path | how it is known |
|---|---|
| parquet files | the suffix, or a folder that holds some; those of the benchmark's split, where they name one |
| tab-separated values with images in base64 | the suffix `.tsv` |
| JSON: a list of objects, or an object of objects | the suffix `.json` |
| JSON lines | the suffix `.jsonl` |
| a data set that `datasets` saved | a folder with `dataset_info.json` or `dataset_dict.json` |
| a clone of the benchmark's own repository | a folder in which the benchmark knows a file by name |
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metis_envs.benchmarks.tables import JsonTable, ParquetTable, SavedTable, Table, TsvTable
from metis_gym.errors import MissingDependencyError, TaskDataError
from metis_gym.filesets.rows import column_names
from metis_gym.filesets.source import existing

__all__ = ["hub_table", "open_saved", "open_table", "parquet_files", "plain_name"]

_SAVED = ("dataset_info.json", "dataset_dict.json")
_PARQUET = (".parquet", ".pq")
_READERS: Mapping[str, type[JsonTable] | type[TsvTable]] = {
    ".json": JsonTable,
    ".jsonl": JsonTable,
    ".tsv": TsvTable,
}
_SHARD = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]+)?$")
_POINTER = b"version https://git-lfs"


def open_table(path: Path, *, names: Sequence[str], repository_files: Sequence[str] = ()) -> Table:
    """Open whatever lies at a path.

    Args:
        path: A file, or a folder.
        names: What the split may be called, where there are several; the benchmark's own names last.
        repository_files: Files by which the benchmark's own repository is known, the best first, relative to it.

    Raises:
        TaskDataError: Nothing that is known lies there.
    """
    if path.is_dir():
        return _open_folder(path, names, repository_files)
    if path.suffix.lower() not in (*_PARQUET, *_READERS):
        existing(path)
        raise TaskDataError(f"{path} is neither .parquet nor .tsv, .json or .jsonl, and no folder")
    _refuse_pointer(path)
    if path.suffix.lower() in _PARQUET:
        return ParquetTable([path], path.parent)
    return _READERS[path.suffix.lower()](path)


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
    return _HubTable(rows, name, revision)


def open_saved(path: Path, names: Sequence[str]) -> Table:
    """A split of a data set that `datasets` saved; the only one, where it has one.

    Raises:
        TaskDataError: It cannot be loaded, or has several splits and none of these names.
        MissingDependencyError: `datasets` is not installed.
    """
    datasets = _datasets()
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:  # noqa: BLE001 — the boundary of datasets
        raise TaskDataError(f"{path} is no saved data set: {type(error).__name__}: {error!s:.200}") from None
    if isinstance(loaded, Mapping):
        found = _named(loaded, names) or (list(loaded) if len(loaded) == 1 else [])
        if not found:
            raise TaskDataError(f"{path} has no split {names[0]!r} but {', '.join(map(repr, loaded))}")
        loaded = loaded[found[0]]
    return SavedTable(loaded, path, path.name)


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files in a folder and those below it, hidden ones apart, in the order of their numbers."""
    found = (path for suffix in _PARQUET for path in folder.rglob(f"*{suffix}"))
    shown = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return sorted(shown, key=lambda path: [_natural(part) for part in path.relative_to(folder).parts])


def plain_name(name: str) -> str:
    """A name without what spellings differ in.

    >>> plain_name("hr_bench_4k") == plain_name("HRBench-4K")
    True
    """
    return re.sub(r"[\W_]+", "", name).lower()


class _HubTable(SavedTable):
    """A split of the hub. A row's image may be the path of a file beside the rows, which is then downloaded."""

    def __init__(self, rows: Any, name: str, revision: str | None) -> None:
        super().__init__(rows, Path(), name)
        self._name, self._revision = name, revision

    def fetch(self, path: str) -> Path:
        """Download a file of the data set, or find it in the cache.

        Raises:
            TaskDataError: It cannot be had.
        """
        import huggingface_hub

        try:
            return Path(huggingface_hub.hf_hub_download(self._name, path, repo_type="dataset", revision=self._revision))
        except Exception as error:  # noqa: BLE001 — the boundary of huggingface_hub
            raise TaskDataError(
                f"cannot download {path!r:.200} of {self._name!r}: {type(error).__name__}: {error!s:.200}"
            ) from None


def _open_folder(path: Path, names: Sequence[str], repository_files: Sequence[str]) -> Table:
    if any((path / name).exists() for name in _SAVED):
        return open_saved(path, names)
    files = parquet_files(path)
    if files:
        return _open_parquet(path, files, names)
    for name in repository_files:
        if (path / name).is_file():
            return open_table(path / name, names=names)
    tables = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in _READERS}
    wanted = _named(tables, names) or (list(tables) if len(tables) == 1 else [])
    if wanted:
        return open_table(tables[wanted[0]], names=names)
    known = ", ".join((*repository_files, "*.parquet", "one *.tsv, *.json or *.jsonl", *_SAVED))
    raise TaskDataError(
        f"{path} holds none of: {known}. It holds: {column_names(sorted(p.name for p in path.iterdir()))}"
    )


def _open_parquet(folder: Path, files: Sequence[Path], names: Sequence[str]) -> Table:
    """The files of the split, or all of them where they are of one."""
    for file in files:
        _refuse_pointer(file)
    of_set: dict[str, list[Path]] = {}
    for file in files:
        of_set.setdefault(_set_of(file.relative_to(folder), names), []).append(file)
    wanted = _named(of_set, names) or (list(of_set) if len(of_set) == 1 else [])
    if not wanted:
        raise TaskDataError(
            f"{folder} holds parquet files of several sets and none called {names[0]!r}: "
            f"{column_names(list(of_set))}. Give one of them as path="
        )
    chosen = of_set[wanted[0]]
    _refuse_lack_of_shards(chosen)
    return ParquetTable(chosen, folder)


def _set_of(path: Path, names: Sequence[str]) -> str:
    """What a file is a part of: a name of the split in its path, or its own name without the number of a part."""
    parts = [_SHARD.sub("", path.stem), *reversed(path.parts[:-1])]
    known = {plain_name(name) for name in names}
    return next((part for part in parts if plain_name(part) in known), re.sub(r"\d+", "", parts[0]))


def _refuse_lack_of_shards(files: Sequence[Path]) -> None:
    shards: dict[int, set[int]] = {}
    for file in files:
        found = _SHARD.search(file.stem)
        if found:
            shards.setdefault(int(found["count"]), set()).add(int(found["number"]))
    for count, numbers in shards.items():
        lacking = sorted(set(range(count)) - numbers)
        if lacking:
            raise TaskDataError(
                f"{files[0].parent} is half-downloaded: of {count} parquet files, these are not there: "
                f"{', '.join(map(str, lacking[:5]))}"
            )


def _refuse_pointer(path: Path) -> None:
    """Refuse what a clone without git-lfs holds in place of a file."""
    with existing(path).open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise TaskDataError(f"{path} is only a pointer of git-lfs: run `git lfs pull` in its folder")


def _named(found: Iterable[str], names: Sequence[str]) -> list[str]:
    """Those of some names that are one of those wanted, the best first."""
    plain = {plain_name(name): name for name in found}
    return [plain[plain_name(name)] for name in names if plain_name(name) in plain]


def _natural(part: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", part)]


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError.of("datasets", "data", "Loading a data set of the hub") from error
    return datasets
