"""A faster text engine: all scores computed beforehand by the package `bm25s` (arXiv 2407.03618), held in memory.

The measure is that of the engine `fts5` (k₁ = 1.2, b = 0.75, Robertson's weights), over all passages instead of
candidates from the rarest terms. Words that more than half of all passages hold weigh nothing, and find nothing. For
100,000 passages it takes some seconds and a few hundred megabytes, in each process.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from metis_gym.errors import MissingDependencyError
from metis_gym.records import Passage
from metis_gym.search.contract import TextHit
from metis_gym.search.index.bm25 import K1, B, bm25
from metis_gym.search.index.terms import query_terms
from metis_gym.search.index.text import searchable
from metis_gym.search.index.text_reader import TextIndex, find_index
from metis_gym.search.snippets import MAX_TEXT

if TYPE_CHECKING:
    from bm25s import BM25

__all__ = ["Bm25sEngine"]

_SPARE = 32
"""Candidates beyond the wanted number: scores in float32 may order neighbours otherwise than exact ones."""


class Bm25sEngine:
    """Finds passages in a local text index, which it reads into memory at its first search.

    Args:
        path: An index of one's own, made by `metis-gym index build`.
        corpus: Name of a corpus that is built at its first use; taken when no path is given.
        folder: Where such a corpus is kept; None for the user's cache folder.

    Raises:
        MissingDependencyError: `bm25s` is not installed.
        SearchIndexError: There is no index at `path`, or it is none.
        ConfigError: Both a path and a corpus are given.
    """

    name: ClassVar[str] = "bm25s"
    is_live: ClassVar[bool] = False

    def __init__(self, *, path: str | None = None, corpus: str | None = None, folder: str | None = None) -> None:
        try:
            import bm25s
        except ImportError as error:
            raise MissingDependencyError.of("bm25s", "search", "The text engine 'bm25s'") from error
        self._make = bm25s.BM25
        self._find = find_index(path, corpus, folder)
        self._opened: tuple[TextIndex, BM25] | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the order depends on, besides the corpus."""
        return {"k1": K1, "b": B}

    def fingerprint(self) -> str:
        """A digest of all passages, in order."""
        return self._open()[0].fingerprint

    def search(self, query: str, *, limit: int) -> tuple[TextHit, ...]:
        """The best passages by BM25 over the query's terms; none if no passage has one of them.

        Raises:
            SearchError: The file is damaged.
        """
        index, model = self._open()
        terms = query_terms(query)
        known = [term for term in terms if term in model.vocab_dict]
        if not known:
            return ()
        scores = model.get_scores(known)
        rows = _largest(scores, limit + _SPARE)
        return index.best(index.terms(rows), index.weights(index.frequencies(terms)), query, limit)

    def scores(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """BM25 with the corpus's document frequencies and average length."""
        index, _ = self._open()
        weights = index.weights(index.frequencies(query_terms(query)))
        return [bm25(searchable(passage, MAX_TEXT), weights, index.statistics.average_length) for passage in passages]

    def _open(self) -> "tuple[TextIndex, BM25]":
        if self._opened is None:
            index = self._find()
            model = self._make(k1=K1, b=B, method="atire", idf_method="robertson", backend="numpy")
            numbers: dict[str, int] = {}
            texts = [[numbers.setdefault(term, len(numbers)) for term in words] for words in index.all_terms()]
            if not texts:
                raise index.file.damaged("it has no passages")
            model.index((texts, numbers), show_progress=False)
            self._opened = index, model
        return self._opened


def _largest(scores: "np.typing.NDArray[np.float32]", count: int) -> list[int]:
    """Ids, from 1 on, of the largest positive scores; of equals at the border, the first."""
    order = np.argsort(-scores, kind="stable") if count >= len(scores) else _partitioned(scores, count)
    return [int(position) + 1 for position in order[:count] if scores[position] > 0]


def _partitioned(scores: "np.typing.NDArray[np.float32]", count: int) -> "np.typing.NDArray[np.intp]":
    border = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > border)
    return np.concatenate([above, np.flatnonzero(scores == border)])
