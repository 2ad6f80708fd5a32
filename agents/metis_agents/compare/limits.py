"""When a policy counts as one that calls a tool when it is needed, and only then."""

__all__ = ["MAX_LOST", "MAX_REDUNDANT", "MIN_NEEDED", "MIN_RIGHT", "within"]

MAX_REDUNDANT = 0.05
"""Most episodes with a call, of those whose task needs none."""

MIN_NEEDED = 0.95
"""Fewest episodes with a call, of those whose task needs one."""

MAX_LOST = 0.02
"""Most accuracy that is lost against accuracy-only."""

MIN_RIGHT = 0.97
"""A design is robust where the lower bound of its share of right runs is at least this."""

_ROUNDING = 1e-9


def within(redundant: float, needed: float, lost: float) -> bool:
    """Whether redundant calls, needed calls and lost accuracy of one run are within the limits.

    >>> within(0.05, 0.95, 0.02), within(0.051, 0.99, 0.0)
    (True, False)
    """
    return redundant <= MAX_REDUNDANT + _ROUNDING and needed >= MIN_NEEDED - _ROUNDING and lost <= MAX_LOST + _ROUNDING
