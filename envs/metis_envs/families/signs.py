"""`signs`: street signs, museum boards and door plates with several lines: what does one line say?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Brief
from metis_envs.families.lists import ListFamily, ListTask, draw_lines
from metis_envs.families.names import place_name
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.lists import ListLook
from metis_gym.records import AnswerKind

__all__ = ["Signs"]

_Value = Callable[[np.random.Generator, str], str]


def _distance(rng: np.random.Generator, split: str) -> str:
    return str(2 * int(rng.integers(5, 49)) + (0 if split == "train" else 1))


def _room(rng: np.random.Generator, split: str) -> str:
    return str(2 * int(rng.integers(50, 150)) + (0 if split == "train" else 1))


def _opening(rng: np.random.Generator, split: str) -> str:
    minutes = ("00", "30") if split == "train" else ("15", "45")
    return f"{int(rng.integers(6, 13)):02d}:{minutes[int(rng.integers(2))]}"


@dataclass(frozen=True)
class _Kind:
    """A kind of sign: its lines, what they say, where it stands."""

    name: str
    fields: tuple[str, ...]
    value: _Value
    wordings: tuple[str, ...]
    titles: tuple[str, ...]
    large_print: tuple[str, ...]
    small_print: tuple[str, ...]
    setting: str
    kind: AnswerKind = AnswerKind.TEXT


_KINDS = (
    _Kind(
        "road sign",
        ("Lake", "Castle", "Airport", "Harbour", "Forest", "Old Mill", "Beach", "Caves"),
        _distance,
        (
            "How many km is it to “{field}” according to the sign headed “{title}”?",
            "What distance, in km, does the sign headed “{title}” give for “{field}”?",
            "How far away is “{field}”, in km, as the sign headed “{title}” says?",
            "Which number of km stands beside “{field}” on the sign headed “{title}”?",
            "On the sign headed “{title}”, how many km are given for “{field}”?",
            "Following the sign headed “{title}”, how many km are left to “{field}”?",
            "What is the distance to “{field}”, in km, on the sign with the heading “{title}”?",
        ),
        ("Route 5", "Route 12", "Route 30", "Trail A", "Trail C", "Ring road", "Valley", "Coast"),
        ("km", "SLOW", "→", "KEEP LEFT"),
        ("Distances are given in km.", "Road maintenance by the county.", "Report damage: 555 0147"),
        "street",
        AnswerKind.NUMBER,
    ),
    _Kind(
        "museum sign",
        ("Maps", "Textiles", "Armour", "Clocks", "Birds", "Glass", "Coins", "Masks"),
        _room,
        (
            "In which room is “{field}” according to the sign headed “{title}”?",
            "Which room does the sign headed “{title}” give for “{field}”?",
            "What is the number of the room beside “{field}” on the sign headed “{title}”?",
            "Looking for “{field}”: which room does the sign headed “{title}” name?",
            "On the sign headed “{title}”, which room belongs to “{field}”?",
            "To which room do visitors of “{field}” go, as the sign headed “{title}” says?",
            "Which room number stands beside “{field}” on the sign with the heading “{title}”?",
        ),
        ("East wing", "West wing", "Floor 1", "Floor 2", "Floor 3", "Annex", "Old house", "Gallery"),
        ("Rooms", "No flash", "Quiet please", "Exit →"),
        ("Please do not touch the objects.", "Large bags go into the lockers", "beside the entrance."),
        "wall",
        AnswerKind.NUMBER,
    ),
    _Kind(
        "door plate",
        ("Monday", "Tuesday", "Friday", "Saturday", "Sunday", "Holidays"),
        _opening,
        (
            "At what time does the place open on “{field}”, according to the plate headed “{title}”?",
            "When does it open on “{field}” as the plate headed “{title}” says?",
            "Which opening time stands beside “{field}” on the plate headed “{title}”?",
            "What opening time does the plate headed “{title}” give for “{field}”?",
            "On the plate headed “{title}”, when is the opening on “{field}”?",
            "According to the plate headed “{title}”, from what time is it open on “{field}”?",
            "From when is it open on “{field}”, by the plate with the heading “{title}”?",
        ),
        ("Bakery", "Bank", "Museum", "Library", "Chemist", "Post", "Café", "Pool"),
        ("OPEN", "Welcome", "Pull", "Ring bell"),
        ("Last admission half an hour", "before closing time.", "No dogs, please."),
        "street",
    ),
    _Kind(
        "house sign",
        ("Floor 1", "Floor 2", "Floor 3", "Floor 4", "Floor 5", "Court", "Cellar", "Attic"),
        place_name,
        (
            "Which name stands beside “{field}” on the sign headed “{title}”?",
            "Who is at “{field}” according to the sign headed “{title}”?",
            "Which name does the sign headed “{title}” give for “{field}”?",
            "On the sign headed “{title}”, who is found at “{field}”?",
            "What is the name beside “{field}” on the sign headed “{title}”?",
            "Visiting “{field}”: which name does the sign headed “{title}” have there?",
            "Whose name is at “{field}” on the sign with the heading “{title}”?",
        ),
        ("House 3", "House 8", "House 15", "Lodge", "The Mews", "Block D", "Tower", "Mill"),
        ("Bell →", "Entrance", "24 h", "Lift"),
        ("Deliveries to the rear, please.", "Visitors report to the porter", "at the main gate."),
        "street",
    ),
)

_PLATES: tuple[tuple[Colour, Colour], ...] = (
    ((24, 62, 128), (246, 246, 244)), ((18, 98, 66), (248, 248, 244)), ((110, 66, 36), (246, 240, 228)),
    ((242, 240, 234), (34, 34, 38)), ((44, 46, 50), (236, 226, 200)), ((228, 184, 40), (30, 28, 26)),
    ((138, 32, 38), (248, 244, 238)), ((206, 206, 200), (30, 34, 40)),
)  # fmt: skip
_PICTOGRAMS = ("", "→", "←", "↑", "⚠", "☎", "✉", "⚓", "♿", "☕")


class Signs(ListFamily):
    """Road signs, museum signs, door plates and house signs: the value of one line."""

    name: ClassVar[str] = "signs"
    generation: ClassVar[int] = 3

    def draw_task(self, brief: Brief) -> ListTask:
        """Draw two signs of one kind."""
        rng = brief.rng
        kind = _KINDS[int(rng.integers(len(_KINDS)))]
        fields, values, answers = draw_lines(brief, kind.fields, lambda: kind.value(rng, brief.split))
        first, second = (int(i) for i in rng.choice(len(kind.titles), size=2, replace=False))
        return ListTask(
            name=kind.name,
            wordings=kind.wordings,
            titles=(kind.titles[first], kind.titles[second]),
            fields=fields,
            answers=answers,
            values=values,
            setting=kind.setting,
            looks=(_look(rng), _look(rng)),
            large_print=kind.large_print[int(rng.integers(len(kind.large_print)))],
            small_print=kind.small_print,
            kind=kind.kind,
            turn=1.2,
        )


def _look(rng: np.random.Generator) -> ListLook:
    fill, ink = _PLATES[int(rng.integers(len(_PLATES)))]
    return ListLook(
        fill=fill,
        ink=ink,
        border=(ink, None, (120, 120, 118))[int(rng.integers(3))],
        rounded=float(rng.choice([0.0, 0.25, 0.4])),
        title_face=("sans-bold", "sans-bold", "serif-bold", "times-bold")[int(rng.integers(4))],
        large_face=("sans", "sans", "serif")[int(rng.integers(3))],
        sign=_PICTOGRAMS[int(rng.integers(len(_PICTOGRAMS)))],
        held_by="bolts",
    )
