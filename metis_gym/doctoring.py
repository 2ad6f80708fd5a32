"""`metis-gym doctor`: is the installation whole, what works here, and what to do about the rest."""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from metis_gym import __version__
from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.extras import EXTRAS, missing
from metis_gym.sandbox.doctor import Finding, doctor, format_findings
from metis_gym.terminal import say

__all__ = ["doctor_command", "examine"]

_NEEDED = (3, 11)
_CORE = ("gymnasium", "numpy", "pillow", "requests", "urllib3")
_USES = {
    "envs": "the built-in tasks, plots, comparison of LaTeX",
    "agents": "train, compare, policies, models of the hub",
    "data": "parquet files, data sets of the hub",
    "docker": "the sandbox backend 'docker'",
    "search": "the text engine 'bm25s'",
    "vllm": "the vLLM engine of train",
    "trl": "TRL's GRPOTrainer on these environments",
    "openenv": "serve, and environments on other machines",
    "verl": "training on many nodes, in an environment of its own",
    "inspect": "opening what `metis-gym export inspect` writes",
}
_EVERYDAY = ("envs", "agents")
"""Extras without which the README's commands do not run; the others are for those who want them."""


def doctor_command(argv: Sequence[str]) -> int:
    """Print what was found. Exit code 1: something that the README's commands need is not there."""
    parser = argparse.ArgumentParser(
        prog="metis-gym doctor", description="Check the whole installation, and say what to do about what is missing."
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    given = parser.parse_args(argv)
    findings = list(examine())
    say(json.dumps([asdict(one) for one in findings], indent=2) if given.json else format_findings(findings))
    lacks = [one.subject for one in findings if not one.ok and one.subject in ("python", "core", *_EVERYDAY, "auto")]
    if not given.json:
        say(f"\nnot there, or broken: {', '.join(lacks)}" if lacks else "\nall that the README uses is there")
    return 1 if lacks else 0


def examine() -> Iterator[Finding]:
    """Look at Python, the packages, local search, the processors, and the sandbox, whose `auto` is the last finding."""
    yield _python()
    yield _core()
    yield from map(_extra, EXTRAS)
    yield _search()
    yield _hardware()
    yield from doctor()


def _python() -> Finding:
    where = f"{platform.python_version()} on {platform.system()} {platform.machine()}; metis-gym {__version__}"
    needed = ".".join(map(str, _NEEDED))
    ok = sys.version_info >= _NEEDED
    remedy = "" if ok else f"metis-gym needs Python {needed} or newer"
    return Finding(subject="python", ok=ok, detail=where, remedy=remedy)


def _core() -> Finding:
    found = {name: _version(name) for name in _CORE}
    absent = [name for name, version in found.items() if not version]
    detail = ", ".join(f"{name} {version or '(absent)'}" for name, version in found.items())
    return Finding(subject="core", ok=not absent, detail=detail, remedy="pip install metis-gym" if absent else "")


def _extra(extra: str) -> Finding:
    absent = missing(extra)
    if not absent:
        return Finding(subject=extra, ok=True, detail=_USES[extra])
    detail = f"lacks {', '.join(absent)}: {_USES[extra]}"
    command = f"pip install 'metis-gym[{extra}]'"
    return Finding(
        subject=extra, ok=False, detail=detail, remedy=command if extra in _EVERYDAY else f"{command}, if you want it"
    )


def _search() -> Finding:
    from metis_gym.search.index.files import cache_folder
    from metis_gym.search.index.sqlite_files import check_fts5

    try:
        check_fts5()
        folder = cache_folder()
    except (MissingDependencyError, ConfigError) as error:
        return Finding(subject="local search", ok=False, detail=str(error))
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(above, os.W_OK):
        remedy = "name another folder, as in text_engine='fts5:folder=/data/metis-gym'"
        return Finding(subject="local search", ok=False, detail=f"{above} cannot be written", remedy=remedy)
    built = sorted(path.name for path in folder.glob("*.sqlite"))
    state = (
        f"{len(built)} index files in {folder}" if built else f"nothing built yet; the first search will, in {folder}"
    )
    return Finding(subject="local search", ok=True, detail=f"SQLite {sqlite3.sqlite_version} with FTS5; {state}")


def _hardware() -> Finding:
    detail = f"{os.cpu_count()} processors"
    with contextlib.suppress(ImportError):
        import torch

        count = torch.cuda.device_count()
        names = sorted({torch.cuda.get_device_name(number) for number in range(count)})
        detail += f", {count} GPUs ({', '.join(names)})" if count else ", no GPU that torch can use"
    return Finding(subject="hardware", ok=True, detail=detail)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
