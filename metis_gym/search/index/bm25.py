"""BM25 as SQLite's FTS5 computes it, in plain Python: for passages that are not in an index.

Robertson and Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond* (2009), eq. 3.15, with k₁ = 1.2 and
b = 0.75; the weight of a term never falls below 1e-6, as in FTS5.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["K1", "B", "CorpusStatistics", "bm25"]

K1 = 1.2
B = 0.75
_MIN_WEIGHT = 1e-6


@dataclass(frozen=True)
class CorpusStatistics:
    """What BM25 needs to know of a corpus.

    Attributes:
        passages: N, how many passages it has.
        average_length: Terms in a passage, on average.
    """

    passages: int
    average_length: float

    def weight(self, containing: int) -> float:
        """The inverse document frequency of a term that so many passages contain.

        >>> round(CorpusStatistics(100, 50.0).weight(3), 4)  # log(97.5 / 3.5)
        3.3271
        """
        return max(math.log((self.passages - containing + 0.5) / (containing + 0.5)), _MIN_WEIGHT)


def bm25(words: Sequence[str], weights: Mapping[str, float], average_length: float) -> float:
    """The score of a passage; 0 if it has none of the terms.

    Args:
        words: The passage's terms, in order.
        weights: Term of the query → its inverse document frequency.
        average_length: Terms in a passage of the corpus, on average.

    >>> round(bm25(["old", "tower"], {"tower": 2.0}, 2.0), 6)  # once, at average length: the weight itself
    2.0
    """
    norm = K1 * (1 - B + B * len(words) / average_length)
    score = 0.0
    for term, weight in weights.items():
        count = words.count(term)
        if count:
            score += weight * count * (K1 + 1) / (count + norm)
    return score
