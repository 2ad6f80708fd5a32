"""What text search tells about each candidate to someone who never sees the image.

The question, each candidate, and each page title found for the question are searched for; then it is counted how often
and how high up each candidate stands.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metis_envs.audit.features import within_ranks
from metis_gym.records import Passage
from metis_gym.search import TextHit, make_text_engine, search_text

__all__ = ["lookup_features"]

_RESULTS = 10
_FOLLOWED = 3
_ENGINE = "fts5"


def lookup_features(question: str, passages: Sequence[Passage], candidates: Sequence[str]) -> NDArray[np.float64]:
    """Counts and places of each candidate in what the searches find, shape (candidates, features)."""
    engine = make_text_engine(_ENGINE)

    def search(query: str) -> tuple[TextHit, ...]:
        return search_text(engine, query, passages, limit=_RESULTS) if query.strip() else ()

    asked = search(question)
    followed = [hit for first in asked[:_FOLLOWED] for hit in search(f"{first.title} {question}")]
    rows = []
    for candidate in candidates:
        alone, beside = search(candidate), search(f"{question} {candidate}")
        rows.append(
            [
                *_counted(candidate, asked),
                *_counted(candidate, followed),
                *_counted(candidate, alone),
                *_counted(candidate, beside),
                *_strength(alone),
                *_strength(beside),
            ]
        )
    table = np.array(rows, dtype=np.float64)
    return np.concatenate([table, within_ranks(table)], axis=1)


def _counted(candidate: str, hits: Sequence[TextHit]) -> list[float]:
    """In how many hits it stands, in how many titles, how often, and how high up."""
    pattern = re.compile(rf"(?<!\w){re.escape(candidate)}(?!\w)", re.IGNORECASE)
    places = [place for place, hit in enumerate(hits) if pattern.search(f"{hit.title} {hit.snippet}")]
    return [
        len(places),
        sum(bool(pattern.search(hit.title)) for hit in hits),
        sum(len(pattern.findall(hit.snippet)) for hit in hits),
        1 / (1 + places[0]) if places else 0.0,
        sum(1 / (1 + place) for place in places),
    ]


def _strength(hits: Sequence[TextHit]) -> list[float]:
    """How many hits, the best score and the mean one."""
    scores = [hit.score or 0.0 for hit in hits]
    return [len(hits), max(scores, default=0.0), sum(scores) / max(1, len(scores))]
