"""From text to terms, the same for every engine, index and query.

Lower case, without diacritics, numbers without thousands separators, plurals cut (the S-stemmer of Harman, 1991), no
stop words. Chinese, Japanese and Korean text, which has no spaces, becomes one term for each character.

A text index holds these terms, not the text, so that an engine's own rules for words (SQLite's follow its version's
Unicode tables) decide nothing. Stemming beyond plurals and synonyms: not here.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator

__all__ = ["MAX_QUERY_TERMS", "STOP_WORDS", "folded", "query_terms", "terms_in", "terms_of"]

MAX_QUERY_TERMS = 32
"""How many different terms of a query are searched for: the first ones."""

STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are as at be because been before being between both but by can could did
    do does doing done down during each either every for from further had has have having he her here hers him his how i
    if in into is it its itself just let ll may me might more most much must my neither no nor not now of off on once
    only onto or other our out over own per re shall she should since so some such than that the their them then there
    these they this those through to too under until up upon us ve very was we were what when where whether which while
    who whom whose why will with within would yes yet you your
    b c d e f g h j k l m n o p q r s t u v w x y z
    """.split()
)
"""Words that say nothing about a passage, and single letters; neither indexed nor searched for."""

_MAX_TERM = 48
_MAX_QUERY = 10_000
_PIECE = 128
_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_WORD = re.compile(rf"[{_CHARACTERS}]|[^\W_{_CHARACTERS}]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def terms_of(text: str) -> Iterator[str]:
    """The terms of a text in their order, one after the other.

    >>> list(terms_of("The Café's towers: 1,250 m high"))
    ['cafe', 'tower', '1250', 'high']
    """
    return terms_in(folded(text))


def terms_in(folded_text: str) -> Iterator[str]:
    """The terms of a text that `folded` gave."""
    return filter(None, [_term(word[:_MAX_TERM]) for word in _WORD.findall(folded_text)])


def query_terms(query: str) -> tuple[str, ...]:
    """The different terms of a query, at most `MAX_QUERY_TERMS`, in their order; of its first 10,000 characters.

    >>> query_terms('"towers" OR tower NEAR(*)')
    ('tower', 'near')
    """
    return _query_terms(query[:_MAX_QUERY])


@functools.lru_cache(maxsize=256)
def _query_terms(query: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for term in terms_of(query):
        found[term] = None
        if len(found) == MAX_QUERY_TERMS:
            break
    return tuple(found)


def folded(text: str) -> str:
    """The text in lower case, without diacritics and without the commas of thousands; its spaces stay where they are.

    >>> folded("Café, 1,250 m")
    'cafe, 1250 m'
    """
    if not text.isascii():
        text = " ".join(word if word.isascii() else _without_marks(word) for word in text.split(" "))
    return _THOUSANDS.sub("", text).casefold()


def _without_marks(word: str) -> str:
    """Piece by piece: the time that Unicode's normal forms take grows with the square of a run of marks."""
    pieces = [word[start : start + _PIECE] for start in range(0, len(word), _PIECE)]
    return "".join(map(_piece_without_marks, pieces))


def _piece_without_marks(piece: str) -> str:
    apart = unicodedata.normalize("NFKD", piece)
    return unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.category(c) != "Mn"))


@functools.lru_cache(maxsize=65_536)
def _term(word: str) -> str:
    """The term of a word in lower case; empty for stop words."""
    return "" if word in STOP_WORDS else _singular(word)


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("aies", "eies")) else word[:-3] + "y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word[:-1]
