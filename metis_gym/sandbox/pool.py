"""Many sessions on few processors: a backend around a backend, for training.

Hundreds of episodes hold sessions at once, and each runs code now and then. The pool lets a few run at a time, the ones
that have had least so far first, makes the others wait, and keeps count. Waiting is not part of a run's time limit.

Source of the scheduling: start-time fair queueing (Goyal, Vin and Cheng, 1996) with equal weights.
"""

import heapq
import itertools
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.records import ImageArray
from metis_gym.sandbox.contract import RunResult, SandboxBackend, SandboxLimits, SandboxSession

__all__ = ["PoolStatistics", "PooledSession", "Quantiles", "SessionPool"]

_REMEMBERED = 4096


@dataclass(frozen=True)
class Quantiles:
    """Of the last few thousand durations, in seconds; zero when there were none."""

    p50: float = 0.0
    p99: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quantiles":
        """Nearest-rank quantiles.

        >>> Quantiles.of([0.4, 0.1, 0.2])
        Quantiles(p50=0.2, p99=0.4)
        """
        ordered = sorted(values)
        if not ordered:
            return cls()
        return cls(*(ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)))


@dataclass(frozen=True, kw_only=True)
class PoolStatistics:
    """What a pool has done so far.

    Attributes:
        sessions: Open now.
        running: Runs in progress.
        waiting: Runs that wait for their turn.
        opened: Sessions ever opened.
        runs: Runs ever finished.
        by_status: Of those, how many ended in which way (`ok`, `timeout`, `killed`, …).
        failures: Runs and openings that broke the sandbox itself.
        open_seconds: How long opening took, the wait for a place included.
        wait_seconds: How long runs waited for their turn.
        run_seconds: How long they ran.
    """

    sessions: int
    running: int
    waiting: int
    opened: int
    runs: int
    by_status: Mapping[str, int]
    failures: int
    open_seconds: Quantiles
    wait_seconds: Quantiles
    run_seconds: Quantiles

    def as_metrics(self, prefix: str = "sandbox/") -> dict[str, float]:
        """As flat numbers for a log."""
        plain = ("sessions", "running", "waiting", "opened", "runs", "failures")
        metrics = {f"{prefix}{name}": float(getattr(self, name)) for name in plain}
        metrics |= {f"{prefix}status/{name}": float(count) for name, count in sorted(self.by_status.items())}
        for name in ("open_seconds", "wait_seconds", "run_seconds"):
            quantiles: Quantiles = getattr(self, name)
            metrics |= {f"{prefix}{name}/p50": quantiles.p50, f"{prefix}{name}/p99": quantiles.p99}
        return metrics


