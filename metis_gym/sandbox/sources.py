"""The source text of the modules that other processes are started with.

A zygote, and the agent in a container, are sent what they run: neither needs a file of this project.
"""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["boot_text", "inside_sources", "pack_program", "project_sources", "provide"]

_provided: dict[str, str] = {}
_BOOT = "boot"
_OTHER_MODULES = ("deprecation", "errors", "terminal")


def provide(sources: dict[str, str]) -> None:
    """Use these texts instead of files: called where there are none, in a container."""
    _provided.update(sources)


def pack_program(sources: dict[str, str], entry: str, arguments: list[object]) -> bytes:
    """What `boot` reads: eight bytes of length, then the program as JSON.

    Args:
        sources: Text by module name.
        entry: `"module:function"` to call.
        arguments: What to call it with.
    """
    program = json.dumps({"sources": sources, "entry": entry, "arguments": arguments}).encode()
    return len(program).to_bytes(8, "little") + program


def boot_text() -> str:
    """The text that a bare Python is started with."""
    return _provided[_BOOT] if _provided else files("metis_gym.sandbox").joinpath("boot.py").read_text(encoding="utf-8")


@cache
def inside_sources() -> dict[str, str]:
    """The modules of `inside`, as a package of that name."""
    if _provided:
        return {name: text for name, text in _provided.items() if name.partition(".")[0] == "inside"}
    return dict(_walk(files("metis_gym.sandbox").joinpath("inside"), "inside"))


@cache
def project_sources() -> dict[str, str]:
    """Everything that opens sessions, under its own names; packages themselves are empty."""
    root = files("metis_gym")
    found = dict(_walk(root.joinpath("sandbox"), "metis_gym.sandbox"))
    found |= dict(_walk(root.joinpath("records"), "metis_gym.records"))
    found |= {f"metis_gym.{name}": root.joinpath(f"{name}.py").read_text(encoding="utf-8") for name in _OTHER_MODULES}
    return {**found, "metis_gym": "", "metis_gym.sandbox": ""}


def _walk(folder: Traversable, package: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in folder.iterdir():
        stem = entry.name.removesuffix(".py")
        if entry.is_dir() and not entry.name.startswith("__"):
            found += _walk(entry, f"{package}.{entry.name}")
        elif entry.name == "__init__.py":
            found.append((package, entry.read_text(encoding="utf-8")))
        elif stem != entry.name:
            found.append((f"{package}.{stem}", entry.read_text(encoding="utf-8")))
    return found
