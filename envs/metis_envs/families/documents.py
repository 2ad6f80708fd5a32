"""`documents`: forms, receipts, tables and tickets on a photograph: what does one field say?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.cards import OPEN_ANSWERS, CardFamily, CardTask
from metis_envs.families.family import Brief
from metis_envs.families.names import place_name
from metis_envs.scenes.cards import rows
from metis_gym.records import AnswerKind

__all__ = ["Documents"]

_MAX_ROWS = 5
_Value = Callable[[np.random.Generator, str], str]


def _price(rng: np.random.Generator, split: str) -> str:
    """Train and test have no price in common: the last digit tells them apart."""
    return f"{int(rng.integers(1, 60))}.{int(rng.integers(10))}{(0, 5)[split == 'test']}"


def _clock(rng: np.random.Generator, split: str) -> str:
    return f"{int(rng.integers(6, 23)):02d}:{5 * int(rng.integers(6)) + (0 if split == 'train' else 30):02d}"


def _code(rng: np.random.Generator, split: str) -> str:
    letters = "ABCDEFGHK" if split == "train" else "LMNPRSTXY"
    return f"{letters[int(rng.integers(9))]}{int(rng.integers(100, 1000))}"


def _name(rng: np.random.Generator, split: str) -> str:
    return place_name(rng, split)


@dataclass(frozen=True)
class _Document:
    """A kind of document: its fields, what they hold, how answers are compared."""

    name: str
    fields: tuple[str, ...]
    value: _Value
    question: str
    kind: AnswerKind = AnswerKind.TEXT


_DOCUMENTS = (
    _Document(
        "receipt",
        ("Bread", "Milk", "Tea", "Apples", "Soap", "Rice"),
        _price,
        "What is the price in the line “{field}” on {{card}}?",
        AnswerKind.NUMBER,
    ),
    _Document(
        "timetable",
        ("Line 1", "Line 2", "Line 4", "Line 7", "Night bus"),
        _clock,
        "At what time does “{field}” leave according to {{card}}?",
    ),
    _Document(
        "form",
        ("Seat", "Locker", "File", "Gate", "Badge"),
        _code,
        "What does the field “{field}” say on {{card}}?",
    ),
    _Document(
        "table",
        ("North", "East", "South", "West", "Centre"),
        _name,
        "Which name stands beside “{field}” on {{card}}?",
    ),
)


class Documents(CardFamily):
    """Receipts, timetables, forms and tables: the value of one field."""

    name: ClassVar[str] = "documents"
    card_name: ClassVar[str] = "sheet"

    def draw_task(self, brief: Brief) -> CardTask:
        """Draw a document; only the value of one field is left open."""
        rng = brief.rng
        document = _DOCUMENTS[int(rng.integers(len(_DOCUMENTS)))]
        count = int(rng.integers(3, _MAX_ROWS + 1))
        fields = [document.fields[i] for i in sorted(rng.permutation(len(document.fields))[:count])]
        asked = int(rng.integers(len(fields)))
        needed = (brief.choices or OPEN_ANSWERS) + len(fields)
        values: dict[str, None] = {}
        while len(values) < needed:
            values.setdefault(document.value(rng, brief.split))
        answers, others = list(values)[: needed - len(fields)], list(values)[needed - len(fields) :]
        contents = [
            rows([(field, answer if place == asked else others[place]) for place, field in enumerate(fields)])
            for answer in answers
        ]
        return CardTask(
            question=document.question.format(field=fields[asked]),
            answers=tuple(answers),
            contents=tuple(contents),
            kind=document.kind,
            explanation=f"read the line “{fields[asked]}” of the {document.name}",
        )
