"""`metis-gym sandbox …`: commands about isolation."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from metis_gym.sandbox.doctor import doctor, format_findings

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run `metis-gym sandbox` with these arguments. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="metis-gym sandbox", description="Commands about isolation.")
    commands = parser.add_subparsers(dest="command", required=True)
    about = "say what this machine offers, which tier auto takes and why, and how to get a stronger one"
    doctor_parser = commands.add_parser("doctor", help=about, description=about)
    doctor_parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args(argv)
    return _doctor(as_json=options.json)


def _doctor(*, as_json: bool) -> int:
    findings = doctor()
    text = json.dumps([asdict(f) for f in findings], indent=2) if as_json else format_findings(findings)
    sys.stdout.write(text + "\n")
    return 0 if findings[-1].ok else 1
