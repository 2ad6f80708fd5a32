"""Waiting for events instead of seconds."""

import sys
import threading
import time
from collections.abc import Callable

__all__ = ["is_in", "wait_until"]

PATIENCE = 60.0
"""Seconds. Only a test that fails waits as long."""


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.001)


def is_in(thread: threading.Thread, function: str) -> bool:
    """Whether a thread executes a function of this name just now."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None
