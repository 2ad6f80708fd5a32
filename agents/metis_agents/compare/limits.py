"""When a policy counts as one that calls a tool when it is needed, and only then."""

__all__ = ["MAX_LOST", "MAX_REDUNDANT", "MIN_NEEDED"]

MAX_REDUNDANT = 0.05
"""Most episodes with a call, of those whose task needs none."""

MIN_NEEDED = 0.95
"""Fewest episodes with a call, of those whose task needs one."""

MAX_LOST = 0.02
"""Most accuracy that is lost against accuracy-only."""
