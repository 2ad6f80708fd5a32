"""Answers of engines, kept on disk: a rerun costs nothing and gives the same.

An answer is named by (engine, its parameters, the corpus's fingerprint, query, number of hits); keys to services are no
part of it. One file for each answer: written aside, then linked into place, so that readers find whole files only, and
of several processes that ask at once all return what the first has written. A damaged file is dropped and the engine
asked again. Failures are never kept.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from metis_gym.errors import ConfigError, SearchError
from metis_gym.images import decode
from metis_gym.images.transforms import fingerprint as image_fingerprint
from metis_gym.images.transforms import to_png
from metis_gym.records import ImageArray, Passage, TitledImage
from metis_gym.search.contract import ImageEngine, ImageHit, ImageQuery, TextEngine, TextHit
from metis_gym.search.index.files import read_regular
from metis_gym.search.snippets import clean

__all__ = ["CachedImageEngine", "CachedTextEngine", "DiskCache"]

_FORMAT = 1
_TRIM_EVERY = 64
_MAX_FILE = 100_000_000
_part_numbers = itertools.count()

T = TypeVar("T")


class DiskCache:
    """JSON values by key, one file each. Safe for threads and processes.

    Args:
        folder: Made when something is kept.
        max_bytes: Size above which the oldest answers are dropped, checked now and then; None for no bound.

    Raises:
        ConfigError: The bound is not positive.
    """

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes <= 0:
            raise ConfigError(f"max_bytes must be positive, actually: {max_bytes!r}")
        self.folder, self.max_bytes = folder, max_bytes
        self._writes = 0

    def get(self, key: Mapping[str, Any], produce: Callable[[], Any], read: Callable[[Any], T]) -> T:
        """The value of a key; produced and kept if there is none, or if its file is damaged.

        Args:
            key: JSON; equal keys share a value.
            produce: Makes the value, JSON. What it raises is passed on, and nothing is kept.
            read: Reads the value; raises ValueError for one that is not valid, which is then produced anew.

        Returns:
            What `read` gives.

        Raises:
            SearchError: The folder cannot be written.
        """
        canonical = json.dumps(key, sort_keys=True)
        name = hashlib.sha256(canonical.encode()).hexdigest()
        path = self.folder / name[:2] / f"{name[2:]}.json"
        kept = _read(path, canonical)
        if kept is not None:
            try:
                return read(kept["value"])
            except ValueError:
                path.unlink(missing_ok=True)
        value = produce()
        try:
            first = self._keep(path, canonical, value)
        except OSError as error:
            raise SearchError(f"the answer cannot be kept in {path}: {type(error).__name__}: {error}") from error
        try:
            return read(first)
        except ValueError:
            return read(value)

    def _keep(self, path: Path, canonical: str, value: Any) -> Any:
        """Write a value if no one else has; returns the one that is kept."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}.{os.getpid()}.{threading.get_ident()}.{next(_part_numbers)}.part")
        part.write_text(_encoded(canonical, value), encoding="ascii")
        try:
            os.link(part, path)
        except FileExistsError:
            first = _read(path, canonical)
            if first is not None:
                return first["value"]
            part.replace(path)
        except OSError:  # a file system without links: the last writer wins
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self._trim()
        return value

    def _trim(self) -> None:
        """Drop the oldest answers until the rest fits; looked after at the first write and every 64th."""
        self._writes += 1
        if self.max_bytes is None or self._writes % _TRIM_EVERY != 1:
            return
        files = []
        for path in self.folder.glob("??/*.json"):
            with contextlib.suppress(FileNotFoundError):  # another process trims as well
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _encoded(canonical: str, value: Any) -> str:
    body = json.dumps(value)
    checksum = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"format": {_FORMAT}, "checksum": "{checksum}", "key": {canonical}, "value": {body}}}'


