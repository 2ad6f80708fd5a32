"""The `metis-gym replay` command."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from metis_gym.recording import Difference, Run, replay

__all__ = ["replay_command"]

_MOST_SHOWN = 200


def replay_command(argv: Sequence[str]) -> int:
    """Replay a run; exit code 1 if it differs."""
    parser = argparse.ArgumentParser(prog="metis-gym replay", description="Play a recorded run again.")
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument(
        "--live-tools", action="store_true", help="run the tools again instead of their recorded results"
    )
    given = parser.parse_args(argv)
    differences = list(replay(Run(given.run), live_tools=given.live_tools))
    for difference in differences:
        sys.stdout.write(_line(difference) + "\n")
    sys.stdout.write(f"{len(differences)} differences\n")
    return 1 if differences else 0


def _line(difference: Difference) -> str:
    recorded, replayed = (_short(value) for value in (difference.recorded, difference.replayed))
    return f"event {difference.event}, {difference.field}: recorded {recorded}, now {replayed}"


def _short(value: object) -> str:
    shape = getattr(value, "shape", None)
    text = repr(value) if shape is None else f"an array of shape {shape}"
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
