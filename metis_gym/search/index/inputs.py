r"""What users build indexes from: passages in JSON lines, images in a folder.

`passages.jsonl`, one object in a line: `{"title": …, "text": …, "link": …}`, the link may be missing. Search-R1's form
`{"id": …, "contents": "title\ntext"}` is read as well.

A folder of images: every BMP, GIF, JPEG, PNG, TIFF and WebP file in it and below, in the order of their paths. The
file's name, with spaces for `_`, is the title, unless `metadata.jsonl` in the folder says otherwise:
`{"file_name": "ben.png", "title": "Big Ben", "link": …}`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from metis_gym.errors import ImageError, SearchIndexError
from metis_gym.images import decode_file
from metis_gym.records import Passage, TitledImage
from metis_gym.search.services.retriever import read_contents

__all__ = ["OnBroken", "read_images", "read_passages", "refuse"]

OnBroken = Callable[[str], None]
"""Told of a row or file that cannot be used; it is skipped unless this raises."""

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_METADATA = "metadata.jsonl"


def refuse(problem: str) -> None:
    """Stop at what cannot be used.

    Raises:
        SearchIndexError: Always; with the problem.
    """
    raise SearchIndexError(problem)


def read_passages(path: Path, on_broken: OnBroken = refuse) -> Iterator[Passage]:
    """The passages of a file of JSON lines, in order; empty lines do not count.

    Args:
        path: The file.
        on_broken: Told of lines that are no passage.

    Raises:
        SearchIndexError: The file cannot be read.
    """
    for place, row in _rows(path, on_broken):
        fields = _fields(row)
        wrong = [name for name, value in fields.items() if not isinstance(value, str)]
        if wrong:
            on_broken(f"{place}: expected the texts 'title', 'text' and, if there is one, 'link'; wrong: {wrong}")
        else:
            yield Passage(**{name: _clean(str(value)) for name, value in fields.items()})


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    r"""Title, text and link, whatever they are; of Search-R1's form, the first line is the title.

    >>> _fields({"contents": '"Big Ben"\nA bell.'})
    {'title': 'Big Ben', 'text': 'A bell.', 'link': ''}
    """
    title, text, contents = row.get("title"), row.get("text"), row.get("contents")
    if isinstance(contents, str) and text is None:
        read = read_contents(contents)
        title, text = title or read.title, read.text
    return {"title": title, "text": text, "link": row.get("link") or ""}


def read_images(folder: Path, on_broken: OnBroken = refuse) -> Iterator[TitledImage]:
    """The images of a folder, in the order of their paths.

    Args:
        folder: The folder.
        on_broken: Told of files that cannot be decoded, and of lines of `metadata.jsonl` without a file.

    Raises:
        SearchIndexError: The folder or its `metadata.jsonl` cannot be read.
    """
    if not folder.is_dir():
        raise SearchIndexError(f"there is no folder {str(folder)!r}")
    metadata = _metadata(folder, on_broken)
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES):
        name = path.relative_to(folder).as_posix()
        said = metadata.get(name, {})
        if not path.is_file():
            on_broken(f"{path}: it is no regular file")
            continue
        try:
            image = decode_file(path)
        except ImageError as error:
            on_broken(f"{path}: {error}")
            continue
        title = _clean(str(said.get("title") or path.stem.replace("_", " ")))
        yield TitledImage(title=title, image=image, link=_clean(str(said.get("link") or name)))


def _metadata(folder: Path, on_broken: OnBroken) -> dict[str, Mapping[str, Any]]:
    """File name → what `metadata.jsonl` says of it."""
    path = folder / _METADATA
    found: dict[str, Mapping[str, Any]] = {}
    for place, row in _rows(path, on_broken) if path.is_file() else ():
        name = row.get("file_name")
        if not isinstance(name, str) or not (folder / name).is_file():
            on_broken(f"{place}: 'file_name' must name a file of the folder, actually: {name!r:.200}")
        else:
            found[Path(name).as_posix()] = row
    return found


def _rows(path: Path, on_broken: OnBroken) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and content of every line that is a JSON object."""
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                row = _parsed(line)
                if isinstance(row, dict):
                    yield f"{path}, line {number}", row
                elif line.strip():
                    on_broken(f"{path}, line {number}: expected a JSON object, actually: {line[:80]!r}")
    except OSError as error:
        raise SearchIndexError(f"cannot read {path}: {type(error).__name__}: {error}") from error


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _clean(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot store."""
    return text.encode("utf-8", "replace").decode()
