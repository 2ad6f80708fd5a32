"""A task's own passages and images, found as if they were in the index.

An engine says what score they would have; here both lists become one. Where an engine has no such measure (services),
the task's passages that fit the query alternate with the service's hits. What a task brings is looked at when its model
searches, and is seen by no other task.
"""

from collections.abc import Iterable, Sequence

from metis_gym.records import Passage, TitledImage
from metis_gym.search.contract import ImageEngine, ImageHit, ImageQuery, TextEngine, TextHit
from metis_gym.search.index.bm25 import CorpusStatistics, bm25
from metis_gym.search.index.dhash import near_distances
from metis_gym.search.index.terms import query_terms
from metis_gym.search.index.text import searchable
from metis_gym.search.snippets import MAX_TEXT, short_line, snippet

__all__ = ["search_images", "search_text"]

_SPARE = 3
"""So many times more hits are asked for than are wanted, to make up for duplicates."""
_FITTING_SHARE = 1 / 3


def search_text(engine: TextEngine, query: str, passages: Sequence[Passage], *, limit: int) -> tuple[TextHit, ...]:
    """The best passages of the engine's corpus and of a task together, best first, no snippet twice.

    Args:
        engine: Searches its corpus.
        query: Any text.
        passages: The task's own.
        limit: Most hits that are wanted.

    Raises:
        SearchError: The search failed.
    """
    found = engine.search(query, limit=_SPARE * limit)
    scores = engine.scores(query, passages) if passages else []
    if scores is None:
        ranked = _alternating(_fitting(query, passages), found)
    else:
        own = [_as_hit(p, query, score) for p, score in zip(passages, scores, strict=True) if score > 0]
        ranked = sorted([*own, *found], key=_by_score)  # stable: of equals, the task's own come first
    return tuple(_without_duplicates(ranked))[:limit]


def search_images(
    engine: ImageEngine, query: ImageQuery, images: Sequence[TitledImage], *, limit: int
) -> tuple[ImageHit, ...]:
    """The nearest images of the engine's index and of a task together, nearest first.

    Args:
        engine: Searches its index.
        query: The task's own image.
        images: What the task brings.
        limit: Most hits that are wanted.

    Raises:
        SearchError: The search failed.
    """
    found = engine.search(query, limit=limit)
    distances = engine.distances(query, images) if images else []
    if distances is None:
        near = near_distances(query.image, [entry.image for entry in images])
        own = sorted(_images(images, near), key=_by_distance)
        return (*own, *found)[:limit]
    return tuple(sorted([*_images(images, distances), *found], key=_by_distance))[:limit]


def _by_score(hit: TextHit) -> float:
    return 0.0 if hit.score is None else -hit.score


def _by_distance(hit: ImageHit) -> float:
    return 0.0 if hit.distance is None else hit.distance


def _as_hit(passage: Passage, query: str, score: float) -> TextHit:
    return TextHit(
        title=short_line(passage.title),
        snippet=snippet(passage.text, query),
        link=short_line(passage.link),
        score=score,
    )


def _without_duplicates(hits: Iterable[TextHit]) -> Iterable[TextHit]:
    seen: set[str] = set()
    for hit in hits:
        text = hit.snippet.casefold()
        if text not in seen:
            seen.add(text)
            yield hit


def _fitting(query: str, passages: Sequence[Passage]) -> list[TextHit]:
    """The passages with a third of the query's terms or more, ranked by BM25 among themselves."""
    terms = query_terms(query)
    texts = [searchable(passage, MAX_TEXT) for passage in passages]
    statistics = CorpusStatistics(len(texts), max(1.0, sum(map(len, texts)) / len(texts)))
    weights = {term: 1.0 + statistics.weight(sum(term in words for words in texts)) for term in terms}
    hits = [
        _as_hit(passage, query, bm25(words, weights, statistics.average_length))
        for passage, words in zip(passages, texts, strict=True)
        if terms and len(set(terms).intersection(words)) >= _FITTING_SHARE * len(terms)
    ]
    return sorted(hits, key=_by_score)


def _alternating(first: Sequence[TextHit], second: Sequence[TextHit]) -> list[TextHit]:
    """One of each in turn, then the rest of the longer."""
    both = min(len(first), len(second))
    turns = [hit for pair in zip(first[:both], second[:both], strict=True) for hit in pair]
    return [*turns, *first[both:], *second[both:]]


def _images(images: Sequence[TitledImage], distances: Sequence[float | None]) -> list[ImageHit]:
    return [
        ImageHit(title=short_line(entry.title), image=entry.image, link=short_line(entry.link), distance=distance)
        for entry, distance in zip(images, distances, strict=True)
        if distance is not None
    ]
