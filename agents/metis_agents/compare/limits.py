"""When a policy counts as one that calls a tool when it is needed, and only then."""

__all__ = ["LEAST_NEEDED", "MOST_LOST", "MOST_REDUNDANT"]

MOST_REDUNDANT = 0.05
"""Most episodes with a call, of those whose task needs none."""

LEAST_NEEDED = 0.95
"""Fewest episodes with a call, of those whose task needs one."""

MOST_LOST = 0.02
"""Most accuracy that is lost against accuracy-only."""
