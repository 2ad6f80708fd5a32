"""A text index that is open for reading: what its engines share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from metis_gym.errors import ConfigError, SearchIndexError
from metis_gym.records import Passage
from metis_gym.search.contract import TextHit
from metis_gym.search.index.bm25 import CorpusStatistics, bm25
from metis_gym.search.index.corpora import corpus_file
from metis_gym.search.index.files import cache_folder
from metis_gym.search.index.schemas import TEXT_SCHEMA
from metis_gym.search.index.sqlite_files import ReadOnlyFile
from metis_gym.search.index.text import FORMAT, KIND
from metis_gym.search.snippets import short_line, snippet

__all__ = ["TextIndex", "find_index"]

_MAX_CHARACTERS = 8_000_000
_MAX_PASSAGES = 10**12
_MAX_SECONDS_OF_ALL = 600.0


def find_index(path: str | None, corpus: str | None, folder: str | None) -> "Callable[[], TextIndex]":
    """What opens the index that an engine's arguments name.

    One's own index is opened at once, so that a wrong path is found early. A corpus is built, if need be, when it is
    first asked for.

    Raises:
        SearchIndexError: There is no index at `path`, or it is none.
        ConfigError: Both a path and a corpus are given.
    """
    if path is not None and corpus is not None:
        raise ConfigError(f"an engine has a path or a corpus, not both; actually: {path!r} and {corpus!r}")
    if path is not None:
        opened = TextIndex(Path(path))
        return lambda: opened
    return lambda: TextIndex(corpus_file(corpus or "default", cache_folder(folder)))


class TextIndex:
    """A text index.

    Args:
        path: The file.

    Raises:
        SearchIndexError: It is not there, is no text index, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.file = ReadOnlyFile(path, KIND, FORMAT, TEXT_SCHEMA)
        self.fingerprint = self.file.meta.get("fingerprint", "")
        self.statistics = _statistics(self.file)

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Term → how many passages contain it, rarest first; terms that are equally rare in their order."""
        statement = f"SELECT term, passages FROM frequencies WHERE term IN ({_marks(terms)})"
        with self.file.connection() as connection:
            known = dict(connection.execute(statement, terms).fetchall())
        if not all(type(count) is int and 0 <= count <= self.statistics.passages for count in known.values()):
            raise self.file.damaged("a word stands in more passages than there are, or in no number of them")
        return dict(sorted(((term, known.get(term, 0)) for term in terms), key=lambda pair: pair[1]))

    def weights(self, frequencies: Mapping[str, int]) -> dict[str, float]:
        """Term → its inverse document frequency."""
        return {term: self.statistics.weight(count) for term, count in frequencies.items()}

    def all_terms(self) -> Iterator[list[str]]:
        """The terms of every passage, in the corpus's order.

        Raises:
            SearchError: The file is damaged: it gives more text than it has bytes, so pages are used twice.
        """
        left = self.file.path.stat().st_size
        with self.file.connection(max_seconds=_MAX_SECONDS_OF_ALL) as connection:
            for row, terms in connection.execute("SELECT id, terms FROM passages ORDER BY id"):
                checked = self._checked(row, terms)
                left -= len(checked.encode())
                if left < 0:
                    raise self.file.damaged("it gives more text than it has bytes")
                yield checked.split(" ")

    def terms(self, rows: Sequence[int]) -> list[tuple[int, str]]:
        """Id and joined terms of some passages, in no order."""
        return self.candidates(f"SELECT id, terms FROM passages WHERE id IN ({_marks(rows)})", rows)

    def candidates(self, statement: str, values: Sequence[object]) -> list[tuple[int, str]]:
        """Id and joined terms of the passages that a statement selects, as many as have 8 million characters.

        Raises:
            SearchError: The file is damaged.
        """
        found: list[tuple[int, str]] = []
        size = 0
        with self.file.connection() as connection:
            for row, terms in connection.execute(statement, values):
                found.append((row, self._checked(row, terms)))
                size += len(terms)
                if size > _MAX_CHARACTERS:
                    break
        return found

    def _checked(self, row: object, terms: object) -> str:
        if type(row) is not int or type(terms) is not str:
            raise self.file.damaged("a passage has no terms")
        return terms

    def best(
        self, candidates: Sequence[tuple[int, str]], weights: Mapping[str, float], query: str, limit: int
    ) -> tuple[TextHit, ...]:
        """The best of some passages by BM25; of equals, those that come first in the corpus.

        Args:
            candidates: Id and joined terms.
            weights: Term of the query → its inverse document frequency.
            query: The query, for the snippets.
            limit: Most hits that are wanted.

        Raises:
            SearchError: The file is damaged.
        """
        average = self.statistics.average_length
        scored = sorted((-bm25(words.split(" "), weights, average), row) for row, words in candidates)[:limit]
        found = self._passages([row for _, row in scored])
        return tuple(
            TextHit(
                title=short_line(found[row].title),
                snippet=snippet(found[row].text, query),
                link=short_line(found[row].link),
                score=-negative,
            )
            for negative, row in scored
        )

    def _passages(self, rows: Sequence[int]) -> dict[int, Passage]:
        statement = f"SELECT id, title, text, link FROM passages WHERE id IN ({_marks(rows)})"
        with self.file.connection() as connection:
            found = connection.execute(statement, rows).fetchall()
        if {row for row, *_ in found} != set(rows):
            raise self.file.damaged("passages of its postings are missing")
        if any(type(value) is not str for _, *texts in found for value in texts):
            raise self.file.damaged("a passage has no title, text and link")
        return {row: Passage(title=title, text=text, link=link) for row, title, text, link in found}


def _statistics(file: ReadOnlyFile) -> CorpusStatistics:
    """What BM25 needs to know, as the file says it.

    Raises:
        SearchIndexError: It says it wrongly.
    """
    passages, average = file.meta.get("passages", ""), file.meta.get("average_length", "")
    try:
        statistics = CorpusStatistics(int(passages), float(average))
    except ValueError:
        statistics = CorpusStatistics(0, 0.0)
    if not (1 <= statistics.passages <= _MAX_PASSAGES and 1.0 <= statistics.average_length <= _MAX_PASSAGES):
        raise SearchIndexError(
            f"the {KIND} {file.path} is damaged: it says that it has {passages[:40]!r} passages of {average[:40]!r} "
            "terms"
        )
    return statistics


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
