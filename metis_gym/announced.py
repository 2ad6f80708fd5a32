"""What installed packages announce: names for the registries, in one entry-point group for each kind.

```toml
[project.entry-points."metis_gym.tasksets"]
dots = "my_pkg.tasks:Dots"
```

Reading the announcements imports no package and is done once, when the first name is asked for that is not built in.
A package whose metadata cannot be read is left out; it breaks no other.
"""

import functools
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PREFIX", "Announcement", "announced", "forget"]

PREFIX = "metis_gym."
"""How the names of the entry-point groups begin."""


@dataclass(frozen=True)
class Announcement:
    """A name that a package announces.

    Attributes:
        name: The name.
        path: `"module:Thing"`, as it stands in the package's metadata.
        package: The package and its version.
    """

    name: str
    path: str
    package: str


def announced(group: str) -> Mapping[str, tuple[Announcement, ...]]:
    """Name → who announces it in this entry-point group; more than one where packages clash."""
    return _by_group().get(group, {})


def forget() -> None:
    """Read the announcements anew at the next use, for a process that installs packages."""
    _by_group.cache_clear()


@functools.cache
def _by_group() -> Mapping[str, Mapping[str, tuple[Announcement, ...]]]:
    found: dict[str, dict[str, tuple[Announcement, ...]]] = {}
    seen = set()
    for distribution in importlib.metadata.distributions():
        try:
            if PREFIX not in (distribution.read_text("entry_points.txt") or ""):
                continue
            package, version = distribution.name, distribution.version
            points = tuple(distribution.entry_points)
        except Exception:  # noqa: BLE001 — another package's broken metadata, of whatever kind
            continue
        if package in seen:  # the same package again, further down the path
            continue
        seen.add(package)
        for point in points:
            if point.group.startswith(PREFIX):
                group = found.setdefault(point.group, {})
                new = Announcement(point.name, _path(point.value), f"{package} {version}")
                group[point.name] = (*group.get(point.name, ()), new)
    return found


def _path(value: str) -> str:
    """`"module:Thing"` without the blanks and the extras that an entry point may hold.

    >>> _path("my_pkg.tasks : Dots [drawing]")
    'my_pkg.tasks:Dots'
    """
    return "".join(value.partition("[")[0].split())
