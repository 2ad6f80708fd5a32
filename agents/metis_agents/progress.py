"""A progress bar on stderr, by rich."""

import contextlib
from collections.abc import Callable, Iterator

from metis_gym.errors import MissingDependencyError
from metis_gym.terminal import printable

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; call what it gives with the number of finished pieces.

    Raises:
        MissingDependencyError: rich is not installed and the bar is to be shown.
    """
    if not shown:
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError as error:
        raise MissingDependencyError.of("rich", "agents", "A progress bar") from error
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(what), total=total)
        yield lambda pieces: bar.advance(task, pieces)
