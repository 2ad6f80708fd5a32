"""The agents' commands: `metis-gym eval`."""

import argparse
import os
from collections.abc import Sequence

from metis_agents.evaluate import evaluate
from metis_agents.scripted import SCRIPTED, scripted_agent

__all__ = ["eval_command"]


def eval_command(argv: Sequence[str]) -> int:
    """Evaluate an agent and print the table."""
    parser = argparse.ArgumentParser(
        prog="metis-gym eval", description="Let an agent play episodes of the test split and print what it did."
    )
    parser.add_argument("--agent", default="oracle", help=f"one of: {', '.join(SCRIPTED)}")
    parser.add_argument("--env", default="MetisVQA-v0", help="environment id (default: %(default)s)")
    parser.add_argument("--taskset", help='"signs", "charts:answers=choice", "signs+sums" (default: the id\'s own)')
    parser.add_argument("--split", default="test", help="train or test (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same tasks (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    kwargs = {"split": given.split} | ({"taskset": given.taskset} if given.taskset else {})
    report = evaluate(
        scripted_agent(given.agent),
        given.env,
        given.episodes,
        given.seed,
        workers=given.workers,
        progress=not given.quiet,
        **kwargs,
    )
    print(report)  # noqa: T201 — this is what the command is for
    return 0
