"""The inputs of a curation as a list of sources: files, folders of files, recorded runs, lists of files in YAML."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metis_agents.curate.formats.readers import FORMATS, Context, find_format, read_row
from metis_agents.curate.formats.runs import RunRows
from metis_agents.curate.formats.tables import SUFFIXES, Table, open_table
from metis_agents.curate.records import RowError, Sample
from metis_gym.errors import ConfigError, ImageError, MissingDependencyError, TaskDataError
from metis_gym.filesets.rows import ImageFolder
from metis_gym.filesets.source import existing, file_fingerprint
from metis_gym.images import path_below
from metis_gym.recording.files import EVENTS, HEADER
from metis_gym.turns import encodable

__all__ = ["Reading", "Source", "SourceRows", "find_sources"]

_MAX_LIST_BYTES = 1 << 20
_LISTS = (".yaml", ".yml")
RUN = "run"


@dataclass(frozen=True)
class Reading:
    """How inputs are read.

    Attributes:
        format: The form of rows; empty to find out.
        image_root: Where relative paths of images begin; empty for the file's folder.
        allow_outside: Follow paths of images that lead out of that folder.
        dialect: What model turns are written in; empty to find out by their tags.
    """

    format: str = ""
    image_root: str = ""
    allow_outside: bool = False
    dialect: str = ""


@dataclass(frozen=True)
class Source:
    """A file of rows, or a recorded run.

    Attributes:
        name: As it is called in verdicts and reports.
        path: Where it lies.
        form: The form of its rows, one of `FORMATS`, or "run".
        image_root: Where relative paths of images begin.
        reading: How it is read.
    """

    name: str
    path: Path
    form: str
    image_root: Path
    reading: Reading

    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change when the file does."""
        if self.form != RUN:
            return file_fingerprint(self.path)
        parts = [file_fingerprint(self.path / name) for name in (HEADER, EVENTS)]
        return f"{zlib.crc32(''.join(parts).encode()):08x}"


class SourceRows:
    """The rows of a source as samples, in this process.

    Args:
        source: Which.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._run = RunRows(source.path, source.name) if source.form == RUN else None
        self._table: Table | None = open_table(source.path) if source.form != RUN else None

    def __len__(self) -> int:
        return len(self._run) if self._run is not None else len(self._table or ())

    def sample(self, row: int) -> Sample:
        """A row as a sample.

        Raises:
            RowError: It is none.
        """
        if self._run is not None:
            return self._run.sample(row)
        source = self.source
        folder = ImageFolder(source.image_root, source.reading.allow_outside)
        try:
            columns: Mapping[str, Any] = self._table.row(row) if self._table is not None else {}
        except TaskDataError as error:
            raise RowError("unreadable", str(error)) from None
        return read_row(source.form, columns, Context(source.name, row, folder, source.reading.dialect))


def find_sources(inputs: Sequence[str], reading: Reading) -> tuple[Source, ...]:
    """The sources of inputs, in the order in which they were named: an earlier one has priority over a later one.

    Raises:
        ConfigError: There is no source, or two have the same name.
        TaskDataError: A file cannot be read, or its rows have no known form.
    """
    if reading.format and reading.format not in (*FORMATS, RUN):
        raise ConfigError(f"there is no format {reading.format!r}; expected one of {', '.join((*FORMATS, RUN))}")
    found = tuple(source for given in inputs for source in _sources(Path(given), reading))
    names = [source.name for source in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"the same input was given twice: {', '.join(twice)}")
    return found


def _sources(path: Path, reading: Reading) -> Iterator[Source]:
    if path.is_dir():
        yield from _in_folder(path, reading)
    elif path.suffix.lower() in _LISTS:
        yield from _listed(existing(path), reading)
    else:
        yield _file(existing(path), reading)


def _in_folder(path: Path, reading: Reading) -> Iterator[Source]:
    runs = sorted(header.parent for header in path.rglob(HEADER) if (header.parent / EVENTS).exists())
    if runs:
        yield from (Source(encodable(str(run)), run, RUN, run, reading) for run in runs)
        return
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise TaskDataError(f"{path} holds neither a recorded run nor files of rows ({', '.join(SUFFIXES)})")
    yield from (_file(file, reading) for file in files)


def _file(path: Path, reading: Reading, root: Path | None = None) -> Source:
    form = reading.format or find_format(open_table(path).columns(), str(path))
    base = Path(reading.image_root) if reading.image_root else root or path.parent
    if reading.image_root and not base.is_dir():
        raise ConfigError(f"--images must be a folder, actually: {reading.image_root!r}")
    return Source(encodable(str(path)), path, form, base, reading)


def _listed(path: Path, reading: Reading) -> Iterator[Source]:
    """The files that a list in YAML names, each with its folder of images, below the list's own folder."""
    for entry in _entries(path):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str):
            raise TaskDataError(f"{path} must list objects with path and data_folder, actually: {entry!r:.120}")
        try:
            file = path_below(path.parent, entry["path"], allow_outside=reading.allow_outside)
            root = path_below(path.parent, str(entry.get("data_folder") or "."), allow_outside=reading.allow_outside)
        except ImageError as error:
            raise TaskDataError(f"{path}: {error}") from None
        yield _file(existing(file), reading, root)


def _entries(path: Path) -> Sequence[Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError.of("PyYAML", "curate", "Reading a list of files") from error
    if path.stat().st_size > _MAX_LIST_BYTES:
        raise TaskDataError(f"{path} has more than {_MAX_LIST_BYTES:,} bytes")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, RecursionError) as error:
        raise TaskDataError(f"{path} is no list in YAML: {error!s:.200}") from None
    read = read.get("datasets", read) if isinstance(read, Mapping) else read
    if not isinstance(read, list):
        raise TaskDataError(f"{path} must hold a list of files, actually: {type(read).__name__}")
    return read
