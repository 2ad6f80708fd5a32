"""Which option did the answer choose?

Only explicit choices count: a letter that stands as a choice, an option's whole text or value, or all of its words that
the other options do not share. An answer that names several options chooses none, and there is no nearest-option guess:
both would give free hits.
"""

import re
from collections.abc import Sequence

from metis_gym.grading.colours import colours_said
from metis_gym.grading.normalise import forms, plain
from metis_gym.grading.phrases import readings, shared_words, without_words
from metis_gym.grading.values import Comparison

__all__ = ["LETTERS", "chosen_letter", "chosen_letters", "letters_of"]

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
    chosen = chosen_letters(answer, options)
    return next(iter(chosen)) if len(chosen) == 1 else None


def chosen_letters(answer: str, options: Sequence[str], question: str = "") -> frozenset[str]:
    """The letters of the chosen option and of those that read the same; none if no option is chosen.

    Args:
        answer: What was answered.
        options: The options' texts.
        question: What was asked: where the options are colours, its nouns may stand behind one ("the red flag").
    """
    text = plain(answer)
    valid = LETTERS[: len(options)]
    alone = _ALONE.match(text)
    if alone and answer.strip() in options and not answer.strip().isalpha():
        return letters_of(answer, options)  # options such as "(b)", in whatever order
    if alone and alone.group(1).upper() in valid:
        return frozenset(alone.group(1).upper())
    by_text = letters_of(text, options)
    if by_text:
        return by_text
    headed = _LETTER_THEN_TEXT.match(text)
    if headed and headed.group(1) in valid:
        named = letters_of(headed.group(2), options)
        if named:
            return frozenset(headed.group(1)) if headed.group(1) in named else frozenset()
    for pattern in (_ANNOUNCED, _IN_BRACKETS):
        found = {"".join(letters).upper() for letters in pattern.findall(text)}
        if found:
            return frozenset(found) if len(found) == 1 and found <= set(valid) else frozenset()
    if headed and headed.group(1) in valid:
        return frozenset(headed.group(1))
    for reading in (*readings(text)[1:], *colours_said(text, question, options)):
        by_text = letters_of(reading, options)
        if by_text:
            return by_text
    return _letters_by_what_differs(text, options)


def _letters_by_what_differs(text: str, options: Sequence[str]) -> frozenset[str]:
    """The option of which the answer says all but the words that stand in every option."""
    shared = shared_words(tuple(options))
    if not shared:
        return frozenset()
    said = frozenset[str]().union(*(forms(without_words(reading, shared)) for reading in readings(text)))
    differing = [(letter, without_words(option, shared)) for letter, option in zip(LETTERS, options, strict=False)]
    found = frozenset(
        letter for letter, words in differing if words not in options and forms(words, is_gold=True) & said
    )
    return found if len(found) == 1 else frozenset()


def letters_of(text: str, options: Sequence[str]) -> frozenset[str]:
    """The letters of the options with this text; where no text is the same, of the only one with this value."""
    lettered = list(zip(LETTERS, options, strict=False))
    literal = frozenset(letter for letter, option in lettered if option.strip() == text.strip())
    if literal:
        return literal
    wanted = forms(text)
    same = frozenset(letter for letter, option in lettered if forms(option, is_gold=True) & wanted)
    if same:
        return same
    equal = frozenset(letter for letter, option in lettered if _BY_VALUE.plain_step(text, option))
    return equal if len(equal) == 1 else frozenset()


_BY_VALUE = Comparison()
