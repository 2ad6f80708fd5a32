"""A row of a benchmark's file: its values with clear errors, and what becomes of it."""

import ast
import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metis_gym.errors import TaskDataError
from metis_gym.filesets.rows import column_names
from metis_gym.filesets.texts import clean, shown
from metis_gym.grading.choice import LETTERS
from metis_gym.records import AnswerKind, GoldAnswer

__all__ = ["Item", "Row", "choice_gold", "is_blank", "letter_gold"]

_TEXT_CHARS = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row as a question.

    Attributes:
        question: The question, without its options.
        gold: The right answer.
        options: The options, in order; empty for an open question.
        labels: What figures are split by: category, group, variant …; empty for what `labels_of` says.
        unit: What was sampled, where several rows share one: intervals are over units. Empty for what `unit_of` says.
    """

    question: str
    gold: GoldAnswer
    options: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""


class Row:
    """A row, with clear errors for columns that are not there. NaN, which tables write for nothing, is nothing.

    Args:
        values: Column → value.
        place: What messages call the row.
    """

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self.values, self.place = values, place

    def __contains__(self, name: str) -> bool:
        return not _is_nothing(self.values.get(name))

    def get(self, *names: str) -> Any:
        """The value of the first of some columns that is there; arrays as lists.

        Raises:
            TaskDataError: None of them is.
        """
        for name in names:
            if name in self:
                value = self.values[name]
                return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        wanted = " or ".join(map(repr, names))
        raise TaskDataError(f"{self.place} has no {wanted}; it has: {column_names(self.values)}")

    def text(self, *names: str) -> str:
        """A text, or a number as text, without space around it."""
        value = self.get(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TaskDataError(f"{self.place}: {names[0]!r} must be text or a number, actually: {shown(value)}")
        return clean(str(value)[:_TEXT_CHARS]).strip()

    def words(self, *names: str) -> str:
        """A text that says something.

        Raises:
            TaskDataError: It is blank.
        """
        text = self.text(*names)
        if is_blank(text):
            raise TaskDataError(f"{self.place}: {names[0]!r} is blank")
        return text

    def label(self, *names: str) -> str:
        """A name or a number that rows are told apart by: 4, "4" and 4.0 are the same."""
        text = self.text(*names)
        try:
            return str(int(float(text))) if float(text).is_integer() else text
        except (ValueError, OverflowError):
            return text

    def whole(self, *names: str) -> int:
        """A whole number, or one that stands in a text or as 4.0."""
        try:
            return int(self.label(*names))
        except ValueError:
            raise TaskDataError(
                f"{self.place}: {names[0]!r} must be a whole number, actually: {self.text(*names)!r:.80}"
            ) from None

    def literal(self, *names: str) -> Any:
        """A list that stands in a text as JSON or Python would write it; a list as it is."""
        value = self.get(*names)
        if not isinstance(value, str):
            return value
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
        raise TaskDataError(f"{self.place}: {names[0]!r} is no list: {shown(value)}")

    def texts(self, *names: str) -> tuple[str, ...]:
        """A list of texts or numbers, as it is or inside a text.

        Raises:
            TaskDataError: It is none.
        """
        value = self.literal(*names)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str | int | float) for item in value):
            raise TaskDataError(f"{self.place}: {names[0]!r} must be a list of texts, actually: {shown(value)}")
        return tuple(str(item) for item in value)

    def optional(self, *names: str) -> str:
        """A text; empty where there is none."""
        return self.text(*names) if any(name in self for name in names) else ""


def choice_gold(options: Sequence[str], right: str, place: str) -> GoldAnswer:
    """The letter of the option that is literally the right text.

    Raises:
        TaskDataError: No option is.
    """
    stripped = [option.strip() for option in options]
    for texts, wanted in ((list(options), right), (stripped, right.strip())):
        if wanted in texts[: len(LETTERS)]:
            return GoldAnswer(value=LETTERS[texts.index(wanted)], kind=AnswerKind.CHOICE)
    raise TaskDataError(f"{place}: the right answer {right!r:.80} is none of the options {list(options)!r:.200}")


def letter_gold(labels: Sequence[str], right: str, place: str) -> GoldAnswer:
    """The letter of the option with a label.

    Raises:
        TaskDataError: No option has it.
    """
    label = right.strip().strip("()[].: ").upper()
    if label not in labels:
        raise TaskDataError(f"{place}: the right answer {right!r:.80} is none of the labels {', '.join(labels)}")
    return GoldAnswer(value=LETTERS[list(labels).index(label)], kind=AnswerKind.CHOICE)


def is_blank(text: str) -> bool:
    """Is there nothing but space and control characters?"""
    return all(unicodedata.category(character)[0] in "CZ" for character in text)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
