"""Progress on stderr, with an estimate of the time left: a bar by rich on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from metis_gym.errors import MissingDependencyError
from metis_gym.terminal import printable, say

__all__ = ["duration", "progress_bar"]

_SECONDS_BETWEEN_LINES = 60.0


@contextlib.contextmanager
def progress_bar(what: str, total: int, *, shown: bool = True, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; call what it gives with the number of finished pieces.

    Args:
        what: What is in progress.
        total: Pieces of it.
        shown: Show it at all.
        done: Pieces that were finished before.

    Raises:
        MissingDependencyError: rich is not installed and a bar is to be shown.
    """
    if not shown:
        yield lambda _: None
    elif sys.stderr.isatty():
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
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError as error:
        raise MissingDependencyError.of("rich", "agents", "A progress bar") from error
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(what), total=total, completed=done)
        yield lambda pieces: bar.advance(task, pieces)


def _lines(what: str, total: int, done: int) -> Callable[[int], None]:
    """For logs: a line at the beginning and at the end, and one a minute in between."""
    started = told = time.monotonic()
    finished = done

    def advance(pieces: int) -> None:
        nonlocal finished, told
        finished += pieces
        now = time.monotonic()
        if finished < total and now - told < _SECONDS_BETWEEN_LINES:
            return
        told = now
        each = (now - started) / max(1, finished - done)
        left = f", about {duration(each * (total - finished))} left" if finished < total else ""
        say(f"{what}: {finished} of {total}, {each:.2g} s each{left}", stream=sys.stderr)

    say(f"{what}: {done} of {total}", stream=sys.stderr)
    return advance
