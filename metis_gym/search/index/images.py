"""Image indexes: how one is written, and what its file holds.

```
meta(key, value)                                 kind, format, fingerprint, pictures
pictures(id, title, link, thumbnail)             a JPEG of at most 192 px a side
hashes(bits)                                     all hashes in one row: N × 32 bytes, little-endian
```
Images have their place in the collection as id, from 1 on. A file is written once and never changed.
"""

import functools
import hashlib
import io
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from metis_gym.errors import ImageError, SearchError, SearchIndexError
from metis_gym.images import decode
from metis_gym.records import ImageArray, TitledImage
from metis_gym.search.index.dhash import WORDS, Hashes, dhash
from metis_gym.search.index.files import build_atomically
from metis_gym.search.index.schemas import IMAGE_SCHEMA
from metis_gym.search.index.sqlite_files import ReadOnlyFile

__all__ = ["FORMAT", "KIND", "ImageIndex", "write_image_index"]

KIND = "image index"
FORMAT = 1
"""Raise this whenever hashes or thumbnails are made differently: files and fingerprints carry it."""

_THUMBNAIL_SIDE = 192
_JPEG_QUALITY = 80
_RECENT = 128  # of at most 110 kB each
_UNREADABLE = (OSError, ValueError, SyntaxError, LookupError, TypeError, struct.error, Image.DecompressionBombError)
_SETTINGS = "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"


def write_image_index(images: Iterable[TitledImage], path: Path) -> int:
    """Write an image index; an older file of this name is replaced once the new one is whole.

    Args:
        images: The collection, in order. Read once.
        path: The file.

    Returns:
        How many images it holds.

    Raises:
        SearchIndexError: There is no image, or the file cannot be written.
    """
    writer = _Writer(images)
    build_atomically(path, writer.write)
    return writer.count


class ImageIndex:
    """An image index that is open for reading.

    Attributes:
        hashes: Shape (4, N), uint64.

    Args:
        path: The file.

    Raises:
        SearchIndexError: It is not there, is no image index, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = ReadOnlyFile(path, KIND, FORMAT, IMAGE_SCHEMA)
        self.fingerprint = self._file.meta.get("fingerprint", "")
        self.hashes = _hashes(self._file)
        self._recent = functools.lru_cache(maxsize=_RECENT)(self._read)

    def image(self, position: int) -> TitledImage:
        """The thumbnail at a position of the collection, from 0 on; read-only.

        Recent ones are kept: the episodes of a group search for the same image.

        Raises:
            SearchError: The file is damaged.
        """
        return self._recent(position)

    def _read(self, position: int) -> TitledImage:
        with self._file.connection() as connection:
            row = connection.execute(
                "SELECT title, link, thumbnail FROM pictures WHERE id = ?", (position + 1,)
            ).fetchone()
        if row is None or tuple(map(type, row)) != (str, str, bytes):
            raise self._file.damaged(f"image {position + 1} is missing, or has no title, link and thumbnail")
        title, link, thumbnail = row
        return TitledImage(title=title, link=link, image=_from_jpeg(thumbnail, self._file))


def _hashes(file: ReadOnlyFile) -> Hashes:
    """All hashes, one in a column.

    Raises:
        SearchIndexError: There are none, or they are cut.
    """
    try:
        with file.connection() as connection:
            rows = connection.execute("SELECT bits FROM hashes LIMIT 2").fetchall()
    except SearchError as error:
        raise SearchIndexError(str(error)) from error
    bits = rows[0][0] if len(rows) == 1 else None
    if not isinstance(bits, bytes) or not bits or len(bits) % (8 * WORDS):
        raise SearchIndexError(f"the {KIND} {file.path} is damaged: its hashes are not {8 * WORDS} bytes each")
    return np.ascontiguousarray(np.frombuffer(bits, dtype="<u8").reshape(-1, WORDS).T, dtype=np.uint64)


class _Writer:
    """Writes one image index, entry by entry."""

    def __init__(self, images: Iterable[TitledImage]) -> None:
        self._images = images
        self._digest = hashlib.sha256(f"{KIND} {FORMAT}".encode())
        self._hashes: list[bytes] = []
        self.count = 0

    def write(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as file:
            file.executescript(_SETTINGS + IMAGE_SCHEMA.script())
            file.executemany("INSERT INTO pictures VALUES(?, ?, ?, ?)", self._rows())
            if not self.count:
                raise SearchIndexError("an index needs at least one image; there is none")
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
        for entry in self._images:
            self.count += 1
            bits, thumbnail = dhash(entry.image).astype("<u8").tobytes(), _to_jpeg(entry.image)
            self._hashes.append(bits)
            for part in (repr((entry.title, entry.link)).encode(), bits, thumbnail):
                self._digest.update(part)
            yield self.count, entry.title, entry.link, thumbnail


def _to_jpeg(pixels: ImageArray) -> bytes:
    """Encode a thumbnail of an image as JPEG."""
    image = Image.fromarray(pixels)
    scale = _THUMBNAIL_SIDE / max(image.size)
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()


def _from_jpeg(data: bytes, file: ReadOnlyFile) -> ImageArray:
    try:
        image = decode(data, max_pixels=_THUMBNAIL_SIDE**2, name="a thumbnail")
    except ImageError as error:
        raise file.damaged(f"a thumbnail cannot be read ({error})") from error
    if max(image.shape) > _THUMBNAIL_SIDE:
        raise file.damaged(f"a thumbnail has {image.shape[1]} x {image.shape[0]} pixels")
    image.flags.writeable = False
    return image
