"""The agents' commands: `metis-gym eval`."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metis_agents.agent import Agent, BatchAgent
from metis_agents.agents import AGENTS, make_agent
from metis_agents.chat.usage import read_prices
from metis_agents.evaluate import Report, compare_table, evaluate, needs_table, regrade
from metis_agents.results.benchmarks import benchmark_json, figures_table
from metis_agents.settings.words import read_environment, take_environment
from metis_gym.errors import ConfigError, MetisError
from metis_gym.specs import format_spec, parse_spec
from metis_gym.tasksets import BENCHMARK_TASKSET
from metis_gym.terminal import say
from metis_gym.worth import DEFAULT_LAM

__all__ = ["eval_command"]

_ENV = "MetisVQA-v0"
_EPISODES = 100
_INTERRUPTED = 130


def eval_command(argv: Sequence[str]) -> int:
    """Evaluate agents and print the tables."""
    words, environment = take_environment(argv)
    parser = _parser()
    given = parser.parse_args(words)
    if given.benchmark and given.taskset:
        parser.error("--benchmark and --taskset both say what to play: give one of them")
    if given.published and not given.benchmark and given.regrade is None:
        parser.error("--published needs --benchmark")
    if given.data and not given.benchmark:
        parser.error("--data needs --benchmark")
    if given.regrade is not None:
        report = regrade(given.regrade, given.grader, judge_all=given.judge_all, parallel=given.parallel)
        say(str(report))
        _say_figures([report], published=given.published)
        return 0
    if given.grader is not None:
        environment["grader"] = given.grader
    if given.dialect is not None:
        environment["dialect"] = given.dialect
    agents = [make_agent(spec) for spec in given.agent]
    folders = _folders(given.out, [agent.name for agent in agents])
    try:
        reports = [_report(agent, given, environment, folder) for agent, folder in zip(agents, folders, strict=True)]
    except KeyboardInterrupt:
        say(f"stopped.{_kept(given.out)}", stream=sys.stderr)
        return _INTERRUPTED
    except MetisError:
        if given.out:
            say(_kept(given.out).strip(), stream=sys.stderr)
        raise
    wide = given.wide
    several = [compare_table(reports, wide=wide), needs_table(reports, wide=wide)]
    say("\n\n".join(several) if len(reports) > 1 else reports[0].text(wide=wide))
    _say_figures(reports, published=given.published)
    _say_where(given, folders, is_whole=not any(report.stopped for report in reports))
    return 0


def _report(
    agent: Agent | BatchAgent, given: argparse.Namespace, environment: dict[str, str], out: Path | None
) -> Report:
    env_id = given.env or getattr(agent, "env_id", None) or _ENV
    kwargs: dict[str, Any] = {**getattr(agent, "env_kwargs", {}), "split": given.split}
    if given.taskset:
        kwargs["taskset"] = given.taskset
    if given.benchmark:
        kwargs["taskset"] = _benchmarks(given.benchmark, given.data)
    kwargs |= read_environment(env_id, environment)
    if given.tool_noise is not None:
        kwargs["tool_noise"] = given.tool_noise
    record = None if given.record is None else Path(given.record)
    return evaluate(
        agent,
        env_id,
        ("all" if given.benchmark else _EPISODES) if given.episodes is None else given.episodes,
        given.seed,
        workers=given.workers,
        parallel=given.parallel,
        progress=not given.quiet,
        out=out,
        record=record if record is None or len(given.agent) == 1 else record / _folder_name(agent.name),
        token_prices=None if given.price is None else read_prices(given.price),
        max_cost=given.max_cost,
        lam=given.lam,
        judge_all=given.judge_all,
        **kwargs,
    )


def _benchmarks(names: Sequence[str], data: Path | None) -> list[str]:
    """The tasksets of some benchmarks, each with the path of its rows where `--data` says where they lie.

    Raises:
        ConfigError: One of several is not in the folder.
    """
    found = []
    for given in names:
        name, parameters = parse_spec(given)
        if data is not None and "path" not in parameters:
            parameters["path"] = str(data if len(names) == 1 else _place_of(name, data))
        found.append(f"{BENCHMARK_TASKSET}:{format_spec(name, parameters).replace(f'{name}:', f'{name},', 1)}")
    return found


def _place_of(name: str, folder: Path) -> Path:
    """The file or folder of a benchmark in a folder that holds several."""
    places = sorted(path for path in folder.iterdir() if path.stem == name) if folder.is_dir() else []
    if len(places) != 1:
        several = "none" if not places else ", ".join(path.name for path in places)
        raise ConfigError(
            f"of several benchmarks, --data names the folder that holds {name}, {name}.parquet, {name}.tsv …, one of "
            f"these for each; {folder} holds {several} of {name}"
        )
    return places[0]


def _say_figures(reports: Sequence[Report], *, published: bool) -> None:
    """The benchmarks of several agents side by side, and beside what was published."""
    names = [report.agent for report in reports]
    columns = (
        ["here"]
        if len(reports) == 1
        else [name if names.count(name) == 1 else f"{number}-{name}" for number, name in enumerate(names, start=1)]
    )
    scores = [[benchmark_json(score) for score in report.benchmarks] for report in reports]
    found = figures_table(dict(zip(columns, scores, strict=True)), published=published)
    if found and (published or len(reports) > 1):
        say("\n" + found)


def _folders(out: str | None, names: Sequence[str]) -> list[Path | None]:
    """A folder for each agent: the one that was named, or one below it for each of several."""
    if out is None:
        return [None for _ in names]
    if len(names) == 1:
        return [Path(out)]
    return [Path(out) / f"{number}-{_folder_name(name)}" for number, name in enumerate(names, start=1)]


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:80]


def _kept(out: str | None) -> str:
    return "" if out is None else f" What was played is kept in {out}: the same command goes on with the rest."


def _say_where(given: argparse.Namespace, folders: Sequence[Path | None], *, is_whole: bool) -> None:
    """How to look at what was found."""
    if given.out:
        say(f"\nresults: {given.out}; metis-gym results {' '.join(map(str, folders))}")
        if not is_whole:
            say("the same command goes on with the rest")
    if given.record:
        say(f"{'' if given.out else chr(10)}recorded: {given.record}; metis-gym view {given.record}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym eval",
        allow_abbrev=False,
        description="Let agents play episodes of the test split and print what they did. --env.NAME VALUE sets any "
        "argument of the environment, such as --env.max-turns 3.",
    )
    add = parser.add_argument
    add(
        "--agent",
        nargs="+",
        default=["oracle"],
        metavar="AGENT",
        help=f"one or more of: {', '.join(AGENTS.names())}, with parameters as in "
        "'openai:model=NAME,base_url=URL' or 'qwen3vl:model=runs/tiny'; 'module:Class'; the folder of a finished run "
        "of `metis-gym train`; a policy.zip of metis_agents.sb3.HDPO (default: oracle)",
    )
    add("--env", help=f"environment id (default: the one that the agent was trained in, else {_ENV})")
    add("--taskset", help='"signs", "charts:answers=choice", "signs+sums" (default: the agent\'s, else the id\'s own)')
    add("--dialect", help="what the model writes and reads, the same as --env.dialect")
    add("--split", default="test", help="train or test (default: %(default)s)")
    add(
        "--benchmark",
        nargs="+",
        metavar="NAME",
        help="benchmarks to play whole, such as vstar or mathvista:path=testmini.parquet (metis-gym list benchmarks)",
    )
    add(
        "--data",
        type=Path,
        metavar="PATH",
        help="file or folder with the rows of the benchmark; of several, the folder that holds NAME, NAME.parquet … of "
        "each (default: the hub)",
    )
    add("--published", action="store_true", help="print published figures beside those of the benchmarks")
    add("--grader", help="what compares answers, such as judge:model=NAME,base_url=URL; the same as --env.grader")
    add("--judge-all", action="store_true", help="ask rules and the judge of --grader about every answer, and compare")
    add("--regrade", type=Path, metavar="RUN", help="grade the kept answers of a run again, and play nothing")
    add("--episodes", type=int, help=f"how many (default: {_EPISODES}, or all of a benchmark)")
    add("--seed", type=int, default=0, help="same seed, same tasks (default: %(default)s)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    add("--parallel", type=int, default=1, help="episodes at a time of an endpoint (default: %(default)s)")
    add(
        "--out", metavar="RUN", help="folder that keeps each episode as it ends; the same command goes on with the rest"
    )
    add("--record", metavar="DIR", help="folder for recordings, and for the requests to an endpoint")
    add("--price", metavar="in=…,out=…,cached=…", help="prices of a million tokens")
    add("--max-cost", type=float, metavar="COST", help="begin no further episode when the tokens cost so much")
    add(
        "--lam",
        type=float,
        default=DEFAULT_LAM,
        help="λ of regret: the accuracy that one unit of price is worth (default: %(default)s)",
    )
    add("--tool-noise", type=float, help="probability that a tool is wrong in an episode (default: the environment's)")
    add("--wide", action="store_true", help="show all columns, however wide the table")
    add("--quiet", action="store_true", help="show no progress")
    return parser
