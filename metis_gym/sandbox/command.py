"""`metis-gym sandbox …`: commands about isolation."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from metis_gym.errors import MetisError
from metis_gym.sandbox.containers.engine import IMAGE
from metis_gym.sandbox.doctor import doctor, format_findings
from metis_gym.terminal import say

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run `metis-gym sandbox` with these arguments. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="metis-gym sandbox",
        description="Check what this machine offers for isolating code, or build the docker image.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    about = "say what this machine offers, which tier auto takes and why, and how to get a stronger one"
    doctor_parser = commands.add_parser("doctor", help=about, description=about)
    doctor_parser.add_argument("--json", action="store_true", help="machine-readable output")
    _add_build(commands)
    options = parser.parse_args(argv)
    try:
        return _doctor(as_json=options.json) if options.command == "doctor" else _build(options)
    except MetisError as error:
        say(str(error), stream=sys.stderr)
        return 1


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "build the image of the backend 'docker'"
    parser = commands.add_parser("build", help=about, description=about)
    parser.add_argument("--tag", default=IMAGE, help="name of the image (default: %(default)s)")
    parser.add_argument(
        "--context", help="folder with the Dockerfile (default: sandbox_images/python of this checkout)"
    )
    parser.add_argument("--base", help="image to build on (default: the Dockerfile's)")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install from, without a network")


def _build(options: argparse.Namespace) -> int:
    from metis_gym.sandbox.containers.build import build, find_context

    context = find_context(options.context)
    identity = build(
        context,
        tag=options.tag,
        base=options.base,
        wheels=options.wheels,
        say=say,
    )
    say(f"built {options.tag} ({identity})")
    return 0


def _doctor(*, as_json: bool) -> int:
    findings = doctor()
    text = json.dumps([asdict(f) for f in findings], indent=2) if as_json else format_findings(findings)
    say(text)
    return 0 if findings[-1].ok else 1
