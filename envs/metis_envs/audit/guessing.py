"""Guessers that learn on some tasks and guess on others, and how often the best of them is right.

Each task is held out once, in five folds. Where several guessers are tried, the one counts that is best on the other
four folds: so the share is that of one guesser chosen in advance, and no luckier than that.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from metis_envs.audit.results import Share

__all__ = [
    "Guesser",
    "best_share",
    "by_letters",
    "by_numbers",
    "by_patches",
    "by_pixels",
    "by_tree",
    "patch_features",
    "rankers",
]

_FOLDS = 5
_ABSENT = -1e9
_Indices: TypeAlias = NDArray[np.intp]
Guesser: TypeAlias = Callable[[_Indices, _Indices], NDArray[np.float64]]
"""Learns on the first tasks and returns, for each of the second ones, the probability that its guess is right."""


def best_share(
    guessers: Mapping[str, Guesser], count: int, *, seed: int, labels: Sequence[str] | None = None, tried: int = 1
) -> Share:
    """The share of held-out tasks that the best guesser gets right, in each fold the best one on the other folds.

    Args:
        guessers: By name.
        count: Number of tasks.
        seed: How the folds are drawn.
        labels: What is guessed, so that each fold has its share of each; None where that has no meaning.
        tried: In how many ways the best is looked for besides, for the interval.
    """
    order = np.zeros(count)
    if labels is None:
        folds = list(KFold(_FOLDS, shuffle=True, random_state=seed).split(order))
    else:
        folds = list(StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(order, np.array(labels)))
    names = list(guessers)
    hits = np.array([[guessers[name](*fold).sum() for fold in folds] for name in names])  # (guessers, folds)
    chosen = (hits.sum(axis=1, keepdims=True) - hits).argmax(axis=0)
    share = float(hits[chosen, np.arange(len(folds))].sum()) / count
    by = Counter(names[guesser] for guesser in chosen).most_common(1)[0][0] if len(names) > 1 else ""
    return Share.of(share, count, tried=tried, by=by)


def by_letters(texts: Sequence[str], labels: Sequence[str]) -> Guesser:
    """Guesses a label from the runs of one to four characters in a text."""

    def make() -> Any:
        runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, max_features=20_000)
        return make_pipeline(runs, LogisticRegression(C=10.0, max_iter=2_000))

    return _classifier(make, np.array(texts, dtype=object), labels)


def by_numbers(rows: NDArray[np.float64], labels: Sequence[str]) -> Guesser:
    """Guesses a label from numbers, by boosted trees."""
    return _classifier(_boosted, np.nan_to_num(rows, nan=_ABSENT), labels)


def by_tree(rows: NDArray[np.float64], labels: Sequence[str], *, depth: int) -> Guesser:
    """Guesses a label from numbers, by one small tree."""

    def make() -> Any:
        return DecisionTreeClassifier(max_depth=depth, min_samples_leaf=5, random_state=0)

    return _classifier(make, rows, labels)


def by_pixels(thumbnails: NDArray[np.uint8], labels: Sequence[str]) -> Guesser:
    """Guesses a label from the pixels of thumbnails, by a support vector machine."""

    def make() -> Any:
        return make_pipeline(StandardScaler(), SVC(C=3.0))

    return _classifier(make, thumbnails.reshape(len(thumbnails), -1) / 255.0, labels)


def by_patches(thumbnails: NDArray[np.uint8], labels: Sequence[str], *, seed: int) -> Guesser:
    """Guesses a label from thumbnails, by convolutions with patches of them, pooled, and a linear layer."""

    def make() -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5_000))

    return _classifier(make, patch_features(thumbnails, seed=seed), labels)


def _boosted() -> Any:
    return HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=8, early_stopping=False, random_state=0
    )


def _classifier(make: Callable[[], Any], rows: NDArray[Any], labels: Sequence[str]) -> Guesser:
    truth = np.array(labels)

    def guess(learnt: _Indices, held_out: _Indices) -> NDArray[np.float64]:
        model = make().fit(rows[learnt], truth[learnt])
        return np.asarray(model.predict(rows[held_out]) == truth[held_out], dtype=np.float64)

    return guess


def patch_features(
    thumbnails: NDArray[np.uint8], *, seed: int, filters: int = 96, side: int = 5
) -> NDArray[np.float64]:
    """Responses to patches of the thumbnails themselves, pooled over quarters and over all.

    One convolutional layer whose filters are drawn instead of learnt (Coates, Lee and Ng, 2011: "An analysis of
    single-layer networks in unsupervised feature learning"), which some hundred images suffice for.

    Args:
        thumbnails: Shape (images, 16, 16, 3).
        seed: Which patches become filters.
        filters: How many.
        side: Side of a patch, pixels.

    Returns:
        Shape (images, 6 · filters).
    """
    pixels = thumbnails.astype(np.float64) / 255.0
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side), axis=(1, 2))
    rows = windows.reshape(*windows.shape[:3], -1)  # (images, places, places, 3 · side²)
    rng = np.random.default_rng(seed)
    image, y, x = (rng.integers(length, size=filters) for length in rows.shape[:3])
    drawn = rows[image, y, x]
    drawn = drawn - drawn.mean(axis=1, keepdims=True) * rng.integers(0, 2, (filters, 1))  # half see edges only
    drawn = drawn / (np.linalg.norm(drawn, axis=1, keepdims=True) + 1e-6)
    response = rows @ drawn.T
    response = np.maximum(0.0, response - response.mean(axis=(0, 1, 2)))
    half = response.shape[1] // 2
    quarters = [
        response[:, rows_, columns].mean(axis=(1, 2))
        for rows_ in (slice(half), slice(half, None))
        for columns in (slice(half), slice(half, None))
    ]
    pooled: NDArray[np.float64] = np.concatenate(
        [*quarters, response.max(axis=(1, 2)), response.min(axis=(1, 2))], axis=1
    )
    return pooled


def rankers(
    features: Sequence[NDArray[np.float64]],
    gold: Sequence[int],
    texts: Sequence[tuple[str, Sequence[str]]] | None = None,
) -> dict[str, Guesser]:
    """Guessers that choose among each task's candidates.

    Args:
        features: For each task, shape (candidates, features).
        gold: For each task, which candidate is right.
        texts: For each task, its question and the candidates, for one that goes by words; None for none such.
    """
    sizes = [len(rows) for rows in features]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.nan_to_num(np.concatenate(features), nan=_ABSENT)
    is_gold = np.zeros(len(rows), dtype=bool)
    is_gold[starts[:-1] + np.array(gold)] = True
    made: dict[str, Guesser] = {"rule": _single_rule(rows, starts, is_gold)}
    made["trees"] = _ranker(_boosted, rows, starts, is_gold)
    if texts is not None:
        hashing = HashingVectorizer(analyzer=lambda pair: pair, n_features=1 << 16, alternate_sign=False)
        words = hashing.transform([_tokens(question, one) for question, listed in texts for one in listed])

        def make() -> Any:
            return LogisticRegression(C=3.0, max_iter=3_000)

        made["words"] = _ranker(make, words, starts, is_gold)
    return made


def _tokens(question: str, candidate: str) -> list[str]:
    """Runs of characters of the candidate, and its words beside those of the question."""
    plain = f" {candidate.casefold()} "
    runs = [plain[start : start + size] for size in (1, 2, 3) for start in range(len(plain) - size + 1)]
    words = [*candidate.casefold().split(), candidate.casefold()]
    return runs + [f"{asked}|{word}" for asked in set(question.casefold().split()) for word in set(words)]


def _rows_of(tasks: _Indices, starts: NDArray[np.intp]) -> _Indices:
    return np.concatenate([np.arange(starts[task], starts[task + 1]) for task in tasks])


def _ranker(make: Callable[[], Any], rows: Any, starts: NDArray[np.intp], is_gold: NDArray[np.bool_]) -> Guesser:
    def guess(learnt: _Indices, held_out: _Indices) -> NDArray[np.float64]:
        there = _rows_of(learnt, starts)
        model = make().fit(rows[there], is_gold[there])
        scores = model.predict_proba(rows[_rows_of(held_out, starts)])[:, 1]
        return _hits(scores, held_out, starts, is_gold)

    return guess


def _hits(
    scores: NDArray[np.float64], tasks: _Indices, starts: NDArray[np.intp], is_gold: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """For each task the probability that the candidate with the highest score is right; ties are broken by lot."""
    hits, place = [], 0
    for task in tasks:
        size = int(starts[task + 1] - starts[task])
        best = scores[place : place + size] >= scores[place : place + size].max() - 1e-12
        hits.append(float(is_gold[starts[task] : starts[task + 1]][best].mean()))
        place += size
    return np.array(hits)


def _single_rule(rows: NDArray[np.float64], starts: NDArray[np.intp], is_gold: NDArray[np.bool_]) -> Guesser:
    """Takes the candidate that has most, or least, of one feature: whichever feature was best on the tasks learnt."""
    every = np.arange(len(starts) - 1)
    right = np.stack(
        [_hits(sign * rows[:, column], every, starts, is_gold) for column in range(rows.shape[1]) for sign in (1, -1)]
    )

    def guess(learnt: _Indices, held_out: _Indices) -> NDArray[np.float64]:
        best = int(right[:, learnt].mean(axis=1).argmax())
        return np.asarray(right[best, held_out], dtype=np.float64)

    return guess
