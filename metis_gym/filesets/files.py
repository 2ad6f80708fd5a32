"""The files that tasksets are read from: `"parquet:train.parquet"`, `"jsonl:tasks.jsonl"`, `"folder:images"`.

Image files are read only below the folder of the file, or below `image_root`, where relative paths then begin. Absolute
paths, `..` and links that lead out of it make a row a broken one, unless `allow_outside=true`.
"""

from pathlib import Path

from metis_gym.errors import ConfigError, TaskDataError
from metis_gym.filesets.jsonl import JsonlRows
from metis_gym.filesets.parquet import ParquetRows
from metis_gym.filesets.rows import ImageFolder
from metis_gym.filesets.taskset import FileTaskset
from metis_gym.images import MAX_DECODED_PIXELS

__all__ = ["JsonlRows", "ParquetRows", "folder_taskset", "jsonl_taskset", "parquet_taskset"]

_FOLDER_INDEX = "metadata.jsonl"


def parquet_taskset(
    path: str,
    *,
    split: str = "",  # noqa: ARG001 — a file is its own split
    view_size: int = 448,
    on_error: str = "raise",
    image_root: str | None = None,
    allow_outside: bool = False,
    max_pixels: int = MAX_DECODED_PIXELS,
) -> FileTaskset:
    """The rows of a parquet file: verl's schema, or the columns `question`, `answer`, `image` or `images`."""
    rows = ParquetRows(Path(path), _images(path, image_root, allow_outside))
    return FileTaskset(rows, Path(path).name, view_size=view_size, on_error=on_error, max_pixels=max_pixels)


def jsonl_taskset(
    path: str,
    *,
    split: str = "",  # noqa: ARG001 — a file is its own split
    view_size: int = 448,
    on_error: str = "raise",
    image_root: str | None = None,
    allow_outside: bool = False,
    max_pixels: int = MAX_DECODED_PIXELS,
) -> FileTaskset:
    """The lines of a JSONL file; paths of images are relative to it."""
    rows = JsonlRows(Path(path), _images(path, image_root, allow_outside))
    return FileTaskset(rows, Path(path).name, view_size=view_size, on_error=on_error, max_pixels=max_pixels)


def folder_taskset(
    path: str,
    *,
    split: str = "",  # noqa: ARG001 — a folder is its own split
    view_size: int = 448,
    on_error: str = "raise",
    image_root: str | None = None,
    allow_outside: bool = False,
    max_pixels: int = MAX_DECODED_PIXELS,
) -> FileTaskset:
    """A folder of images with a `metadata.jsonl` whose lines have `file_name`, `question` and `answer`."""
    index = Path(path) / _FOLDER_INDEX
    if Path(path).is_dir() and not index.exists():
        raise TaskDataError(f"{path} has no {_FOLDER_INDEX}, which names each image's file_name, question and answer")
    rows = JsonlRows(index, _images(str(index), image_root, allow_outside))
    name = Path(path).resolve().name
    return FileTaskset(rows, name, view_size=view_size, on_error=on_error, max_pixels=max_pixels)


def _images(path: str, image_root: str | None, allow_outside: bool) -> ImageFolder:
    root = Path(path).parent if image_root is None else Path(str(image_root))
    if image_root is not None and not root.is_dir():
        raise ConfigError(f"image_root must be a folder, actually: {image_root!r}")
    if not isinstance(allow_outside, bool):
        raise ConfigError(f"allow_outside must be true or false, actually: {allow_outside!r}")
    return ImageFolder(root, allow_outside)
