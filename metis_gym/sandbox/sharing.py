"""The backends by name, one of each for the whole process."""

import atexit
import os
import threading
from collections.abc import Callable

from metis_gym.errors import SandboxUnavailableError
from metis_gym.registries import Registry, format_spec, lacking, parse_spec
from metis_gym.sandbox.advice import check_system, three_ways_on
from metis_gym.sandbox.contract import SandboxBackend

__all__ = ["AUTO_ORDER", "SANDBOXES", "close_all", "make", "names", "register"]

AUTO_ORDER = ("namespace", "landlock")
"""What `auto` tries, strongest first. Nothing weaker is ever chosen."""

SANDBOXES: Registry[SandboxBackend] = Registry(
    "sandbox",
    {
        "auto": "metis_gym.sandbox.sharing:auto",
        "namespace": "metis_gym.sandbox.daemonless:namespace",
        "landlock": "metis_gym.sandbox.daemonless:landlock",
        "docker": "metis_gym.sandbox.containers.backend:docker",
        "unsafe": "metis_gym.sandbox.daemonless:unsafe",
    },
    group="sandboxes",
    problems=lambda made: lacking(made, ("open", "close"), ("name",)),
)
"""Sandboxes by name; add one with `@SANDBOXES.register("name")`."""
_shared: dict[str, SandboxBackend] = {}
_lock = threading.RLock()


def make(spec: str = "auto") -> SandboxBackend:
    """The backend that a spec names, started. The same object is returned to every caller in this process.

    A forked or spawned process gets backends of its own. All are closed at exit.

    Args:
        spec: `auto`, `namespace`, `landlock`, `unsafe`, `docker:runtime=runsc`, one that was registered or announced,
            or `my_pkg.module:Backend`.

    Raises:
        SandboxUnavailableError: This machine cannot isolate in that way. Nothing was run.
        UnknownNameError: No such backend.
        ConfigError: A parameter that the backend does not take.
    """
    name, parameters = parse_spec(spec)
    key = format_spec(name, parameters)
    with _lock:
        if key not in _shared:
            _shared[key] = SANDBOXES.create(name, **parameters)
        return _shared[key]


def auto() -> SandboxBackend:
    """The strongest backend that starts on this machine and needs no daemon.

    Raises:
        SandboxUnavailableError: None starts.
    """
    check_system("auto")
    reasons = []
    for name in AUTO_ORDER:
        try:
            return make(name)
        except SandboxUnavailableError as error:
            reasons.append(str(error))
    raise SandboxUnavailableError(three_ways_on("\n".join(reasons)))


def register(name: str) -> Callable[[Callable[..., SandboxBackend]], Callable[..., SandboxBackend]]:
    """Add a backend of your own, as a decorator of the class or function that builds it."""
    return SANDBOXES.register(name)


def names() -> tuple[str, ...]:
    """All names that `make` knows."""
    return SANDBOXES.names()


def close_all() -> None:
    """Close every backend that `make` returned. Later calls of `make` start anew."""
    with _lock:
        backends = set(_shared.values())
        _shared.clear()
    for backend in backends:
        backend.close()


def _forget_all() -> None:
    """In a forked child: the backends are the parent's."""
    global _lock
    _lock = threading.RLock()
    _shared.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
