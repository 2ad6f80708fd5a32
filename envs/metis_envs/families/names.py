"""Invented names for signs, made from syllables. Each name belongs to one split, by its checksum."""

import zlib

import numpy as np

__all__ = ["name_split", "place_name"]

_FIRST = (
    "Al", "Ash", "Bar", "Ber", "Bram", "Cal", "Car", "Cor", "Dal", "Del", "Dun", "El", "Fal", "Fen", "Gal", "Glen",
    "Hal", "Har", "Hol", "Kel", "Lam", "Lin", "Lor", "Mal", "Mar", "Mor", "Nor", "Oak", "Pel", "Ros", "Sel", "Tal",
    "Ten", "Val", "Wes", "Win", "Wol", "Yar",
)  # fmt: skip
_LAST = (
    "brook", "bury", "by", "combe", "dale", "den", "field", "ford", "gate", "ham", "hurst", "ley", "low", "mere",
    "mont", "more", "ney", "ridge", "stead", "stock", "thorpe", "ton", "well", "wick", "worth", "wyn",
)  # fmt: skip
_TEST_SHARE = 5


def name_split(name: str) -> str:
    """The split that a name belongs to: a fifth of all are for "test"."""
    return "test" if zlib.crc32(name.casefold().encode()) % _TEST_SHARE == 0 else "train"


def place_name(rng: np.random.Generator, split: str) -> str:
    """Draw a name of a split, such as "Halworth"."""
    while True:
        name = _FIRST[int(rng.integers(len(_FIRST)))] + _LAST[int(rng.integers(len(_LAST)))]
        if name_split(name) == split:
            return name
