"""What the probes look at: numbers of a question and its options, statistics of a whole image, its thumbnail."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_gym.records import ImageArray

__all__ = ["candidate_features", "image_statistics", "question_features", "thumbnail"]

THUMBNAIL_SIDE = 16
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_UNKNOWN = float("nan")
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_BINS = 8


def question_features(question: str, options: Sequence[str], view_shape: Sequence[int] = ()) -> NDArray[np.float64]:
    """Lengths, digits and values of a question and of its options; NaN where there are none."""
    numbers = [_value(text) for text in _NUMBER.findall(question)]
    return np.array([*_text_numbers(question), *_spread(numbers), *_of_options(options), *view_shape], dtype=np.float64)


def _text_numbers(text: str) -> list[float]:
    words = text.split()
    return [
        len(text),
        len(words),
        sum(map(len, words)) / max(1, len(words)),
        sum(letter.isdigit() for letter in text),
        sum(letter.isupper() for letter in text),
        sum(not letter.isalnum() and not letter.isspace() for letter in text),
    ]


def _spread(values: Sequence[float]) -> list[float]:
    """How many, least, largest, mean, relative spread; NaN of none."""
    if not values:
        return [0.0, *[_UNKNOWN] * 4]
    low, high, middle = min(values), max(values), sum(values) / len(values)
    return [len(values), low, high, middle, (high - low) / (abs(middle) + 1e-9)]


def _of_options(options: Sequence[str]) -> list[float]:
    if not options:
        return [0.0, *[_UNKNOWN] * 14]
    lengths = [len(option) for option in options]
    values = [value for value in map(numeric, options) if value is not None]
    gaps = np.diff(sorted(values)) if len(values) > 1 else np.array([_UNKNOWN])
    letters = [len(set(option)) for option in options]
    return [
        len(options),
        min(lengths),
        max(lengths),
        sum(lengths) / len(lengths),
        len(set(lengths)),
        *_spread(values),
        float(np.min(gaps)),
        float(np.max(gaps)),
        sum("." in option for option in options),
        sum(letters) / len(letters),
        float(list(options) == sorted(options)),
    ]


def numeric(text: str) -> float | None:
    """The one number that a text is about; None if it has none, or several.

    >>> numeric("12.5 cm"), numeric("7:30"), numeric("oak")
    (12.5, 7.5, None)
    """
    found = _NUMBER.findall(text)
    return _value(found[0]) if len(found) == 1 else None


def _value(text: str) -> float:
    if ":" in text:
        hours, minutes = (float(part) for part in text.replace(",", ".").split(":")[:2])
        return hours + minutes / 60
    whole, *rest = text.replace(",", ".").split(".")
    return float(f"{whole}.{''.join(rest) or 0}")


def candidate_features(question: str, texts: Sequence[str], *, has_order: bool) -> NDArray[np.float64]:
    """What a reader who sees the candidates, but not the image, could choose by; shape (candidates, features).

    Args:
        question: The question.
        texts: The options, or the possible answers of an open question.
        has_order: Do they stand in an order, as options do?
    """
    count = len(texts)
    values = [numeric(text) for text in texts]
    numbers = np.array([_UNKNOWN if value is None else value for value in values])
    alike = np.eye(count)
    for one, other in combinations(range(count), 2):
        alike[one, other] = alike[other, one] = _likeness(texts[one], texts[other])
    columns = [
        np.array([len(text) for text in texts], dtype=np.float64),
        np.array([sum(letter.isdigit() for letter in text) for text in texts], dtype=np.float64),
        np.array([len(text) - len(text.rstrip("0")) for text in texts], dtype=np.float64),
        (alike.sum(axis=1) - 1) / max(1, count - 1),  # wrong answers made from the right one resemble it most
        (alike - 2 * np.eye(count)).max(axis=1),
        np.array([_consensus(text, texts) for text in texts]),
        np.array([_likeness(text, question) for text in texts]),
        np.array([sum(word in question.casefold() for word in text.casefold().split()) for text in texts]),
        numbers,
        *_relative(numbers),
    ]
    places = np.eye(count) if has_order else np.zeros((count, 0))
    wide = np.zeros((count, MAX_PLACES))
    wide[:, : places.shape[1]] = places[:, :MAX_PLACES]
    plain = np.stack(columns, axis=1)
    return np.concatenate([plain, within_ranks(plain), wide], axis=1)


MAX_PLACES = 10


def within_ranks(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each feature's rank among the candidates of the task, from 0 to 1, equal ones sharing theirs."""
    filled = np.nan_to_num(features, nan=0.0)
    less = (filled[:, None, :] > filled[None, :, :]).sum(axis=1)
    equal = (filled[:, None, :] == filled[None, :, :]).sum(axis=1)
    ranks: NDArray[np.float64] = (less + (equal - 1) / 2) / max(1, len(features) - 1)
    return ranks


