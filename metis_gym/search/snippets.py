"""The part of a text that is shown as its snippet."""

from metis_gym.search.terms import query_terms, terms_of

__all__ = ["LONGEST_SNIPPET", "one_line", "snippet"]

LONGEST_SNIPPET = 1_000
"""Characters of a snippet: ten of them fit an observation."""


def one_line(text: str) -> str:
    r"""The text on one line, without runs of white space.

    >>> one_line(" a\n  b ")
    'a b'
    """
    return " ".join(text.split())


def snippet(text: str, query: str, limit: int = LONGEST_SNIPPET) -> str:
    """The text on one line; of a long text, the stretch of words that holds most of the query's terms.

    >>> snippet("one two three four five six", "five", limit=12)
    '… five six'
    """
    line = one_line(text)
    if len(line) <= limit:
        return line
    words = line.split(" ")
    wanted = set(query_terms(query))
    hits = [wanted.intersection(terms_of(word)) for word in words]
    start, end = _best_stretch([len(word) + 1 for word in words], hits, limit)
    shown = " ".join(words[start:end])[:limit]
    return f"{'… ' if start else ''}{shown}{' …' if end < len(words) else ''}"


def _best_stretch(lengths: list[int], hits: list[set[str]], limit: int) -> tuple[int, int]:
    """The stretch of at most `limit` characters with the most different terms, in its middle; else the beginning."""
    best: list[tuple[int, int]] = []
    best_count = -1
    counts: dict[str, int] = {}
    end = size = 0
    for start in range(len(lengths)):
        while end < len(lengths) and (size + lengths[end] - 1 <= limit or end == start):
            size += lengths[end]
            for term in hits[end]:
                counts[term] = counts.get(term, 0) + 1
            end += 1
        present = sum(count > 0 for count in counts.values())
        if present > best_count:
            best, best_count = [(start, end)], present
        elif present == best_count and best[-1][0] == start - 1:
            best.append((start, end))
        size -= lengths[start]
        for term in hits[start]:
            counts[term] -= 1
    return best[len(best) // 2 if best_count else 0]
