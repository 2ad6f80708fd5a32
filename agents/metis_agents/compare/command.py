"""`metis-gym compare` and `metis-gym map`."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metis_agents.compare.api import check_environment, compare, write_report
from metis_agents.compare.heatmap import write_map
from metis_agents.compare.options import COMPARE, MAP, with_current_flags
from metis_agents.compare.plan import Plan, batches_of
from metis_agents.compare.robustness import Map, make_map, read_map
from metis_agents.compare.store import Store
from metis_agents.settings.command_line import Parsed, parse
from metis_agents.settings.fields import to_json
from metis_gym import __version__
from metis_gym.errors import ConfigError
from metis_gym.terminal import say

__all__ = ["compare_command", "map_command"]


def compare_command(argv: Sequence[str]) -> int:
    """Compare reward designs, print the tables, and write results, histories and plots."""
    parsed: Parsed[Plan] = parse(COMPARE, with_current_flags(argv))
    plan, given = _timed(parsed), parsed.invocation
    try:
        check_environment(plan)
    except ConfigError as error:
        raise parsed.explained(error) from error
    _keep(plan, given.out)
    comparison = compare(plan, given.out, processes=given.workers, modules=given.modules, progress=not given.quiet)
    written = write_report(comparison, given.out)
    say(comparison.markdown())
    say("\n".join(f"written: {path}" for path in written))
    return 0


def map_command(argv: Sequence[str]) -> int:
    """Run a grid of weights and conditions, or what is missing of it, and write its table and its image."""
    parsed: Parsed[Map] = parse(MAP, with_current_flags(argv))
    plan, given = parsed.config, parsed.invocation
    store = Store(given.out)
    if not given.report:
        _keep(plan, given.out)
        make_map(plan, store, processes=given.workers, progress=not given.quiet)
    made_by = f"Made with metis-gym {__version__} by `metis-gym map {_recipe(plan)}`. {given.note}"
    written = write_map(plan, read_map(plan, store), given.table or given.out / "robustness.md", made_by=made_by)
    say(written[0].read_text())
    say("\n".join(f"written: {path}" for path in written))
    return 0


def _timed(parsed: Parsed[Plan]) -> Plan:
    """The plan, with as many batches as its timesteps are enough for."""
    plan, timesteps = parsed.config, parsed.invocation.timesteps
    if timesteps is None:
        return plan
    if "settings.batches" in parsed.given:
        raise ConfigError(f"Expect --batches or --timesteps, actually: {plan.settings.batches} and {timesteps}")
    batches = batches_of(timesteps, plan.settings.tasks, plan.settings.group_size)
    return dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, batches=batches))


def _keep(plan: Any, out: Path) -> None:
    """Write `config.json`, which `--config` reads."""
    Store(out, parts=()).write("config.json", json.dumps(to_json(plan), indent=2).encode())


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
