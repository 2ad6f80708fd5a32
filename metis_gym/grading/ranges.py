"""Ranges: `20–30`, `20 - 30`, `from 20 to 30`, `between 20 and 30`; with units, as times of day, of days and months."""

import functools
import re

__all__ = ["read_range"]

_BETWEEN = re.compile(r"(?:in )?between\s+(\S.*?)\s+and\s+(\S.*)", re.IGNORECASE)
_FROM_TO = re.compile(r"(?:from\s+)?(\S.*?)(?:\s+(?:to|till|until|through)\s+|\s*-\s*)(\S.*)", re.IGNORECASE)
_MAX_LENGTH = 60


@functools.lru_cache(maxsize=4096)
def read_range(text: str) -> tuple[str, str] | None:
    """The two ends of a range as they are written, or None. They may be anything: who compares them has to look.

    Args:
        text: Without formatting, dashes of one kind.

    >>> read_range("20 - 30 km"), read_range("between 20 and 30"), read_range("-5--3"), read_range("20")
    (('20', '30 km'), ('20', '30'), ('-5', '-3'), None)
    """
    if len(text) > _MAX_LENGTH:
        return None
    found = _BETWEEN.fullmatch(text) or _FROM_TO.fullmatch(text)
    return (found[1], found[2]) if found else None
