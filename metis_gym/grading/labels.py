"""Sets of labels: which of the labels that stand in an image does an answer name?"""

import re

from metis_gym.grading.normalise import plain

__all__ = ["stated_labels"]

_ANNOUNCEMENT = re.compile(
    r"^(?:so |thus |therefore |hence )?,?\s*(?:the |my )?(?:correct |right |final )?"
    r"(?:answers?|options?|choices?|figures?|letters?)?\s*(?:is|are|=|:)?\s*(?:both |option |options )?",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"\s*(?:,\s*and\b|,|;|/|&|\+|\band\b)\s*", re.IGNORECASE)
_LABEL = re.compile(r"[(\[]?([A-Za-z]|\d{1,2})[)\].:]?")
_HEADED = re.compile(r"^[(\[]?([A-Z]|\d{1,2})(?:[)\].:]+|\s-)\s+\S")
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")
_JOINED = re.compile(r"[A-Z]{2,4}")


def stated_labels(answer: str) -> frozenset[str] | None:
    """The labels that an answer names, as one set; None if it names none, or leaves open which.

    >>> sorted(stated_labels("A and C")), sorted(stated_labels("The answer is (b)")), stated_labels("A or B")
    (['A', 'C'], ['B'], None)
    """
    text = plain(answer).strip().rstrip(".").strip("[]{}' \"")
    if re.search(r"\bor\b", text, re.IGNORECASE):
        return None
    for reading in (text, _ANNOUNCEMENT.sub("", text, count=1)):
        found = _listed(reading)
        if found:
            return found
    headed = _HEADED.match(text)
    if headed:
        return frozenset(headed.group(1))
    bracketed = frozenset(_BRACKETED.findall(text))
    return bracketed if len(bracketed) == 1 else None


def _listed(text: str) -> frozenset[str] | None:
    """A text that is nothing but labels."""
    text = text.strip()
    if _JOINED.fullmatch(text) and len(set(text)) == len(text):
        return frozenset(text)
    parts = [part.strip("' \"") for part in _SEPARATOR.split(text) if part.strip("' \"")]
    found = [_LABEL.fullmatch(part) for part in parts]
    labels = [match.group(1).upper() for match in found if match]
    return frozenset(labels) if parts and len(labels) == len(parts) else None
