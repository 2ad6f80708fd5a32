"""`counting`: how many signs of one kind are on a card?"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from metis_envs.families.cards import CardFamily, CardTask
from metis_envs.families.family import Brief
from metis_envs.scenes.cards import Content, Pen
from metis_gym.records import AnswerKind

__all__ = ["Counting"]

_SIGNS = {"circles": "○", "squares": "□", "triangles": "△", "stars": "☆", "hearts": "♡"}
_COLUMNS, _ROWS, _PITCH = 5, 4, 2.0
_COUNTS = range(2, 12)


class Counting(CardFamily):
    """Signs of two kinds in random places of a grid; one kind is to be counted."""

    name: ClassVar[str] = "counting"

    def draw_task(self, brief: Brief) -> CardTask:
        """Draw places and kinds; only how many signs are of the asked kind is left open."""
        rng = brief.rng
        asked, other = (list(_SIGNS)[i] for i in rng.permutation(len(_SIGNS))[:2])
        places = [divmod(int(i), _COLUMNS) for i in rng.permutation(_COLUMNS * _ROWS)]
        total = int(rng.integers(max(_COUNTS) + 2, _COLUMNS * _ROWS))
        counts = _counts(rng, brief.choices)
        contents = [_signs(places[:total], asked, other, count) for count in counts]
        return CardTask(
            question=f"How many {asked} are on {{card}}?",
            answers=tuple(str(count) for count in counts),
            contents=tuple(contents),
            kind=AnswerKind.NUMBER,
            explanation=f"count the {asked}",
        )


def _counts(rng: np.random.Generator, choices: int) -> list[int]:
    """All counts for an open question; neighbours in rising order for a choice."""
    if not choices:
        return list(_COUNTS)
    start = int(rng.integers(_COUNTS.start, _COUNTS.stop - choices + 1))
    return list(range(start, start + choices))


def _signs(places: Sequence[tuple[int, int]], asked: str, other: str, count: int) -> Content:
    """`count` signs of the asked kind in the first places, signs of the other kind in the rest."""

    def draw(pen: Pen) -> None:
        for number, (row, column) in enumerate(places):
            sign = _SIGNS[asked] if number < count else _SIGNS[other]
            pen.text((column + 0.5) * _PITCH, (row + 0.5) * _PITCH, sign, anchor="mm", size=1.5)

    return Content(width=_COLUMNS * _PITCH, height=_ROWS * _PITCH, draw=draw)
