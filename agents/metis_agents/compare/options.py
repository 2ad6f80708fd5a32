"""The options of `metis-gym compare` and `metis-gym map`, made from `Plan` and `Map`."""

import importlib
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from metis_agents.compare.plan import Plan
from metis_agents.compare.robustness import Map, Panel
from metis_agents.settings.command_line import Invocation, primitive
from metis_agents.settings.flags import Defaults, Scheme
from metis_gym.errors import ConfigError
from metis_gym.parameters import check_parameters, choice, whole
from metis_gym.registries import format_spec, parse_spec
from metis_gym.terminal import say

__all__ = ["COMPARE", "MAP", "CompareInvocation", "MapInvocation", "with_current_flags"]

_DESIGNS = ("accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "hdpo")
_STARTS = {"always": (0.97, 0.99), "uniform": (0.98, 0.98)}
_RATES = ("tool-rate-none", "tool-rate-required")


@dataclass(frozen=True, kw_only=True)
class CompareInvocation(Invocation):
    """How a comparison runs, whatever is compared.

    Attributes:
        config: A `config.json` to begin with, such as a comparison leaves; flags override it.
        out: Folder of the results.
        workers: Processes.
        quiet: Show no progress bars.
        modules: Modules that register designs of one's own.
        cold_start: Tool rates of the cold start. always: 97 % where no tool is needed and 99 % where one is; uniform:
            98 % on every task, which is harder.
        timesteps: Environment steps instead of --batches, at two steps an episode.
    """

    out: Path = Path("out/compare")
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    quiet: bool = False
    modules: tuple[str, ...] = ()
    cold_start: str = choice("always", *_STARTS)
    timesteps: int | None = whole(None, low=1, optional=True)

    def __post_init__(self) -> None:
        check_parameters(self)


@dataclass(frozen=True, kw_only=True)
class MapInvocation(Invocation):
    """How a map is made, whatever is on it.

    Attributes:
        config: A `config.json` to begin with, such as a map leaves; flags override it.
        out: Folder of the results.
        workers: Processes.
        quiet: Show no progress bars.
        report: Run nothing: report what is there.
        note: A sentence for the page, such as the commit.
        table: Where the page goes, with its image beside it; none for robustness.md in --out.
    """

    out: Path = Path("out/map")
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    quiet: bool = False
    report: bool = False
    note: str = ""
    table: Path | None = None


def with_current_flags(argv: Sequence[str]) -> list[str]:
    """A command line whose `--env-arg NAME=VALUE …` is `--env.NAME VALUE …` and whose `--cold-start` is its rates.

    Raises:
        ConfigError: A word behind `--env-arg` has no `=`.
    """
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word != "--env-arg":
            words.append(word)
            continue
        say("--env-arg NAME=VALUE is now --env.NAME VALUE", stream=sys.stderr)
        pairs = []
        while rest and not rest[0].startswith("--"):
            pairs.append(rest.pop(0))
        for name, value in parse_spec("env:Arguments:" + ",".join(pairs))[1].items():
            written = value if isinstance(value, str) else format_spec("x", {"x": value}).partition("=")[2]
            words += [f"--env.{name}", written]
    chosen = [following for word, following in itertools.pairwise(words) if word == "--cold-start"]
    rates = _STARTS.get(chosen[-1], ()) if chosen else ()
    return [*(part for name, rate in zip(_RATES, rates, strict=False) for part in (f"--{name}", f"{rate}")), *words]


def _prepare(invocation: Any) -> None:
    """Import modules of the user's, from the current folder, too."""
    if invocation.modules and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for module in invocation.modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ConfigError(f"--modules: {error}; expected modules that can be imported here") from error


def _compare_defaults(_: Mapping[str, Any]) -> Defaults:
    env = {"grader_noise": 0.0, "choices": 4, "required_share": 0.5}
    return Defaults(values={"designs": _DESIGNS, "seeds": (0, 1, 2), "settings.env": env})


def _map_defaults(_: Mapping[str, Any]) -> Defaults:
    return Defaults(values={"settings.eval_tasks": 128, "settings.checkpoint_every": 20})


def _read_seeds(words: list[str]) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in words)
    return tuple(range(numbers[0])) if len(numbers) == 1 else numbers


