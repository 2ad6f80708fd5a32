"""Progress on stderr, with an estimate of the time left: a bar by rich on a terminal, lines elsewhere or without rich.

The first lines come within seconds, later ones every minute.
"""

import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from metis_gym.terminal import printable, say

__all__ = ["Progress", "duration", "no_progress", "progress_bar"]

_FIRST_SECONDS, _MAX_SECONDS_BETWEEN_LINES = 2.0, 60.0


class Progress(Protocol):
    """Shows how far something is: `progress_bar`, or `no_progress` for those who want none."""

    def __call__(
        self, what: str, total: int, /, *, done: int = 0
    ) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        """Begin; see `progress_bar`."""


@contextlib.contextmanager
def no_progress(_what: str, _total: int, *, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    del done
    yield lambda _: None


@contextlib.contextmanager
def progress_bar(what: str, total: int, *, shown: bool = True, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; call what it gives with the number of finished pieces.

    Args:
        what: What is in progress.
        total: Pieces of it.
        shown: Show it at all.
        done: Pieces that were finished before.
    """
    if not shown or done >= total:
        yield lambda _: None
    elif sys.stderr.isatty() and importlib.util.find_spec("rich"):
        with _bar(what, total, done) as advance:
            yield advance
    else:
        yield _lines(what, total, done)


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(45), duration(200), duration(9000)
    ('45 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def _bar(what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(what), total=total, completed=done)
        yield lambda pieces: bar.advance(task, pieces)


def _lines(what: str, total: int, done: int) -> Callable[[int], None]:
    """For logs: a line at the beginning and at the end, soon after the beginning, and then ever more rarely."""
    started = told = time.monotonic()
    finished, pause = done, _FIRST_SECONDS

    def advance(pieces: int) -> None:
        nonlocal finished, told, pause
        finished += pieces
        now = time.monotonic()
        if finished < total and now - told < pause:
            return
        told, pause = now, min(2 * pause, _MAX_SECONDS_BETWEEN_LINES)
        each = (now - started) / max(1, finished - done)
        left = f", about {duration(each * (total - finished))} left" if finished < total else ""
        say(f"{what}: {finished} of {total}, {each:.2g} s each{left}", stream=sys.stderr)

    say(f"{what}: {done} of {total}", stream=sys.stderr)
    return advance
