"""Options that stand inside a text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Listed", "listed_options", "separate_lines"]

_LABELS = "ABCDEFGHIJ"
_HEADING = re.compile(r"(?i)[\s(]*(?:choices?|options?)\s*:\s*$")
_BOUNDARY = r"(?:^|(?<=[\s;,:.）)(]))"


@dataclass(frozen=True)
class Listed:
    """A question and the options that were listed behind it.

    Attributes:
        question: What stands before the first option.
        labels: A, B, C …; the last may skip some.
        options: The text of each.
    """

    question: str
    labels: tuple[str, ...]
    options: tuple[str, ...]


def listed_options(text: str) -> Listed | None:
    """Take labels in alphabetical order, each followed by text; None if there are fewer than two.

    >>> listed_options("Which one? (A) red (B) blue")
    Listed(question='Which one?', labels=('A', 'B'), options=('red', 'blue'))
    >>> listed_options("A. 3; B. 4;C. north to ;F. No correct answer").labels
    ('A', 'B', 'C', 'F')
    """
    found: list[tuple[str, int, int]] = []
    start = 0
    for label in _LABELS:
        match = _marker(label).search(text, start)
        if match is None:
            break
        found.append((label, match.start(), match.end()))
        start = match.end()
    if len(found) >= 2:
        found += _skipping(text, found)
    if len(found) < 2:
        return None
    ends = [begin for _, begin, _ in found[1:]] + [len(text)]
    options = tuple(text[end:stop].strip().rstrip(";").strip() for (_, _, end), stop in zip(found, ends, strict=True))
    question = _HEADING.sub("", text[: found[0][1]]).strip()
    return Listed(question, tuple(label for label, _, _ in found), options) if all(options) else None


def separate_lines(lines: Sequence[str], *, may_lack_labels: bool = False) -> Listed | None:
    """Options of which each is a line with its label; None if a line begins with another label, or with none.

    Args:
        lines: The options.
        may_lack_labels: Where no line begins with a label, they are A, B, C … in order.

    >>> separate_lines(["(A) see B. Jones", "(B) 2"]).options
    ('see B. Jones', '2')
    """
    labels = tuple(_LABELS[: len(lines)])
    found = [_labelled(label).match(line) for label, line in zip(labels, lines, strict=False)]
    if not 2 <= len(lines) <= len(_LABELS):
        return None
    if may_lack_labels and not any(found):
        options = tuple(line.strip() for line in lines)
    else:
        options = tuple(line[match.end() :].strip() if match else "" for match, line in zip(found, lines, strict=True))
    return Listed("", labels, options) if all(options) else None


def _labelled(label: str) -> re.Pattern[str]:
    return re.compile(rf"\s*(?:\({label}\)[.:]?|{label}\s?[.:：．、)）])")


def _skipping(text: str, found: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """A last label that skips some, as in A B C F."""
    last, _, start = found[-1]
    for label in _LABELS[_LABELS.index(last) + 2 :]:
        match = _marker(label).search(text, start)
        if match is not None:
            return [(label, match.start(), match.end())]
    return []


def _marker(label: str) -> re.Pattern[str]:
    return re.compile(rf"{_BOUNDARY}(?:\({label}\)[.:]?|{label}\s?[.:：．、)）])\s*")