def _show_seeds(seeds: tuple[int, ...]) -> list[str]:
    return [str(len(seeds))] if seeds == tuple(range(len(seeds))) else [str(seed) for seed in seeds]


def _read_panels(words: list[str]) -> tuple[Panel, ...]:
    pairs = [word.partition("=") for word in words]
    if not all(title and "{}" in template for title, _, template in pairs):
        raise ValueError(f"expected TITLE=DESIGN with {{}} for the weight, as in 'HDPO=hdpo:w_tool={{}}': {words}")
    return tuple(Panel(title, template) for title, _, template in pairs)


def _show_panels(panels: tuple[Panel, ...]) -> list[str]:
    return [f"{panel.title}={panel.template}" for panel in panels]


_SEEDS = {"seeds": Annotated[Any, primitive(_read_seeds, _show_seeds, "N", many=True)]}
_ABOUT_SEEDS = {"seeds": "How many seeds, counted from 0; or, with more than one number, the seeds themselves."}
_NAMES = {
    "settings.env_id": "env",
    "settings.batches": "batches",
    "settings.tasks": "tasks",
    "settings.group_size": "group-size",
    "settings.learning_rate": "lr",
    "settings.eval_tasks": "eval-tasks",
    "settings.eval_episodes": "eval-episodes",
    "settings.checkpoint_every": "save-every",
    "settings.start.tasks": "demonstrations",
    "settings.start.lr": "sft-lr",
    "settings.start.batch_size": "sft-batch",
    "settings.start.rate_none": _RATES[0],
    "settings.start.rate_required": _RATES[1],
}
_PREFIXES = {"settings.start": "sft"}
_GROUPS = {"learning": ("settings",), "cold start": ("settings.start",), "environment": ("settings.env_id",)}
_SET_BY_RUNS = {"settings.start.seed": None}
_RENAMED = {"jobs": "workers", "learning-rate": "lr", "designs": "design"}
_REFUSED = {"split": "runs learn on the train split and are evaluated on the test split"}

COMPARE = Scheme(
    prog="metis-gym compare",
    description="Train a small policy with each reward design, from the same cold starts and on the same tasks, and "
    "show what became of its tool calls and its answers. Stopped at any moment, the same command goes on.",
    config=Plan,
    invocation=CompareInvocation,
    groups=_GROUPS,
    names={**_NAMES, "designs": "design"},
    prefixes=_PREFIXES,
    derived=_SET_BY_RUNS,
    forms=_SEEDS,
    abouts=_ABOUT_SEEDS,
    renamed=_RENAMED,
    env_path="settings.env",
    env_id_path="settings.env_id",
    env_names=("taskset", "view_size", "max_source", "choices", "required_share", "max_turns", "grader_noise"),
    env_refused=_REFUSED,
    defaults=_compare_defaults,
    prepare=_prepare,
)
"""How the options of `metis-gym compare` follow from `Plan`."""

MAP = Scheme(
    prog="metis-gym map",
    description="Where does each design work? Weight × grader noise, and weight × number of answer options. Hours; "
    "stopped at any moment, the same command goes on.",
    config=Map,
    invocation=MapInvocation,
    groups=_GROUPS,
    names=_NAMES,
    prefixes=_PREFIXES,
    derived=_SET_BY_RUNS,
    forms={**_SEEDS, "panels": Annotated[Any, primitive(_read_panels, _show_panels, "TITLE=DESIGN", many=True)]},
    abouts=_ABOUT_SEEDS,
    renamed=_RENAMED,
    env_path="settings.env",
    env_id_path="settings.env_id",
    env_names=("taskset", "view_size", "max_source", "required_share", "max_turns"),
    env_refused={
        **_REFUSED,
        "grader_noise": "a map varies it; say which with --noises and --base-noise",
        "choices": "a map varies them; say which with --choices and --base-choices",
    },
    defaults=_map_defaults,
)
"""How the options of `metis-gym map` follow from `Map`."""
