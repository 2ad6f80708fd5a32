"""The part of a text that is shown as its snippet, at a cost that a long text does not raise."""

import re
from collections.abc import Mapping, Sequence

from metis_gym.search.index.terms import folded, query_terms, terms_in

__all__ = ["MAX_SNIPPET", "MAX_TEXT", "clean", "one_line", "short_line", "snippet"]

MAX_SNIPPET = 1_000
"""Characters of a snippet: ten of them fit an observation."""
MAX_TEXT = 100_000
"""Characters of a text from elsewhere that are looked at: those of a service's hit, or of a task's own passage."""

_MAX_LINE = 2_000
_CLOSE = 10_000
"""Characters of a text that are looked at word by word."""
_MAX_PLACES = 50
_MAX_HITS = 1_000


def one_line(text: str) -> str:
    r"""The text on one line, without runs of white space.

    >>> one_line(" a\n  b ")
    'a b'
    """
    return " ".join(text.split())


def clean(text: str) -> str:
    r"""The text without lone surrogates, which are no characters and stand in no observation.

    >>> clean("a\ud800b")
    'a?b'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def short_line(text: str) -> str:
    """A title or an address: clean, on one line, of 2,000 characters at most."""
    line = one_line(clean(text[: 2 * _MAX_LINE]))
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def snippet(text: str, query: str, limit: int = MAX_SNIPPET) -> str:
    """The text on one line; of a long text, the stretch of words that holds most of the query's terms.

    Of a very long one (10,000 characters), that part is looked at in which terms stand closest as they are written.

    >>> snippet("one two three four five six", "five", limit=12)
    '… five six'
    """
    wanted = query_terms(query)
    start = _promising(text, wanted, limit)
    line = one_line(text[start : start + _CLOSE])
    if len(text) <= _CLOSE and len(line) <= limit:
        return line
    words = line.split(" ")
    first, last = _best_stretch([len(word) + 1 for word in words], _hits(words, wanted), limit)
    shown = " ".join(words[first:last])[:limit]
    is_end = last == len(words) and start + _CLOSE >= len(text)
    return f"{'… ' if start or first else ''}{shown}{'' if is_end else ' …'}"


def _promising(text: str, wanted: Sequence[str], limit: int) -> int:
    """Where to look closely in a very long text: around the stretch with the most different terms."""
    if len(text) <= _CLOSE:
        return 0
    lower = text.lower()
    if len(lower) != len(text):  # some letters become two
        lower = text
    found = {term: _places(lower, _root(term), limit // 4 + 1) for term in wanted}
    rare = [term for term in wanted if len(found[term]) < _MAX_PLACES]  # the others stand everywhere
    places = [(place, term) for term in (rare if any(map(found.get, rare)) else wanted) for place in found[term]]
    places.sort()
    counts = [
        (len({term for other, term in places[n : n + len(wanted)] if other < place + limit}), -place)
        for n, (place, _) in enumerate(places)
    ]
    return max(0, -max(counts)[1] - _CLOSE // 2) if counts else 0


def _places(text: str, term: str, step: int) -> list[int]:
    """Where a term stands, at most once in a step, and the first places only."""
    places: list[int] = []
    place = text.find(term)
    while place >= 0 and len(places) < _MAX_PLACES:
        places.append(place)
        place = text.find(term, place + step)
    return places


def _hits(words: Sequence[str], wanted: Sequence[str]) -> Mapping[int, frozenset[str]]:
    """Number of a word → the terms that it holds, for words that hold any; at most `_MAX_HITS` are looked into."""
    if not wanted:
        return {}
    texts = folded(" ".join(words)).split(" ")
    if len(texts) != len(words):  # a few signs are folded into a space and another sign
        texts = [folded(word) for word in words]
    may_hold = re.compile("|".join(re.escape(_root(term)) for term in wanted)).search
    terms = frozenset(wanted)
    candidates = [number for number, text in enumerate(texts) if may_hold(text)][:_MAX_HITS]
    held = {number: terms.intersection(terms_in(texts[number])) for number in candidates}
    return {number: found for number, found in held.items() if found}


def _root(term: str) -> str:
    """What a word must begin with to have this term: "cities" has "city"."""
    return term[:-1] if term.endswith("y") and len(term) > 1 else term


def _best_stretch(lengths: Sequence[int], hits: Mapping[int, frozenset[str]], limit: int) -> tuple[int, int]:
    """The stretch of at most `limit` characters with the most different terms, in its middle; else the beginning."""
    best: list[tuple[int, int]] = []
    best_count = -1
    counts: dict[str, int] = {}
    end = size = present = 0
    nothing: frozenset[str] = frozenset()
    for start in range(len(lengths)):
        while end < len(lengths) and (size + lengths[end] - 1 <= limit or end == start):
            size += lengths[end]
            for term in hits.get(end, nothing):
                counts[term] = counts.get(term, 0) + 1
                present += counts[term] == 1
            end += 1
        if present > best_count:
            best, best_count = [(start, end)], present
        elif present == best_count and best[-1][0] == start - 1:
            best.append((start, end))
        size -= lengths[start]
        for term in hits.get(start, nothing):
            counts[term] -= 1
            present -= counts[term] == 0
    return best[len(best) // 2 if best_count else 0]
