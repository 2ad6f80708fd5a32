"""The agents' commands: `metis-gym eval`."""

import argparse
import os
from collections.abc import Sequence

from metis_agents.evaluate import compare_table, evaluate, needs_table
from metis_agents.scripted import SCRIPTED, scripted_agent
from metis_gym.terminal import say

__all__ = ["eval_command"]


def eval_command(argv: Sequence[str]) -> int:
    """Evaluate agents and print the tables."""
    parser = argparse.ArgumentParser(
        prog="metis-gym eval", description="Let agents play episodes of the test split and print what they did."
    )
    parser.add_argument(
        "--agent", nargs="+", default=["oracle"], help=f"one or more of: {', '.join(SCRIPTED)} (default: oracle)"
    )
    parser.add_argument("--env", default="MetisVQA-v0", help="environment id (default: %(default)s)")
    parser.add_argument("--taskset", help='"signs", "charts:answers=choice", "signs+sums" (default: the id\'s own)')
    parser.add_argument("--split", default="test", help="train or test (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same tasks (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    kwargs = {"split": given.split} | ({"taskset": given.taskset} if given.taskset else {})
    reports = [
        evaluate(
            scripted_agent(name),
            given.env,
            given.episodes,
            given.seed,
            workers=given.workers,
            progress=not given.quiet,
            **kwargs,
        )
        for name in given.agent
    ]
    several = [compare_table(reports), needs_table(reports)]
    say("\n\n".join(several) if len(reports) > 1 else str(reports[0]))
    return 0
