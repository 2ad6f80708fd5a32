"""Doing a comparison from Python."""

from collections.abc import Sequence
from pathlib import Path

import gymnasium as gym

from metis_agents.compare.plan import Plan, Run
from metis_agents.compare.plots import draw_cost, draw_final, draw_training
from metis_agents.compare.pool import run_all
from metis_agents.compare.records import Result
from metis_agents.compare.report import Comparison
from metis_agents.compare.store import Store
from metis_agents.compare.summary import draw_summary
from metis_gym.registration import find_spec

__all__ = ["check_environment", "compare", "results_of", "write_report"]


def compare(
    plan: Plan,
    folder: str | Path,
    *,
    processes: int = 1,
    modules: Sequence[str] = (),
    progress: bool = True,
) -> Comparison:
    """Train every design with every seed, or what is missing of it.

    Args:
        plan: What to run.
        folder: Where results are kept. A comparison that was stopped goes on where it was.
        processes: Runs at the same time. With more than one, the calling script needs the usual
            `if __name__ == "__main__":`.
        modules: Modules that register reward designs. A design that is registered in the calling script itself, outside
            that `if`, needs none.
        progress: Show progress bars on stderr.

    Raises:
        ConfigError: Something in the plan is not valid; the message names what is.
        StorageError: The folder cannot be written. Runs that were finished are kept.
    """
    check_environment(plan)
    store = Store(folder)
    run_all(plan.runs, store, processes=processes, modules=modules, progress=progress)
    return Comparison(results_of(plan.runs, store))


def results_of(runs: Sequence[Run], store: Store) -> tuple[Result, ...]:
    """The results of finished runs."""
    return tuple(Result.from_json(store.read_json(f"runs/{run.key}.json")) for run in runs)


def write_report(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write `results.csv`, `history.csv`, `table.md` and the plots, each as PNG and as SVG.

    Returns:
        What was written.

    Raises:
        StorageError: The folder cannot be written.
    """
    store = Store(folder, parts=())
    draws = {"summary": draw_summary, "training": draw_training, "final": draw_final, "cost": draw_cost}
    images = {f"{name}.{form}": draw(comparison, form) for name, draw in draws.items() for form in ("png", "svg")}
    written = [
        store.write("results.csv", comparison.csv().encode()),
        store.write("history.csv", comparison.history_csv().encode()),
        store.write("table.md", comparison.markdown().encode()),
    ]
    return written + [store.write(name, content) for name, content in images.items()]


def check_environment(plan: Plan) -> None:
    """Make the environment once, so that a wrong argument is an error before anything runs."""
    find_spec(plan.settings.env_id)
    gym.make(plan.settings.env_id, disable_env_checker=True, **plan.settings.env).close()
