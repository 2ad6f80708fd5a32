"""What names a result: a fingerprint of its settings and of the code that its numbers depend on.

That code is this project's, but for what only reports or commands use, the source of a reward design of one's own, and
the versions of the libraries that compute. What a design of one's own calls outside its classes is not seen.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metis_gym import rewards

__all__ = ["CODE", "code_fingerprint", "design_source", "fingerprint"]

CODE = (
    "metis_gym",
    "metis_envs",
    "metis_agents.rl",
    "metis_agents.sb3",
    "metis_agents.compare.training",
    "metis_agents.compare.records",
)
"""Packages and modules that results depend on."""

_LIBRARIES = ("gymnasium", "numpy", "pillow", "stable-baselines3", "torch")
_OURS = ("metis_gym.", "builtins", "abc", "typing")


def fingerprint(parts: Any) -> str:
    """Twelve hexadecimal digits for JSON-able parts, whatever the order of their keys, and for the code.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return _digest([code_fingerprint(), parts])


@functools.cache
def code_fingerprint(names: Sequence[str] = CODE) -> str:
    """Twelve hexadecimal digits for the source files of packages and modules, and for the libraries' versions.

    Read once per process: code that is edited while a comparison runs names the next one.
    """
    files = [(name, path) for name in names for path in _files(name)]
    sources = [(name, path.name, hashlib.blake2b(path.read_bytes()).hexdigest()) for name, path in files]
    return _digest([sources, [importlib.metadata.version(library) for library in _LIBRARIES]])


def design_source(design: str) -> tuple[str, ...]:
    """The source of the classes of a reward design of one's own; nothing for a built-in one, or without source."""
    sources = []
    for part in type(rewards.make(design)).__mro__:
        if not part.__module__.startswith(_OURS):
            try:
                sources.append(inspect.getsource(part))
            except (OSError, TypeError):  # defined in a console
                continue
    return tuple(sources)


def _files(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} has no source file that a result could be named by")
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]


def _digest(parts: Any) -> str:
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=6).hexdigest()
