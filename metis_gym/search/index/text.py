"""Text indexes: how one is written, and what its file holds.

```
meta(key, value)                     kind, format, fingerprint, passages, average_length
passages(id, title, text, link, terms)   the passages as they came, and their terms, joined by spaces
frequencies(term, passages)          how many passages contain a term
postings                             FTS5 over the terms, without a copy of them
```
Passages have their place in the corpus as id, from 1 on. A file is written once and never changed.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from metis_gym.errors import SearchIndexError
from metis_gym.records import Passage
from metis_gym.search.index.files import build_atomically
from metis_gym.search.index.schemas import TEXT_SCHEMA
from metis_gym.search.index.sqlite_files import check_fts5
from metis_gym.search.index.terms import terms_of

__all__ = ["FORMAT", "KIND", "searchable", "write_text_index"]

KIND = "text index"
FORMAT = 1
"""Raise this whenever terms are made or stored differently: files and fingerprints carry it."""

_MAX_TEXT = 1_000_000
_SETTINGS = "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"


def searchable(passage: Passage, max_characters: int | None = None) -> list[str]:
    """The terms of a passage, in order: those of its title, then those of its text.

    Args:
        passage: The passage.
        max_characters: How much of each is looked at; None for everything.
    """
    return [*terms_of(passage.title[:max_characters]), *terms_of(passage.text[:max_characters])]


def write_text_index(passages: Iterable[Passage], path: Path) -> int:
    """Write a text index; an older file of this name is replaced once the new one is whole.

    Args:
        passages: The corpus, in order. Read once.
        path: The file.

    Returns:
        How many passages it holds.

    Raises:
        SearchIndexError: There is no passage, one is longer than a million characters, or the file cannot be written.
        MissingDependencyError: This Python's SQLite has no FTS5.
    """
    check_fts5()
    writer = _Writer(passages)
    build_atomically(path, writer.write)
    return writer.count


class _Writer:
    """Writes one index, counting on the way."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = passages
        self._frequencies: Counter[str] = Counter()
        self._digest = hashlib.sha256(f"{KIND} {FORMAT}".encode())
        self._length = self.count = 0

    def write(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as file:
            file.executescript(_SETTINGS + TEXT_SCHEMA.script())
            for row in self._rows():
                file.execute("INSERT INTO passages VALUES(?, ?, ?, ?, ?)", row)
                file.execute("INSERT INTO postings(rowid, terms) VALUES(?, ?)", (row[0], row[4]))
            if not self.count:
                raise SearchIndexError("an index needs at least one passage; there is none")
            file.execute("INSERT INTO postings(postings) VALUES('optimize')")
            file.executemany("INSERT INTO frequencies VALUES(?, ?)", sorted(self._frequencies.items()))
            file.executemany("INSERT INTO meta VALUES(?, ?)", self._meta().items())
            file.commit()

    def _rows(self) -> Iterator[tuple[int, str, str, str, str]]:
        for passage in self._passages:
            self.count += 1
            length = len(passage.title) + len(passage.text)
            if length > _MAX_TEXT:
                raise SearchIndexError(
                    f"passage {self.count} has {length:,} characters, at most {_MAX_TEXT:,} are indexed; cut it "
                    "into several"
                )
            words = searchable(passage)
            self._frequencies.update(set(words))
            self._length += len(words)
            self._digest.update(repr((passage.title, passage.text, passage.link)).encode())
            yield self.count, passage.title, passage.text, passage.link, " ".join(words)

    def _meta(self) -> dict[str, str]:
        return {
            "kind": KIND,
            "format": str(FORMAT),
            "fingerprint": self._digest.hexdigest()[:32],
            "passages": str(self.count),
            "average_length": repr(max(self._length / self.count, 1.0)),
        }
