"""How many requests are on their way at a time, over all threads that ask one endpoint."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["Limiter"]

_CALM_SECONDS = 30.0
_BURST_SECONDS = 1.0


class Limiter:
    """Lets so many requests through at a time. "Too many requests" halves the number; success restores it by one.

    Args:
        most: Requests at a time when nothing is wrong.
        clock: Seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._limit, self._running = most, most, 0
        self._clock, self._halved_at = clock, -math.inf
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many are let through now."""
        return self._limit

    def widen(self, most: int) -> None:
        """Let at least so many through when nothing is wrong."""
        with self._changed:
            if most > self._most:
                self._limit += most - self._most
                self._most = most
            self._changed.notify_all()

    @contextlib.contextmanager
    def one_request(self) -> Iterator[None]:
        """Wait for a place, and keep it while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._limit)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def too_many(self) -> None:
        """The server says that these are too many: halve, but once only for answers that come together."""
        with self._changed:
            if self._clock() - self._halved_at >= _BURST_SECONDS:
                self._limit = max(1, self._limit // 2)
            self._halved_at = self._clock()

    def success(self) -> None:
        """A request was answered: after 30 s without "too many", one more goes at a time."""
        with self._changed:
            if self._limit < self._most and self._clock() - self._halved_at >= _CALM_SECONDS:
                self._limit += 1
                self._changed.notify_all()
