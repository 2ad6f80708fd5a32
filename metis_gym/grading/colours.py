"""Colours with what has them: "the red flag" says red, where the question asks for the colour of a flag."""

import re
from collections.abc import Sequence

from metis_gym.grading.normalise import normalise
from metis_gym.grading.phrases import readings

__all__ = ["colours_said"]

_COLOURS = frozenset(
    (
        "black white grey gray red green blue yellow orange purple violet pink brown cyan magenta turquoise teal olive "
        "navy maroon beige gold golden silver bronze crimson scarlet lime indigo lavender lilac tan khaki coral salmon "
        "ivory cream ochre amber burgundy mint aqua azure peach plum rose rust mustard charcoal copper"
    ).split()
)
_SHADES = frozenset("light dark pale bright deep".split())
_NO_NOUNS = frozenset(
    "not no nor neither never either or and but than without except unlike none other another different".split()
)
_WORD = re.compile(r"[^\W\d_]+")


def colours_said(answer: str, question: str, possible: Sequence[str]) -> tuple[str, ...]:
    """The colours that an answer may say with a noun of the question behind them; none unless all answers are colours.

    Args:
        answer: What was answered.
        question: What was asked. Words that it does not hold, or that negate, are never left out.
        possible: The possible answers.

    >>> colours_said("It is the red flag.", "What colour is the flag?", ("red", "blue", "dark red"))
    ('red',)
    >>> colours_said("the red flag", "What colour is the roof?", ("red", "blue"))
    ()
    """
    known = _COLOURS | _SHADES
    if len(possible) < 2 or not all(known.issuperset(normalise(text).split()) for text in possible):
        return ()
    asked = set(_WORD.findall(question[-4000:].casefold())) - known - _NO_NOUNS
    asked |= {f"{word}s" for word in asked}
    found = []
    for reading in readings(answer, question):
        words = normalise(reading).split()
        count = next((place for place, word in enumerate(words) if word not in known), len(words))
        if 0 < count < len(words) and asked.issuperset(words[count:]):
            found.append(" ".join(words[:count]))
    return tuple(dict.fromkeys(found))
