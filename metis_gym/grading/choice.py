"""Which option did the answer choose?

Only explicit choices count: a letter that stands as a choice, or an option's whole text. An answer that names several
options chooses none, and there is no nearest-option guess: both would give free hits.
"""

import re
from collections.abc import Sequence

from metis_gym.grading.normalise import normalise, strip_markup

__all__ = ["LETTERS", "chosen_letter"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_ALONE = re.compile(r"^[\s(\[]*([A-Za-z])[\s)\].:,;!]*$")
_LETTER_THEN_TEXT = re.compile(r"^\s*\(?([A-Z])(?:[).:]|\s-)\s*(\S.*)$", re.DOTALL)
_ANNOUNCED = re.compile(
    r"(?i:answer|option|choice)(?:\s+is)?\s*[:=]?\s*[(\[]?"
    r"(?:([B-Z])\b|([A])\b(?!\s+[a-z])|([a-z])(?=[\s)\].,;!]*$))"  # "A dog" is an article, not a choice
)
_IN_BRACKETS = re.compile(r"\(([A-Z])\)")


def chosen_letter(answer: str, options: Sequence[str]) -> str | None:
    """The letter of the option that an answer chooses, or None.

    >>> chosen_letter("All three look red, so (C)", ["one", "two", "three"])
    'C'
    >>> chosen_letter("Canada", ["Chile", "China", "Canada"])
    'C'
    >>> chosen_letter("A or B", ["one", "two"]) is None
    True
    """
    text = strip_markup(answer)
    valid = LETTERS[: len(options)]
    alone = _ALONE.match(text)
    if alone and alone.group(1).upper() in valid:
        return alone.group(1).upper()
    by_text = _letter_of_text(text, options)
    if by_text is not None:
        return by_text
    headed = _LETTER_THEN_TEXT.match(text)
    if headed and headed.group(1) in valid and len(text) > 1:
        named = _letter_of_text(headed.group(2), options)
        if named is not None:
            return headed.group(1) if named == headed.group(1) else None
    for pattern in (_ANNOUNCED, _IN_BRACKETS):
        found = {"".join(letters).upper() for letters in pattern.findall(text)}
        if found:
            return found.pop() if len(found) == 1 and found <= set(valid) else None
    return headed.group(1) if headed and headed.group(1) in valid else None


def _letter_of_text(text: str, options: Sequence[str]) -> str | None:
    wanted = normalise(text)
    matches = [letter for letter, option in zip(LETTERS, options, strict=False) if normalise(option) == wanted]
    return matches[0] if len(matches) == 1 else None
