"""`metis-gym list`: which names there are of each kind, where each comes from, and what it is."""

import argparse
import ast
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from metis_gym.errors import MissingDependencyError, UnknownNameError
from metis_gym.markdown import MAX_WIDTH
from metis_gym.registries import Entry, Registry, nearest
from metis_gym.terminal import say

__all__ = ["KINDS", "list_command"]

KINDS = {
    "agents": (("metis_gym.agents:AGENTS",), "who plays: --agent"),
    "benchmarks": (("metis_envs.benchmarks:BENCHMARKS",), "the paper's evaluation sets: --benchmark"),
    "collections": (("metis_gym.search.index.corpora:COLLECTIONS",), "images that can be searched: dhash:collection="),
    "corpora": (("metis_gym.search.index.corpora:CORPORA",), "text that can be searched: fts5:corpus="),
    "dialects": (("metis_gym.dialects:DIALECTS",), "what a model writes and reads: dialect="),
    "estimators": (("metis_gym.rewards:ESTIMATORS",), "how rewards of a group are compared: accuracy:estimator="),
    "graders": (("metis_gym.grading:GRADERS",), "what compares answers: grader="),
    "rewards": (("metis_gym.rewards:DESIGNS",), "reward designs: reward=, --design"),
    "sandboxes": (("metis_gym.sandbox.sharing:SANDBOXES",), "where model-written code runs: sandbox="),
    "search_engines": (
        ("metis_gym.search.registry:TEXT_ENGINES", "metis_gym.search.registry:IMAGE_ENGINES"),
        "what the search tools ask: text_engine=, image_engine=",
    ),
    "surrogates": (("metis_agents.rl.surrogates:SURROGATES",), "losses of the trainer"),
    "tasksets": (("metis_gym.tasksets:TASKSETS",), "where tasks come from: taskset="),
    "tools": (("metis_gym.tools:TOOLS",), "what a model may call: tools="),
}
"""Kind → where its registries are, and what its names are for. Each kind is an entry-point group, `metis_gym.KIND`."""

_MIN_ABOUT = 40
_DOCUMENTED = (ast.ClassDef, ast.FunctionDef)
_MORE = (
    "Any of them may also be named 'module:Thing'. A package announces names of its own in the entry-point group "
    "'metis_gym.{kind}'."
)


def list_command(argv: Sequence[str]) -> int:
    """Print the kinds, or the names of one kind."""
    parser = argparse.ArgumentParser(
        prog="metis-gym list", description="List the names of a kind: where each comes from and what it is."
    )
    parser.add_argument("kind", nargs="?", help=f"one of: {', '.join(KINDS)} (default: print the kinds)")
    given = parser.parse_args(argv)
    if given.kind is None:
        say(_table([[kind, use] for kind, (_, use) in KINDS.items()]).rstrip("\n"))
        return 0
    if given.kind not in KINDS:
        raise UnknownNameError(f"unknown kind {given.kind!r}. {nearest(given.kind, tuple(KINDS))}")
    rows = [
        (entry.name, entry.source, _about(entry))
        for registry in _registries(given.kind)
        for entry in registry.entries()
    ]
    say(_table(list(dict.fromkeys(rows))) + "\n" + _MORE.format(kind=given.kind))
    return 0


def _registries(kind: str) -> list[Registry[object]]:
    found = []
    for path in KINDS[kind][0]:
        module, _, attribute = path.partition(":")
        try:
            found.append(getattr(importlib.import_module(module), attribute))
        except ModuleNotFoundError as error:
            raise MissingDependencyError.of(str(error.name), "agents", f"`metis-gym list {kind}`") from error
    return found


def _about(entry: Entry) -> str:
    """The first line of the docstring, or what keeps the entry from being used."""
    if entry.note:
        return f"({entry.note})"
    try:
        documented = _docstring(entry.path)
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        return f"(cannot be loaded: {error})"
    return documented.strip().partition("\n")[0] or f"({entry.path})"


def _docstring(path: str) -> str:
    """The docstring of `"module:Thing"`, read from its source: nothing is imported, so that a list is quick and safe.

    Empty where the thing has none, or is not written out in that module.
    """
    module, _, thing = path.partition(":")
    top, *inner = module.split(".")
    found = importlib.util.find_spec(top)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {top!r}")
    place = Path(found.origin)
    if inner:
        place = place.parent.joinpath(*inner)
        place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    node: ast.AST = ast.parse(place.read_bytes())
    for name in thing.split("."):
        named = [part for part in getattr(node, "body", ()) if getattr(part, "name", "") == name]
        if not named:
            return ""
        node = named[-1]
    return ast.get_docstring(node) or "" if isinstance(node, _DOCUMENTED) else ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the last one is cut where a line would be too wide, unless it says an error."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(rows[0]) - 1)]
    left = max(_MIN_ABOUT, MAX_WIDTH - sum(width + 2 for width in widths))
    lines = []
    for *cells, last in rows:
        shown = last if last.startswith("(") or len(last) <= left else last[: left - 1].rstrip() + "…"
        lines.append("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), shown]))
    return "".join(line.rstrip() + "\n" for line in lines)
