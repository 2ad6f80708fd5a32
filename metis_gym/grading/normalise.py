"""Bringing answers to a form in which equal answers are equal strings, and different ones are not."""

import functools
import re

from metis_gym.grading.characters import fold_characters
from metis_gym.grading.markup import plain_latex, strip_markup

__all__ = ["MAX_LENGTH", "forms", "normalise", "plain", "strip_markup"]

MAX_LENGTH = 4000
"""Texts of more characters than this are compared as they stand."""

_RELATIONS = (("==", "="), (">=", "≥"), ("<=", "≤"), ("!=", "≠"))
_POWER = re.compile(r"(?<=[\w)])\s?\*\*\s?(?=[\w(-])")
_BULLET = re.compile(r"^(?:#+\s+|[-*·]\s+(?=[^\W\d]))")
_TIGHT = re.compile(r"\s*([=<>≤≥≠≈^×·/+√|()\[\]{}])\s*")
_SYMBOLIC = re.compile(r"[=<>≤≥≠≈^×√∪∩∞]|(?<=[\w)])[+*/](?=[\w(])|\\")
_FACTOR = re.compile(r"(?<=\d)\s(?=[^\W\d_](?![^\W\d_]))")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
_FACTORIAL = re.compile(r"(?:\d|\)|\b[^\W\d_])!$")
_LOWERED = re.compile(r"(?<=[A-Za-z])_(\d+)")
_SUBSCRIPT = re.compile("[₀-₉]|\\\\|\\{")
_THE, _A = re.compile(r"^(?:the)\s+(?=\S)"), re.compile(r"^an?\s+(?=[^\W\d_]{2})")


def plain(text: str, is_gold: bool = False) -> str:
    r"""Without formatting, in plain characters, in its own case.

    Args:
        text: What was written.
        is_gold: It is data rather than something a model wrote: underlines are part of a name.

    >>> plain("**102 cm²**."), plain("$10^{2}$"), plain("2 ** 3")
    ('102 cm^2', '10^2', '2^3')
    """
    return _plain(text, is_gold) if len(text) <= MAX_LENGTH else text


@functools.lru_cache(maxsize=4096)
def _plain(text: str, is_gold: bool) -> str:
    text = plain_latex(strip_markup(fold_characters(text), underlines=not is_gold))
    for written, meant in _RELATIONS:
        text = text.replace(written, meant)
    if "**" in text:
        text = _POWER.sub("^", text)
    return _trimmed(" ".join(text.split()))


def normalise(text: str, is_gold: bool = False) -> str:
    """Lower case, one kind of quote and dash, single spaces, no article in front, no full stop at the end.

    In formulas one and two letters keep their case: R² − r² is not r² − R².

    >>> normalise(" The  “Red” balloon. "), normalise("R² − r²"), normalise("2⁵") == normalise("25")
    ('red balloon', 'R^2-r^2', False)
    """
    return _normalise(plain(text, is_gold)) if len(text) <= MAX_LENGTH else text


def forms(text: str, is_gold: bool = False) -> frozenset[str]:
    """The normalised text, and, where it has typeset indices, also without their mark: H₂O is H_2O and H2O."""
    normalised = normalise(text, is_gold)
    if "_" in normalised and len(text) <= MAX_LENGTH and _SUBSCRIPT.search(text):
        return frozenset((normalised, _LOWERED.sub(r"\1", normalised)))
    return frozenset((normalised,))


@functools.lru_cache(maxsize=8192)
def _normalise(text: str) -> str:
    text = _TIGHT.sub(r"\1", text)
    if _SYMBOLIC.search(text):
        text = _LONG_WORD.sub(lambda found: found.group().casefold(), text)
        text = _FACTOR.sub("", re.sub(r"\s*-\s*", "-", text))
    else:
        text = text.casefold()
    if '"' in text:
        text = re.sub(r'(?<!\d)"|^"(.*)"$', r" \1", text)
    text = _trimmed(" ".join(text.split()))
    if len(text) > 1 and text[0] == text[-1] == "'":
        text = text[1:-1]
    return _A.sub("", _THE.sub("", text))


def _trimmed(text: str) -> str:
    """Without punctuation around it. A comma or point right before a digit, and the ! of 5!, belong to the value."""
    text = text.strip().lstrip(";:").lstrip()
    if text.startswith(", "):
        text = text[2:]
    text = _BULLET.sub("", text).rstrip(" .;:,")
    while text.endswith("!") and not _FACTORIAL.search(text):
        text = text[:-1].rstrip(" .;:,")
    return text
