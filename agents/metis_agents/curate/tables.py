"""Parquet files of curated samples: a new file at a gigabyte, row groups that neither writer nor reader finds large."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from metis_gym.errors import MissingDependencyError
from metis_gym.storage import replacing

__all__ = ["prompt_schema", "task_schema", "trajectory_schema", "write_tables"]

MAX_TABLE_BYTES = 1 << 30
_GROUP_ROWS, _GROUP_BYTES = 64, 64 << 20

Row = Mapping[str, Any]


def write_tables(out: Path, groups: Iterable[tuple[Any, Iterable[Row]]]) -> list[str]:
    """Write `data-00000.parquet` and so on.

    Args:
        out: The folder. Files of these names that are left from before are removed.
        groups: Rows with the schema that they share; rows of another schema begin a new file.

    Returns:
        The names of the files.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        OSError: The disk is full.
    """
    written: list[str] = []
    for schema, rows in groups:
        left = iter(rows)
        while (first := next(left, None)) is not None:
            name = f"data-{len(written):05d}.parquet"
            with replacing(out / name) as part:
                _write_table(part, schema, chain([first], left))
            written.append(name)
    for stale in set(out.glob("data-*.parquet")) - {out / name for name in written}:
        stale.unlink()
    return written


def _write_table(path: Path, schema: Any, rows: Iterator[Row]) -> None:
    """One file: as many of the rows as it may hold."""
    pa, parquet = _pyarrow()
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(list(group), schema=schema))
            if path.stat().st_size >= MAX_TABLE_BYTES:
                return


def _groups(rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
    held: list[Row] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(len(image["bytes"] or b"") for image in row.get("images") or () if isinstance(image, Mapping))
        if len(held) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def trajectory_schema() -> Any:
    """The columns of curated trajectories."""
    pa, _ = _pyarrow()
    text = pa.string()
    message = pa.struct([("role", text), ("content", text)])
    names = dict.fromkeys(("id", "question", "answer", "gold", "source"), text)
    columns = {"messages": pa.list_(message), "images": pa.list_(_image(pa)), **names}
    return pa.schema([*columns.items(), ("options", pa.list_(text)), ("row", pa.int64()), ("repaired", pa.bool_())])


def task_schema() -> Any:
    """The columns of a file of tasks, as the taskset `parquet` reads it."""
    pa, _ = _pyarrow()
    texts = pa.list_(pa.string())
    columns = {"question": pa.string(), "answer": pa.string(), "options": texts, "candidates": texts}
    return pa.schema([*columns.items(), ("images", pa.list_(_image(pa)))])


def prompt_schema(path: Path | None = None) -> Any:
    """The columns of curated prompts, in verl's schema.

    Args:
        path: A parquet file in that schema whose rows are written back as they were; None for one's own columns.
    """
    pa, parquet = _pyarrow()
    text = pa.string()
    noted = pa.field("metis_gym", _notes(pa))
    if path is not None:
        return _with_notes(pa, parquet.read_schema(path), noted)
    graded = pa.struct([("ground_truth", text), ("style", text), ("candidate_answers", pa.list_(text))])
    extra = pa.struct([("index", text), ("question", text), ("answer", text), noted])
    prompt = pa.list_(pa.struct([("role", text), ("content", text)]))
    columns = {"data_source": text, "prompt": prompt, "images": pa.list_(_image(pa)), "ability": text}
    return pa.schema([*columns.items(), ("reward_model", graded), ("extra_info", extra)])


def _with_notes(pa: Any, schema: Any, noted: Any) -> Any:
    """The schema of a file, with what was measured in `extra_info`."""
    place = schema.get_field_index("extra_info")
    if place < 0:
        return schema.append(pa.field("extra_info", pa.struct([noted]))).remove_metadata()
    before = schema.field(place).type
    kept = [field for field in before if field.name != noted.name] if pa.types.is_struct(before) else []
    return schema.set(place, pa.field("extra_info", pa.struct([*kept, noted]))).remove_metadata()


def _notes(pa: Any) -> Any:
    counts = [(name, pa.int64()) for name in ("right", "rollouts", "direct_right", "direct_rollouts")]
    means = [(name, pa.float64()) for name in ("tool_calls_mean", "tool_benefit")]
    return pa.struct([*counts, *means, ("policy", pa.string()), ("stage_versions", pa.string()), ("id", pa.string())])


def _image(pa: Any) -> Any:
    return pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError.of("pyarrow", "data", "Writing curated data") from error
    return pa, parquet