def _relative(numbers: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """How far from the middle of the others, and from the nearest of them, each number is."""
    count = len(numbers)
    if count < 2 or np.isnan(numbers).any():
        return [np.full(count, _UNKNOWN)] * 4
    apart = np.abs(numbers[:, None] - numbers[None, :])
    nearest = (apart + np.where(np.eye(count, dtype=bool), np.inf, 0.0)).min(axis=1)
    scale = apart.mean() + 1e-9
    return [
        np.abs(numbers - np.median(numbers)) / scale,
        np.abs(numbers - numbers.mean()) / scale,
        nearest / scale,
        apart.mean(axis=1) / scale,
    ]


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _consensus(text: str, texts: Sequence[str]) -> float:
    """How many others have the same letter at a place, on average over the places."""
    hits = [sum(other[place : place + 1] == letter for other in texts) - 1 for place, letter in enumerate(text)]
    return sum(hits) / max(1, len(hits)) / max(1, len(texts) - 1)


def thumbnail(view: ImageArray) -> NDArray[np.uint8]:
    """The view at 16 × 16 pixels, each the mean of an area; shape (16, 16, 3)."""
    small = Image.fromarray(view).resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.uint8)


def image_statistics(view: ImageArray, source: ImageArray) -> NDArray[np.float64]:
    """Colour and edge statistics of a whole image, and the sizes that a prompt states."""
    pixels = view.astype(np.float64)
    grey = (pixels[..., 0] + pixels[..., 1] + pixels[..., 2]) / 3
    return np.array([*view.shape[:2], *source.shape[:2], *_colours(view, pixels, grey), *_edges(grey)])


def _colours(view: ImageArray, pixels: NDArray[np.float64], grey: NDArray[np.float64]) -> list[float]:
    planes = [pixels[..., channel] for channel in range(3)]
    saturation = np.maximum.reduce(planes) - np.minimum.reduce(planes)
    red, green, blue = (view[..., channel].astype(np.int32) for channel in range(3))
    codes = np.sort((red << 16 | green << 8 | blue).ravel())
    counts = np.diff(np.flatnonzero(np.diff(codes, prepend=-1, append=-1)))
    histogram = [
        share for channel in range(3) for share in np.bincount(view[..., channel].ravel() >> 5, minlength=_BINS)
    ]
    return [
        *pixels.mean(axis=(0, 1)),
        *pixels.std(axis=(0, 1)),
        *np.percentile(grey, _PERCENTILES),
        *np.percentile(saturation, _PERCENTILES),
        *(np.array(histogram) / grey.size),
        float((saturation == 0).mean()),
        float(((saturation == 0) & (grey > 40) & (grey < 215)).mean()),
        len(counts) / grey.size,
        float(counts.max() / grey.size),
    ]


def _edges(grey: NDArray[np.float64]) -> list[float]:
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    bend = np.abs(grey[1:-1, 1:-1] * 4 - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:])
    side = max(1, min(grey.shape) // 32)
    height, width = (length // side * side for length in grey.shape)
    tiles = grey[:height, :width].reshape(height // side, side, width // side, side)
    rough = tiles.std(axis=(1, 3))
    return [
        *(statistic for edges in (across, down, bend) for statistic in (edges.mean(), edges.std())),
        *np.percentile(across, (50, 75, 90, 99)),
        *np.percentile(down, (50, 75, 90, 99)),
        *np.percentile(bend, (50, 90, 99)),
        *np.percentile(rough, (5, 25, 50, 75, 95)),
        float((rough < 1).mean()),
        float((across > 40).mean()),
        float((down > 40).mean()),
    ]
