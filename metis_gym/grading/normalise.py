"""Bringing answers to a form in which equal answers are equal strings."""

import re
import unicodedata

__all__ = ["normalise", "strip_markup"]

_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "−": "-", "–": "-", "—": "-", "\u00a0": " "})
_MARKUP = re.compile(r"\\boxed\{(?P<boxed>[^{}]*)\}|\*\*|__|`")
_ARTICLE = re.compile(r"^(?:the|a|an)\s+(?=\S)")


def strip_markup(text: str) -> str:
    r"""Take off bold, code and `\boxed{…}` marks.

    >>> strip_markup("**B**"), strip_markup("\\boxed{42}")
    ('B', '42')
    """
    return _MARKUP.sub(lambda found: found.group("boxed") or "", text).strip()


def normalise(text: str) -> str:
    """Lower case, one kind of quote and dash, single spaces, no article in front, no full stop at the end.

    >>> normalise(" The  “Red” balloon. ")
    'red balloon'
    """
    text = unicodedata.normalize("NFKC", strip_markup(text)).translate(_QUOTES).casefold()
    text = " ".join(text.replace('"', " ").split()).lstrip(" ;:,").rstrip(" .!;:,")
    return _ARTICLE.sub("", text)
