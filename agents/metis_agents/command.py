"""The agents' commands: `metis-gym eval`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metis_agents.agent import Agent, BatchAgent
from metis_agents.agents import AGENTS, make_agent
from metis_agents.evaluate import Report, compare_table, evaluate, needs_table
from metis_gym.errors import ConfigError
from metis_gym.storage import write_json
from metis_gym.terminal import say
from metis_gym.worth import DEFAULT_LAM

__all__ = ["eval_command"]

_ENV = "MetisVQA-v0"


def eval_command(argv: Sequence[str]) -> int:
    """Evaluate agents and print the tables."""
    given = _parser().parse_args(argv)
    if given.json is not None and not given.json.parent.is_dir():
        raise ConfigError(f"--json writes a file into a folder that there is, actually: {given.json}")
    reports = [_report(make_agent(spec), given) for spec in given.agent]
    several = [compare_table(reports), needs_table(reports)]
    say("\n\n".join(several) if len(reports) > 1 else str(reports[0]))
    if given.json is not None:
        write_json(given.json, [report.to_json() for report in reports])
    return 0


def _report(agent: Agent | BatchAgent, given: argparse.Namespace) -> Report:
    kwargs: dict[str, Any] = {**getattr(agent, "env_kwargs", {}), "split": given.split}
    if given.taskset:
        kwargs["taskset"] = given.taskset
    env_id = given.env or getattr(agent, "env_id", None) or _ENV
    if given.tool_noise is not None:
        kwargs["tool_noise"] = given.tool_noise
    settings = {"workers": given.workers, "progress": not given.quiet, "lam": given.lam}
    return evaluate(agent, env_id, given.episodes, given.seed, **settings, **kwargs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym eval", description="Let agents play episodes of the test split and print what they did."
    )
    add = parser.add_argument
    add(
        "--agent",
        nargs="+",
        default=["oracle"],
        metavar="AGENT",
        help=f"one or more of: {', '.join(AGENTS.names())}, with parameters as in 'qwen3vl:model=runs/tiny'; "
        "'module:Class'; the folder of a finished run of `metis-gym train`; a policy.zip of metis_agents.sb3.HDPO "
        "(default: oracle)",
    )
    add("--env", help=f"environment id (default: the one that the agent was trained in, else {_ENV})")
    add("--taskset", help='"signs", "charts:answers=choice", "signs+sums" (default: the agent\'s, else the id\'s own)')
    add("--split", default="test", help="train or test (default: %(default)s)")
    add("--episodes", type=int, default=100, help="how many (default: %(default)s)")
    add("--seed", type=int, default=0, help="same seed, same tasks (default: %(default)s)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    add(
        "--lam",
        type=float,
        default=DEFAULT_LAM,
        help="λ of regret: the accuracy that one unit of price is worth (default: %(default)s)",
    )
    add("--tool-noise", type=float, help="probability that a tool is wrong in an episode (default: the environment's)")
    add("--json", type=Path, metavar="FILE", help="also write all metrics, regret over λ and the frontier to this file")
    add("--quiet", action="store_true", help="no progress bar")
    return parser
