"""Runs jobs in parallel processes, each on one thread, and tells how far they are.

Processes end when whoever started them is gone. What a job had finished lies in the store; what it had not is resumed
by the next start of the same comparison.
"""

import contextlib
import functools
import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeAlias

import torch

from metis_agents.compare.plan import Run, Start
from metis_agents.compare.store import Store
from metis_agents.compare.training import has_start, make_start, train
from metis_agents.progress import progress_bar
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.registries import adopt, in_process_names

__all__ = ["run_all"]

_POLL_SECONDS = 0.2

Job: TypeAlias = Callable[["Callable[[], None]"], None]


def run_all(
    runs: Sequence[Run], store: Store, *, processes: int = 1, modules: Sequence[str] = (), progress: bool = True
) -> None:
    """Do what is missing of some runs: first their cold starts, then the runs.

    Args:
        runs: The runs.
        store: Where results are kept.
        processes: How many at the same time. With more than one, the calling script needs the usual
            `if __name__ == "__main__":`.
        modules: Imported in every process, for reward designs that are registered there.
        progress: Show progress bars on stderr.

    Raises:
        ConfigError: `processes` is not positive.
        StorageError: The store cannot be written. Runs that were finished are kept.
    """
    if processes < 1:
        raise ConfigError(f"processes must be at least 1, actually: {processes}")
    runs = [run for run in runs if not store.has(f"runs/{run.key}.json")]
    starts = {run.start.key: run.start for run in runs}
    missing = [start for start in starts.values() if not has_start(start, store)]
    first = [functools.partial(_start_job, start, store) for start in missing]
    _run_jobs("cold starts", first, len(first), processes, modules, progress)
    then = [functools.partial(train, part, store) for part in side_by_side(runs, processes)]
    batches = sum(run.settings.batches for run in runs)
    _run_jobs(f"{len(runs)} runs, batches", then, batches, processes, modules, progress)


def side_by_side(runs: Sequence[Run], processes: int) -> list[list[Run]]:
    """Cut runs into jobs: those of one cold start share their tasks, split evenly so that no process is left idle."""
    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(run.start.key, []).append(run)
    parts = [group[first::processes] for group in together.values() for first in range(processes)]
    return [part for part in parts if part]


def _start_job(start: Start, store: Store, advance: Callable[[], None]) -> None:
    make_start(start, store)
    advance()


def _run_jobs(what: str, jobs: Sequence[Job], total: int, processes: int, modules: Sequence[str], shown: bool) -> None:
    if not jobs:
        return
    with progress_bar(what, total, shown=shown) as advance:
        if processes == 1:
            _one_after_the_other(jobs, advance)
        else:
            _in_processes(jobs, min(processes, len(jobs)), modules, advance)


def _one_after_the_other(jobs: Sequence[Job], advance: Callable[[int], None]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for job in jobs:
            job(lambda: advance(1))
    finally:
        torch.set_num_threads(threads)


def _in_processes(jobs: Sequence[Job], processes: int, modules: Sequence[str], advance: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    with ProcessPoolExecutor(processes, context, _prepare, (done, tuple(modules), in_process_names())) as pool:
        try:
            # A worker may end before the last job is given out: submitting fails as waiting does.
            _follow([pool.submit(_counted, job) for job in jobs], done, advance)
        except BrokenProcessPool as error:
            raise InfrastructureError(
                "a process of the comparison ended by itself (killed, or out of memory). Finished runs are kept: "
                "start the same command again to go on"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _follow(futures: Sequence[Future[None]], done: Any, advance: Callable[[int], None]) -> None:
    """Wait for all, or for the first that fails; whatever was reported meanwhile goes to the bar."""
    shown, pending = 0, set(futures)
    while pending:
        finished, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
        reported = done.value
        advance(reported - shown)
        shown = reported
        for future in finished:
            future.result()


_done: Any = None


def _prepare(done: Any, modules: Sequence[str], names: Sequence[tuple[str, str, str]]) -> None:
    """What every process does first."""
    global _done
    _done = done
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    adopt(names)
    for module in modules:
        importlib.import_module(module)


def _end_with(parent: Any) -> None:
    """End this process when its parent is gone: a killed comparison leaves nothing running."""
    with contextlib.suppress(OSError):
        parent.join()
    os._exit(1)


def _counted(job: Job) -> None:
    """Run a job in a worker process."""

    def advance() -> None:
        with _done.get_lock():
            _done.value += 1

    job(advance)
