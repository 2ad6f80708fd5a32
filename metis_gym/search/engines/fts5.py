"""The default text engine: SQLite's FTS5, out of the standard library.

A query's terms are quoted and joined by OR. Words that very many passages share cost much and say little, so candidates
come from the rarest terms, as many of them as match `MAX_MATCHES` passages together (at least one); the best
`CANDIDATES` of these are then ordered by BM25 over *all* terms of the query. Equal scores keep the corpus's order.

It finds words, not meaning.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_gym.records import Passage
from metis_gym.search.contract import TextHit
from metis_gym.search.index.bm25 import bm25
from metis_gym.search.index.sqlite_files import check_fts5
from metis_gym.search.index.terms import query_terms
from metis_gym.search.index.text import searchable
from metis_gym.search.index.text_reader import TextIndex, find_index
from metis_gym.search.snippets import MAX_TEXT

__all__ = ["CANDIDATES", "MAX_MATCHES", "Fts5Engine"]

MAX_MATCHES = 3_000
CANDIDATES = 128


class Fts5Engine:
    """Finds passages in a local text index.

    Args:
        path: An index of one's own, made by `metis-gym index build`.
        corpus: Name of a corpus that is built at its first use; taken when no path is given.
        folder: Where such a corpus is kept; None for the user's cache folder.

    Raises:
        MissingDependencyError: This Python's SQLite has no FTS5.
        SearchIndexError: There is no index at `path`, or it is none.
        ConfigError: Both a path and a corpus are given.
    """

    name: ClassVar[str] = "fts5"
    is_live: ClassVar[bool] = False

    def __init__(self, *, path: str | None = None, corpus: str | None = None, folder: str | None = None) -> None:
        check_fts5()
        self._find = find_index(path, corpus, folder)
        self._index: TextIndex | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the order depends on, besides the corpus."""
        return {"max_matches": MAX_MATCHES, "candidates": CANDIDATES}

    @property
    def index(self) -> TextIndex:
        """The index; a corpus that is not there yet is built now, which takes a while.

        Raises:
            SearchIndexError: It cannot be built.
        """
        if self._index is None:
            self._index = self._find()
        return self._index

    def fingerprint(self) -> str:
        """A digest of all passages, in order."""
        return self.index.fingerprint

    def search(self, query: str, *, limit: int) -> tuple[TextHit, ...]:
        """The best passages by BM25 over the query's terms; none if no passage has one of them.

        Raises:
            SearchError: The file is damaged.
        """
        index = self.index
        frequencies = index.frequencies(query_terms(query))
        leading = _leading(frequencies)
        if not any(frequencies[term] for term in leading):
            return ()
        return index.best(self._candidates(leading), index.weights(frequencies), query, limit)

    def scores(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """BM25 with the corpus's document frequencies and average length."""
        index = self.index
        frequencies = index.frequencies(query_terms(query))
        leading, weights = _leading(frequencies), index.weights(frequencies)
        average = index.statistics.average_length
        texts = [searchable(passage, MAX_TEXT) for passage in passages]
        return [bm25(words, weights, average) if set(leading).intersection(words) else 0.0 for words in texts]

    def _candidates(self, leading: Sequence[str]) -> list[tuple[int, str]]:
        """The id and the terms of the best passages by the leading terms alone."""
        match = " OR ".join(f'"{term}"' for term in leading)
        statement = (
            "SELECT id, terms FROM passages WHERE id IN (SELECT rowid FROM postings WHERE postings MATCH ? "
            "ORDER BY bm25(postings), rowid LIMIT ?)"
        )
        return self.index.candidates(statement, (match, CANDIDATES))


def _leading(frequencies: Mapping[str, int]) -> list[str]:
    """The rarest terms, as many as match `MAX_MATCHES` passages together, and at least one that matches at all.

    >>> _leading({"halworth": 12, "glass": 2_000, "founded": 9_000})
    ['halworth', 'glass']
    """
    leading: list[str] = []
    matches = 0
    for term, count in frequencies.items():
        if matches and matches + count > MAX_MATCHES:
            break
        leading.append(term)
        matches += count
    return leading
