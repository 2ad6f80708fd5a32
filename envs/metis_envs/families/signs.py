"""`signs`: a street or museum sign that is legible in the view. No tool is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.names import place_name
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.boards import BoardStyle, draw_board, fitting_board
from metis_gym.records import AnswerKind, ImageArray, Necessity

__all__ = ["Signs"]

_OPEN_ANSWERS = 12

_Text = tuple[str, str]
"""What is asked for, and what the sign says."""


@dataclass(frozen=True)
class _Kind:
    """A kind of sign: how it looks, what it says, what is asked."""

    style: BoardStyle
    question: str
    write: Callable[[np.random.Generator, str], Callable[[], _Text]]
    kind: AnswerKind = AnswerKind.TEXT


def _street(rng: np.random.Generator, split: str) -> Callable[[], _Text]:
    suffix = ("Street", "Lane", "Road", "Square", "Bridge")[int(rng.integers(5))]

    def write() -> _Text:
        name = f"{place_name(rng, split)} {suffix}"
        return name, name.upper()

    return write


def _direction(rng: np.random.Generator, split: str) -> Callable[[], _Text]:
    distance = int(rng.integers(2, 60))

    def write() -> _Text:
        name = place_name(rng, split)
        return name, f"{name}  {distance} km"

    return write


def _room(rng: np.random.Generator, split: str) -> Callable[[], _Text]:
    subject = ("Glass & Silver", "Old Maps", "Textiles", "Armour", "Porcelain", "Clocks", "Birds")[int(rng.integers(7))]
    parity = 0 if split == "train" else 1

    def write() -> _Text:
        number = 2 * int(rng.integers(5, 49)) + parity
        return str(number), f"Room {number}\n{subject}"

    return write


def _opening(rng: np.random.Generator, split: str) -> Callable[[], _Text]:
    closing = int(rng.integers(16, 22))
    minutes = ("00", "30") if split == "train" else ("15", "45")

    def write() -> _Text:
        time = f"{int(rng.integers(6, 13))}:{minutes[int(rng.integers(2))]}"
        return time, f"OPEN\n{time} – {closing}:00"

    return write


def _artist(rng: np.random.Generator, split: str) -> Callable[[], _Text]:
    first = ("Ada", "Bruno", "Clara", "Emil", "Ida", "Jonas", "Nora", "Otto")[int(rng.integers(8))]
    year = int(rng.integers(1650, 1930))

    def write() -> _Text:
        name = f"{first} {place_name(rng, split)}"
        return name, f"{name}\noil on canvas, {year}"

    return write


_KINDS = (
    _Kind(
        BoardStyle(name="street sign", fill=(18, 58, 132), ink=(250, 250, 250), border=(250, 250, 250), rounded=0.25),
        "What is the name on the street sign?",
        _street,
    ),
    _Kind(
        BoardStyle(
            name="road sign",
            fill=(10, 104, 62),
            ink=(252, 252, 250),
            border=(252, 252, 250),
            rounded=0.3,
        ),
        "Which place does the road sign point to?",
        _direction,
    ),
    _Kind(
        BoardStyle(
            name="museum sign", fill=(36, 36, 40), ink=(238, 214, 150), border=(150, 128, 78), face="serif-bold"
        ),
        "What is the number of the room on the museum sign?",
        _room,
        AnswerKind.NUMBER,
    ),
    _Kind(
        BoardStyle(name="door sign", fill=(250, 250, 248), ink=(30, 30, 34), border=(200, 40, 40), rounded=0.2),
        "At what time does the place open, according to the sign?",
        _opening,
    ),
    _Kind(
        BoardStyle(name="museum label", fill=(250, 247, 236), ink=(38, 34, 30), face="serif-bold"),
        "Which artist does the museum label name?",
        _artist,
    ),
)


class Signs(Family):
    """Street signs, road signs, museum signs, door signs and museum labels."""

    name: ClassVar[str] = "signs"
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE,)
    smallest_view: ClassVar[int] = 320

    def plan(self, brief: Brief) -> Blueprint:
        """Write as many different signs of one kind as there are answers."""
        kind = _KINDS[int(brief.rng.integers(len(_KINDS)))]
        texts = _different(kind.write(brief.rng, brief.split), brief.choices or _OPEN_ANSWERS)
        background = choose_background(brief.rng, brief.canvas, brief.split)
        board = fitting_board(brief.rng, brief.canvas, kind.style, [written for _, written in texts])

        def draw_detail(scene: ImageArray, index: int) -> None:
            draw_board(scene, board, texts[index][1])

        return Blueprint(
            question=kind.question,
            answers=tuple(asked for asked, _ in texts),
            paint=background.paint,
            draw_detail=draw_detail,
            region=board.box,
            notes=background.notes,
            explanation=f"Read the {kind.style.name} in the view.",
            kind=kind.kind,
        )


def _different(write: Callable[[], _Text], count: int) -> tuple[_Text, ...]:
    found: dict[str, str] = {}
    while len(found) < count:
        asked, written = write()
        found.setdefault(asked, written)
    return tuple(found.items())