def _read(path: Path, canonical: str) -> dict[str, Any] | None:
    """The file's content, None if there is none that is whole and of this key."""
    try:
        kept = json.loads(read_regular(path, _MAX_FILE).decode("ascii"))
        body = json.dumps(kept["value"])
        is_whole = (
            kept["format"] == _FORMAT
            and kept["checksum"] == hashlib.sha256(body.encode()).hexdigest()
            and json.dumps(kept["key"], sort_keys=True) == canonical
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return kept if is_whole else None


E = TypeVar("E", bound=TextEngine | ImageEngine)


class _CachedEngine(Generic[E]):
    """An engine in all but its searches.

    Args:
        engine: Asked for what is not kept yet.
        cache: Where answers are kept.
    """

    def __init__(self, engine: E, cache: DiskCache) -> None:
        self.engine, self.cache = engine, cache

    @property
    def name(self) -> str:
        """The name of the engine that is asked."""
        return self.engine.name

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the engine that is asked."""
        return self.engine.parameters

    @property
    def is_live(self) -> bool:
        """Whether the engine that is asked reaches the web."""
        return self.engine.is_live

    def fingerprint(self) -> str:
        """The fingerprint of the engine that is asked."""
        return self.engine.fingerprint()


class CachedTextEngine(_CachedEngine[TextEngine]):
    """A text engine whose answers are kept.

    Args:
        engine: Asked for what is not kept yet.
        cache: Where answers are kept.
    """

    def search(self, query: str, *, limit: int) -> tuple[TextHit, ...]:
        """The kept answer, or the engine's.

        Raises:
            SearchError: The engine failed.
        """
        key = _key(self.engine, query, limit)
        return self.cache.get(key, lambda: [vars(hit) for hit in self.engine.search(query, limit=limit)], _as_text_hits)

    def scores(self, query: str, passages: Sequence[Passage]) -> list[float] | None:
        """Ask the engine; scores are never kept."""
        return self.engine.scores(query, passages)


class CachedImageEngine(_CachedEngine[ImageEngine]):
    """An image engine whose answers are kept, images included.

    Args:
        engine: Asked for what is not kept yet.
        cache: Where answers are kept.
    """

    def search(self, query: ImageQuery, *, limit: int) -> tuple[ImageHit, ...]:
        """The kept answer, or the engine's.

        Raises:
            SearchError: The engine failed.
        """
        wanted = {
            "image": image_fingerprint(query.image),
            "task_id": query.task_id,
            "search_key": query.search_key,
        }
        key = _key(self.engine, wanted, limit)
        return self.cache.get(
            key, lambda: [_as_json(hit) for hit in self.engine.search(query, limit=limit)], _as_image_hits
        )

    def distances(self, query: ImageQuery, images: Sequence[TitledImage]) -> list[float | None] | None:
        """Ask the engine; distances are never kept."""
        return self.engine.distances(query, images)


def _key(engine: TextEngine | ImageEngine, query: object, limit: int) -> dict[str, Any]:
    return {
        "engine": engine.name,
        "parameters": dict(engine.parameters),
        "corpus": engine.fingerprint(),
        "query": query,
        "limit": limit,
    }


def _as_json(hit: ImageHit) -> dict[str, Any]:
    image = None if hit.image is None else base64.b64encode(to_png(hit.image)).decode()
    return {**vars(hit), "image": image}


def _as_text_hits(kept: object) -> tuple[TextHit, ...]:
    """Hits out of a file, which anyone may have written.

    Raises:
        ValueError: They are none.
    """
    return tuple(
        TextHit(title=hit["title"], snippet=hit["snippet"], link=hit["link"], score=hit["score"])
        for hit in _checked(kept, ("title", "snippet", "link"), "score")
    )


def _as_image_hits(kept: object) -> tuple[ImageHit, ...]:
    """Hits out of a file, which anyone may have written.

    Raises:
        ValueError: They are none.
    """
    return tuple(
        ImageHit(title=hit["title"], image=_image(hit.get("image")), link=hit["link"], distance=hit["distance"])
        for hit in _checked(kept, ("title", "link"), "distance")
    )


def _checked(kept: object, texts: Sequence[str], number: str) -> list[dict[str, Any]]:
    entries: list[Any] = kept if isinstance(kept, list) else [None]
    for entry in entries:
        is_right = (
            isinstance(entry, dict)
            and all(isinstance(entry.get(name), str) and clean(entry[name]) == entry[name] for name in texts)
            and number in entry
            and (entry[number] is None or (type(entry[number]) in (int, float) and math.isfinite(entry[number])))
        )
        if not is_right:
            raise ValueError("this is no kept hit")
    return entries


def _image(kept: object) -> ImageArray | None:
    if kept is None:
        return None
    if not isinstance(kept, str):
        raise ValueError("this is no kept image")
    return decode(base64.b64decode(kept.encode("ascii", "replace"), validate=True))
