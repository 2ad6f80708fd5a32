"""Corpora for tests: random words with very rare and very common ones; and BM25 in the plainest Python."""

import random
from math import log

from metis_gym.records import Passage
from metis_gym.search.index.terms import query_terms
from metis_gym.search.index.text import searchable

WORDS = [f"wort{number:03d}" for number in range(300)]


def random_corpus(size, seed):
    draw = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]
    return [
        Passage(
            title=" ".join(draw.choices(WORDS, weights, k=2)),
            text=" ".join(draw.choices(WORDS, weights, k=draw.randint(5, 40))),
            link=f"https://generated.example/{number}",
        )
        for number in range(size)
    ]


def bm25_of_all(corpus, query, overlay=()):
    """(score, number) of all passages that hold a term, by the formula alone; best first, then in their order.

    Frequencies and average length are the corpus's; the overlay's passages are numbered on from the corpus's.
    """
    texts = [searchable(passage) for passage in corpus]
    average = sum(map(len, texts)) / len(texts)
    scores = []
    for number, words in enumerate([*texts, *map(searchable, overlay)], start=1):
        score = 0.0
        for term in query_terms(query):
            containing = sum(term in others for others in texts)
            weight = max(log((len(texts) - containing + 0.5) / (containing + 0.5)), 1e-6)
            count = words.count(term)
            score += weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / average))
        if score > 0:
            scores.append((score, number))
    return sorted(scores, key=lambda pair: (-pair[0], pair[1]))
