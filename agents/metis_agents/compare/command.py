"""`metis-gym compare` and `metis-gym map`."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metis_agents.compare.api import compare, write_report
from metis_agents.compare.heatmap import write_map
from metis_agents.compare.plan import Plan, Settings, batches_of
from metis_agents.compare.robustness import Map, make_map, read_map
from metis_agents.compare.store import Store
from metis_agents.sb3 import CloningConfig
from metis_gym import __version__
from metis_gym.errors import ConfigError
from metis_gym.registries import parse_spec
from metis_gym.terminal import say

__all__ = ["compare_command", "map_command"]

_DESIGNS = ("accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "hdpo")
_STARTS = {"always": CloningConfig(), "uniform": CloningConfig(rate_none=0.98, rate_required=0.98)}


def compare_command(argv: Sequence[str]) -> int:
    """Compare reward designs, print the tables, and write results, histories and plots."""
    given = _compare_parser().parse_args(argv)
    settings = Settings(
        env_id=given.env,
        env=_environment(given),
        batches=batches_of(given.timesteps, given.tasks, given.group_size) if given.timesteps else given.batches,
        tasks=given.tasks,
        group_size=given.group_size,
        learning_rate=given.learning_rate,
        start=_STARTS[given.cold_start],
    )
    for module in given.modules:
        _import(module)
    plan = Plan(designs=tuple(given.designs), seeds=tuple(range(given.seeds)), settings=settings)
    comparison = compare(plan, given.out, processes=given.jobs, modules=given.modules, progress=not given.quiet)
    written = write_report(comparison, given.out)
    say(comparison.markdown())
    say("\n".join(f"written: {path}" for path in written))
    return 0


def map_command(argv: Sequence[str]) -> int:
    """Run a grid of weights and conditions, or what is missing of it, and write its table and its picture."""
    given = _map_parser().parse_args(argv)
    settings = Settings(env_id=given.env, batches=given.batches, eval_tasks=given.eval_tasks, checkpoint_every=20)
    plan = Map(
        weights=tuple(given.weights),
        noises=tuple(given.noises),
        choices=tuple(given.choices),
        seeds=tuple(range(given.seeds)),
        settings=settings,
    )
    store = Store(given.out)
    if not given.report:
        make_map(plan, store, processes=given.jobs, progress=not given.quiet)
    made_by = f"Made with metis-gym {__version__} by `metis-gym map {_recipe(plan)}`. {given.note}"
    page, picture = write_map(plan, read_map(plan, store), given.table or given.out / "robustness.md", made_by=made_by)
    say(page.read_text())
    say(f"written: {page}\nwritten: {picture}")
    return 0


def _compare_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym compare",
        description="Train a small policy with each reward design, from the same cold starts and on the same tasks, "
        "and show what became of its tool calls and its answers. Stopped at any moment, the same command goes on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--designs", nargs="+", default=list(_DESIGNS), metavar="SPEC", help="hdpo, coupled:alpha=0.1 …"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--batches", type=int, default=100, help="batches of every run")
    length.add_argument("--timesteps", type=int, help="environment steps instead of batches, at two steps an episode")
    parser.add_argument("--tasks", type=int, default=16, help="tasks in a batch")
    parser.add_argument("--group-size", type=int, default=16, help="episodes of each task")
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="of Adam")
    parser.add_argument("--grader-noise", type=float, default=0.0, help="share of training verdicts that are flipped")
    parser.add_argument("--choices", type=int, default=4, help="answer options: a guess is right once in so many times")
    parser.add_argument("--required-share", type=float, default=0.5, help="share of tasks that need a tool")
    parser.add_argument("--cold-start", choices=tuple(_STARTS), default="always", help=_about_starts())
    parser.add_argument("--env-arg", nargs="*", default=[], metavar="NAME=VALUE", help="for the environment")
    parser.add_argument("--modules", nargs="*", default=[], help="deprecated: name designs module:Thing instead")
    _common(parser, Path("out/compare"))
    return parser


def _map_parser() -> argparse.ArgumentParser:
    plan = Map()
    parser = argparse.ArgumentParser(
        prog="metis-gym map",
        description="Where does each design work? Weight × grader noise with four options, and weight × options with a "
        "grader that is wrong 30 %% of the time. Hours; can be stopped at any moment: the same command goes on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--weights", type=float, nargs="+", default=list(plan.weights), help="of every design")
    parser.add_argument("--noises", type=float, nargs="+", default=list(plan.noises), help="with 4 options")
    parser.add_argument("--choices", type=int, nargs="+", default=list(plan.choices), help="with 30 %% noise")
    parser.add_argument("--seeds", type=int, default=len(plan.seeds), help="number of seeds")
    parser.add_argument("--batches", type=int, default=100, help="batches of every run")
    parser.add_argument("--eval-tasks", type=int, default=128, help="tasks of the test split, 4 episodes each")
    parser.add_argument("--report", action="store_true", help="run nothing: report what is there")
    parser.add_argument("--note", default="", help="a sentence for the page, such as the commit")
    parser.add_argument("--table", type=Path, help="where the page goes, its picture beside it (OUT/robustness.md)")
    _common(parser, Path("out/map"))
    return parser


def _recipe(plan: Map) -> str:
    """The options that make the same map."""
    words: dict[str, Sequence[float]] = {
        "weights": plan.weights,
        "noises": plan.noises,
        "choices": plan.choices,
        "seeds": [len(plan.seeds)],
        "batches": [plan.settings.batches],
        "eval-tasks": [plan.settings.eval_tasks],
    }
    return " ".join(f"--{name} " + " ".join(f"{value:g}" for value in values) for name, values in words.items())


def _common(parser: argparse.ArgumentParser, out: Path) -> None:
    parser.add_argument("--env", default="MetisVQA-Discrete-v0", help="the numeric environment")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, default=out, help="folder of the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _about_starts() -> str:
    return (
        "tool rates of the cold start: always is 97 %% where none is needed and 99 %% where one is; uniform is 98 %% "
        "on every task, which is harder"
    )


def _environment(given: argparse.Namespace) -> dict[str, Any]:
    named = {"grader_noise": given.grader_noise, "choices": given.choices, "required_share": given.required_share}
    _, further = parse_spec("env:" + ",".join(given.env_arg)) if given.env_arg else ("", {})
    return {**named, **further}


def _import(module: str) -> None:
    """Import a module of the user's, from the current folder, too."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"--modules: {error}; expected modules that can be imported here") from error