@dataclass
class _Counts:
    opened: int = 0
    failures: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    open_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    wait_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    run_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class SessionPool:
    """A backend that bounds and orders the use of another. Threads may share it.

    Args:
        backend: Where sessions are opened. It is not closed with the pool.
        running: Runs at once; None for one per processor.
        sessions: Open sessions at once. `open` waits for a place.
        memory_bytes: What the limits of all open sessions may add up to; None for no bound.
        patience: Seconds that `open` waits before it gives up.

    Raises:
        ConfigError: A number that is not positive.
    """

    def __init__(
        self,
        backend: SandboxBackend,
        *,
        running: int | None = None,
        sessions: int = 256,
        memory_bytes: int | None = None,
        patience: float = 600.0,
    ) -> None:
        numbers = {"running": running, "sessions": sessions, "memory_bytes": memory_bytes, "patience": patience}
        for name, value in numbers.items():
            if value is not None and not value > 0:
                raise ConfigError(f"SessionPool({name}=…) must be positive, actually: {value!r}")
        self.name = backend.name
        self._backend = backend
        self._max_running = running or os.cpu_count() or 1
        self._max_sessions = sessions
        self._max_memory = memory_bytes
        self._patience = patience
        self._changed = threading.Condition()
        self._sessions: set[PooledSession] = set()
        self._places = 0
        self._memory = 0
        self._running = 0
        self._clock = 0.0
        self._queue: list[tuple[float, int]] = []
        self._tickets = itertools.count()
        self._counts = _Counts()

    def open(
        self,
        *,
        images: Sequence[ImageArray] = (),
        files: Mapping[str, bytes] | None = None,
        limits: SandboxLimits | None = None,
        seed: int = 0,
        image_files: bool = False,
    ) -> "PooledSession":
        """Start a session, after waiting for a place. See `SandboxBackend.open`.

        Raises:
            ConfigError: The session alone is larger than the pool.
            SandboxError: No place came free.
        """
        limits = limits or SandboxLimits()
        if self._max_memory is not None and limits.memory_bytes > self._max_memory:
            raise ConfigError(
                f"a session of {limits.memory_bytes} bytes cannot fit into a pool of {self._max_memory} bytes"
            )
        start = time.monotonic()
        self._take_place(limits.memory_bytes)
        try:
            with self._counting_failures():
                inner = self._backend.open(
                    images=images, files=files, limits=limits, seed=seed, image_files=image_files
                )
        except BaseException:
            self._give_place(limits.memory_bytes)
            raise
        with self._changed:
            session = PooledSession(self, inner, limits.memory_bytes, self._clock)
            self._sessions.add(session)
            self._counts.opened += 1
            self._counts.open_seconds.append(time.monotonic() - start)
        return session

    def statistics(self) -> PoolStatistics:
        """What the pool has done so far."""
        with self._changed:
            counts = self._counts
            return PoolStatistics(
                sessions=self._places,
                running=self._running,
                waiting=len(self._queue),
                opened=counts.opened,
                runs=sum(counts.by_status.values()),
                by_status=dict(counts.by_status),
                failures=counts.failures,
                open_seconds=Quantiles.of(counts.open_seconds),
                wait_seconds=Quantiles.of(counts.wait_seconds),
                run_seconds=Quantiles.of(counts.run_seconds),
            )

    def close(self) -> None:
        """Close every session of the pool. May be called twice."""
        for session in list(self._sessions):
            session.close()

    def run(self, session: "PooledSession", call: Callable[[], RunResult]) -> RunResult:
        """Run when it is the session's turn. Called by sessions."""
        start = time.monotonic()
        with self._turn(session.used):
            began = time.monotonic()
            beginning = self._clock
            try:
                with self._counting_failures():
                    result = call()
            finally:
                session.used = max(session.used, beginning) + time.monotonic() - began
        with self._changed:
            self._counts.wait_seconds.append(began - start)
            self._counts.run_seconds.append(result.seconds)
            self._counts.by_status[result.status.value] += 1
        return result

    def release(self, session: "PooledSession", memory_bytes: int) -> None:
        """Give a session's place to the next. Called by sessions."""
        if session in self._sessions:
            self._sessions.discard(session)
            self._give_place(memory_bytes)

    @contextmanager
    def _turn(self, used: float) -> Iterator[None]:
        """Wait until this run is the one that has had least of all that wait, and there is room for it."""
        with self._changed:
            ticket = (max(used, self._clock), next(self._tickets))
            heapq.heappush(self._queue, ticket)
            while self._running >= self._max_running or self._queue[0] != ticket:
                self._changed.wait()
            heapq.heappop(self._queue)
            self._running += 1
            self._clock = max(self._clock, ticket[0])
            self._changed.notify_all()  # there may be room for the next as well
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _take_place(self, memory_bytes: int) -> None:
        def has_room() -> bool:
            fits = self._max_memory is None or self._memory + memory_bytes <= self._max_memory
            return fits and self._places < self._max_sessions

        with self._changed:
            if not self._changed.wait_for(has_room, self._patience):
                raise SandboxError(
                    f"no place in the pool within {self._patience:g} s: {self._places} of {self._max_sessions} "
                    "sessions are open. Close sessions that are no longer needed, or make the pool larger"
                )
            self._places += 1
            self._memory += memory_bytes

    def _give_place(self, memory_bytes: int) -> None:
        with self._changed:
            self._places -= 1
            self._memory -= memory_bytes
            self._changed.notify_all()

    @contextmanager
    def _counting_failures(self) -> Iterator[None]:
        try:
            yield
        except SandboxError:
            with self._changed:
                self._counts.failures += 1
            raise


class PooledSession:
    """A session whose runs wait for their turn.

    Args:
        pool: Its pool.
        inner: The session itself.
        memory_bytes: What it counts for.
        used: Seconds that it is taken to have had: as much as the one that has had least, so that being new gives no
            right to catch up.
    """

    def __init__(self, pool: SessionPool, inner: SandboxSession, memory_bytes: int, used: float) -> None:
        self.used = used
        self._pool = pool
        self._inner = inner
        self._memory_bytes = memory_bytes

    @property
    def alive(self) -> bool:
        """Whether it can run more code."""
        return self._inner.alive

    def run(self, code: str, timeout: float | None = None) -> RunResult:
        """Run code when it is this session's turn. See `SandboxSession.run`."""
        return self._pool.run(self, lambda: self._inner.run(code, timeout))

    def close(self) -> None:
        """End the session and give its place to the next. May be called twice."""
        self._inner.close()
        self._pool.release(self, self._memory_bytes)
