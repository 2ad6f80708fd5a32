"""Invented names: of families, persons and towns, out of syllables.

Several thousand heads are shared by everything that carries a name, so that a search for a name also finds namesakes.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["TOWNS", "choose", "draw_head", "draw_person", "draw_town"]

T = TypeVar("T")

_BEGINNINGS = (
    "Al Bar Ber Bor Bran Cal Cor Cray Dal Dor Dun El Fal Fen Gar Gil Gor Hal Har Hol Ing Kel Kor Lan Lor Mal Mar Mor "
    "Nor Oak Or Pel Pen Quel Ral Ros Sal Sel Sor Tal Tar Tor Ul Val Vor Wes Win Yar Zel Thorn Stan Brim Crom Drav"
).split()
_MIDDLES = ("", "", "a", "en", "er", "i", "in", "o")
_ENDS = (
    "brook bury by combe den dale field ford gate grove ham hurst ley low mead mere mont more ridge sby shaw stead "
    "stow thwaite ton vale wick well wood worth"
).split()
_TOWN_ENDS = ("avik", "borg", "essa", "ford Regis", "grad", "hafen", "mouth", "ova", "stad", "wold")
_FIRST_NAMES = (
    "Ada Alma Anton Bruno Carla Cyrus Dora Edgar Edith Elias Emil Esther Felix Flora Greta Hanna Hugo Ida Ines Jonas "
    "Julia Karl Klara Leon Lydia Magda Milan Nora Oskar Otto Paula Petra Ralph Rosa Ruth Simon Theo Tilda Vera Viktor"
).split()


def choose(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of some things, each as likely; the stream of `rng.random()` is all that it uses.

    >>> choose(np.random.default_rng(0), ("a", "b", "c", "d"))
    'c'
    """
    return options[int(rng.random() * len(options))]


def draw_head(rng: np.random.Generator) -> str:
    """The head of a name, such as "Halworth": one of some ten thousand.

    >>> draw_head(np.random.default_rng(1))
    'Moroden'
    """
    return choose(rng, _BEGINNINGS) + choose(rng, _MIDDLES) + choose(rng, _ENDS)


def draw_person(rng: np.random.Generator) -> str:
    """First and last name."""
    return f"{choose(rng, _FIRST_NAMES)} {draw_head(rng)}"


def draw_town(rng: np.random.Generator) -> str:
    """One of the towns."""
    return choose(rng, TOWNS)


TOWNS = tuple(
    sorted({f"{beginning}{end}" for beginning in _BEGINNINGS for end in _TOWN_ENDS if len(beginning) > 2 or "a" in end})
)
"""All towns; there are some hundred, so that each holds many things."""
