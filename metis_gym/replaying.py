"""The `metis-gym replay` command."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from metis_gym.recording import Difference, Run, replay
from metis_gym.recording.choices import LEFT_OUT
from metis_gym.terminal import say

__all__ = ["replay_command"]

_MAX_SHOWN = 200
_MAX_LINES = 1_000


def replay_command(argv: Sequence[str]) -> int:
    """Replay a run; exit code 1 if it differs, 2 if it cannot be replayed."""
    parser = argparse.ArgumentParser(
        prog="metis-gym replay", description="Replay a recorded run and report where it differs."
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument(
        "--live-tools", action="store_true", help="run the tools again instead of their recorded results"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="build any environment that the run names, with all its arguments; only for runs that you trust, since "
        "this may run any code",
    )
    given = parser.parse_args(argv)
    run = Run(given.run)
    if given.live_tools and not given.trust:
        _say_left_out(run)
    count = 0
    for count, difference in enumerate(replay(run, live_tools=given.live_tools, trust=given.trust), start=1):
        if count <= _MAX_LINES:
            say(_line(difference))
    say(f"{count} differences" + (f", the first {_MAX_LINES} of them above" if count > _MAX_LINES else ""))
    return 1 if count else 0


def _say_left_out(run: Run) -> None:
    arguments = run.spec.get("kwargs")
    for name in sorted(LEFT_OUT & set(arguments if isinstance(arguments, dict) else ())):
        say(f"not taken from the run without --trust: {name}")


def _line(difference: Difference) -> str:
    recorded, replayed = (_short(value) for value in (difference.recorded, difference.replayed))
    return f"event {difference.event}, {difference.field}: recorded {recorded}, now {replayed}"


def _short(value: object) -> str:
    shape = getattr(value, "shape", None)
    text = repr(value) if shape is None else f"an array of shape {shape}"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
