"""Picture indexes: how one is written, and what its file holds.

```
meta(key, value)                                 kind, format, fingerprint, pictures
pictures(id, title, link, thumbnail)             a JPEG of at most 192 px a side
hashes(bits)                                     all hashes in one row: N × 32 bytes, little-endian
```
Pictures have their place in the collection as id, from 1 on. A file is written once and never changed.
"""

import functools
import hashlib
import io
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from metis_gym.errors import ImageError, SearchError, SearchIndexError
from metis_gym.images import decode
from metis_gym.records import PictureArray, TitledPicture
from metis_gym.search.dhash import WORDS, Hashes, dhash
from metis_gym.search.places import build_atomically
from metis_gym.search.sqlite_files import ReadOnlyFile

__all__ = ["FORMAT", "KIND", "PictureIndex", "write_picture_index"]

KIND = "picture index"
FORMAT = 1
"""Raise this whenever hashes or thumbnails are made differently: files and fingerprints carry it."""

_THUMBNAIL_SIDE = 192
_JPEG_QUALITY = 80
_RECENT = 128  # of at most 110 kB each
_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pictures(id INTEGER PRIMARY KEY, title TEXT NOT NULL, link TEXT NOT NULL, thumbnail BLOB NOT NULL);
CREATE TABLE hashes(bits BLOB NOT NULL);
"""


def write_picture_index(pictures: Iterable[TitledPicture], path: Path) -> int:
    """Write a picture index; an older file of this name is replaced once the new one is whole.

    Args:
        pictures: The collection, in order. Read once.
        path: The file.

    Returns:
        How many pictures it holds.

    Raises:
        SearchIndexError: There is no picture, or the file cannot be written.
    """
    writer = _Writer(pictures)
    build_atomically(path, writer.write)
    return writer.count


class PictureIndex:
    """A picture index that is open for reading.

    Attributes:
        hashes: Shape (4, N), uint64.

    Args:
        path: The file.

    Raises:
        SearchIndexError: It is not there, or is no picture index.
    """

    def __init__(self, path: Path) -> None:
        self._file = ReadOnlyFile(path, KIND, FORMAT)
        self.fingerprint = self._file.meta["fingerprint"]
        with self._file.connection() as connection:
            (bits,) = connection.execute("SELECT bits FROM hashes").fetchone()
        rows = np.frombuffer(bits, dtype="<u8").reshape(-1, WORDS)
        self.hashes: Hashes = np.ascontiguousarray(rows.T, dtype=np.uint64)
        self._recent = functools.lru_cache(maxsize=_RECENT)(self._read)

    def picture(self, position: int) -> TitledPicture:
        """The thumbnail at a position of the collection, from 0 on; read-only.

        Recent ones are kept: the episodes of a group search for the same picture.

        Raises:
            SearchError: The file is damaged.
        """
        return self._recent(position)

    def _read(self, position: int) -> TitledPicture:
        with self._file.connection() as connection:
            row = connection.execute(
                "SELECT title, link, thumbnail FROM pictures WHERE id = ?", (position + 1,)
            ).fetchone()
        if row is None:
            raise SearchError(f"the picture index {self._file.path} is damaged: picture {position + 1} is missing")
        title, link, thumbnail = row
        return TitledPicture(title=title, link=link, picture=_from_jpeg(thumbnail, self._file.path))


class _Writer:
    """Writes one index."""

    def __init__(self, pictures: Iterable[TitledPicture]) -> None:
        self._pictures = pictures
        self._digest = hashlib.sha256(f"{KIND} {FORMAT}".encode())
        self._hashes: list[bytes] = []
        self.count = 0

    def write(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as file:
            file.executescript(_SCHEMA)
            file.executemany("INSERT INTO pictures VALUES(?, ?, ?, ?)", self._rows())
            if not self.count:
                raise SearchIndexError("an index needs at least one picture; there is none")
            file.execute("INSERT INTO hashes VALUES(?)", (b"".join(self._hashes),))
            meta = {
                "kind": KIND,
                "format": str(FORMAT),
                "fingerprint": self._digest.hexdigest()[:32],
                "pictures": str(self.count),
            }
            file.executemany("INSERT INTO meta VALUES(?, ?)", meta.items())
            file.commit()

    def _rows(self) -> Iterator[tuple[int, str, str, bytes]]:
        for entry in self._pictures:
            self.count += 1
            bits, thumbnail = dhash(entry.picture).astype("<u8").tobytes(), _to_jpeg(entry.picture)
            self._hashes.append(bits)
            for part in (repr((entry.title, entry.link)).encode(), bits, thumbnail):
                self._digest.update(part)
            yield self.count, entry.title, entry.link, thumbnail


def _to_jpeg(picture: PictureArray) -> bytes:
    """A thumbnail, as JPEG."""
    image = Image.fromarray(picture)
    scale = _THUMBNAIL_SIDE / max(image.size)
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()


def _from_jpeg(data: bytes, path: Path) -> PictureArray:
    try:
        picture = decode(data, name="a thumbnail")
    except ImageError as error:
        raise SearchError(f"the picture index {path} is damaged: {error}") from error
    picture.flags.writeable = False
    return picture
