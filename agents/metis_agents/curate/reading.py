"""Curated trajectories as conversations to imitate: what `metis-gym train` reads of a curation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metis_agents.curate.formats.parts import marks
from metis_gym.errors import ImageError, TaskDataError
from metis_gym.filesets.parquet import ParquetFile
from metis_gym.filesets.texts import shown
from metis_gym.images import decode
from metis_gym.records import ImageArray, Message, Role

__all__ = ["curated_conversations", "is_curated"]

_COLUMNS = ("messages", "images")


def is_curated(path: Path) -> bool:
    """Is this a parquet file, or a folder that a curation has written?"""
    if path.is_dir():
        return any(path.glob("data-[0-9]*.parquet"))
    return path.suffix.lower() in (".parquet", ".pq")


def curated_conversations(path: Path) -> Iterator[tuple[Message, ...]]:
    """The trajectories of a curation's folder, or of one parquet file with the columns `messages` and `images`.

    Raises:
        TaskDataError: A row that cannot be used; the message names it.
    """
    files = sorted(path.glob("data-[0-9]*.parquet")) if path.is_dir() else [path]
    for name in files:
        table = ParquetFile(name)
        if not set(_COLUMNS) <= set(table.columns):
            raise TaskDataError(f"{name} has no trajectories: expected the columns {' and '.join(_COLUMNS)}")
        for row in range(len(table)):
            yield _conversation(table.row(row, _COLUMNS), f"row {row} of {name}")


def _conversation(row: Mapping[str, Any], place: str) -> tuple[Message, ...]:
    try:
        left = [_image(image, place) for image in row["images"] or ()]
        said = []
        for message in row["messages"]:
            text, count = str(message["content"]), marks(str(message["content"]))
            taken, left = left[:count], left[count:]
            if len(taken) < count:
                raise TaskDataError(f"{place} has more <image> than images")
            said.append(Message(role=Role(message["role"]), text=text, images=tuple(taken)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, TaskDataError):
            raise
        raise TaskDataError(f"{place} is no trajectory: {type(error).__name__}: {error!s:.200}") from None
    if left:
        raise TaskDataError(f"{place} has {len(left)} images without an <image>")
    return tuple(said)


def _image(image: Any, place: str) -> ImageArray:
    data = image.get("bytes") if isinstance(image, Mapping) else None
    if not isinstance(data, bytes):
        raise TaskDataError(f"{place}: an image is an object with bytes, actually: {shown(image)}")
    try:
        return decode(data, name=place)
    except ImageError as error:
        raise TaskDataError(str(error)) from None
