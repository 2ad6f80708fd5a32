"""What can be read inside: an allow-list of packages and files. Everything else does not exist there.

All of site-packages would show the project itself, its tasks' answers, and the photographs that tasks are drawn from.
So a view is made of named packages, the standard library and the shared libraries they are linked with, minus the
folders of example images.
"""

import importlib.machinery
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from metis_gym.errors import ConfigError, MissingDependencyError

__all__ = ["DEVICES", "PACKAGES", "REQUIRED", "View", "build_view"]

REQUIRED = ("numpy", "PIL")
"""Imported by every sandbox; matplotlib is where it is installed."""

PACKAGES = (
    *REQUIRED,
    "matplotlib",
    *("contourpy", "cycler", "dateutil", "fontTools", "kiwisolver", "mpl_toolkits", "packaging", "pylab", "pyparsing"),
    *("six", "scipy", "mpmath", "sympy", "gmpy2", "pandas", "pytz", "tzdata", "cv2", "shapely", "seaborn", "pywt"),
    *("skimage", "imageio", "lazy_loader", "networkx", "tifffile"),
    *("sklearn", "joblib", "narwhals", "threadpoolctl"),
)
"""Packages that code inside may import where they are installed."""

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "dateutil": "python_dateutil",
    "pywt": "pywavelets",
    "skimage": "scikit_image",
    "sklearn": "scikit_learn",
    "mpl_toolkits": "matplotlib",
    "pylab": "matplotlib",
}
_OURS = ("metis_gym", "metis_envs", "metis_agents")
_IMAGES = {"skimage": ("data",), "sklearn": ("datasets/images",)}
"""Folders, by package, of which only the Python files are shown."""
_SITE_FOLDERS = ("site-packages", "dist-packages")
_NOT_STANDARD = (*_SITE_FOLDERS, "idlelib", "test")
_SHARED_DATA = ("/usr/share/zoneinfo",)

DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class View:
    """Real paths, each shown (True) or hidden (False) with everything beneath, unless a deeper rule says otherwise.

    Attributes:
        rules: The paths.
        links: Symbolic links on the way to them, path → target.
        import_path: Folders for `sys.path`.
        font_folder: A data folder with `fonts` in it.
    """

    rules: dict[str, bool]
    links: dict[str, str] = field(default_factory=dict)
    import_path: tuple[str, ...] = ()
    font_folder: str = ""

    def binds(self) -> tuple[str, ...]:
        """Paths to mount, parents first; those shown by a parent already are left out."""
        return tuple(path for path in sorted(self.rules) if self.rules[path] and not self._above(path))

    def covers(self) -> tuple[str, ...]:
        """Folders to hide behind an empty one."""
        return tuple(path for path in sorted(self.rules) if not self.rules[path] and self._above(path))

    def readable(self) -> tuple[str, ...]:
        """Paths beneath which everything is shown: the view without any hidden folder."""
        return tuple(path for bind in self.binds() for path in self._spelled_out(bind))

    def listable(self) -> tuple[str, ...]:
        """Folders of which a part is shown: Python's importer has to list their names."""
        listed = {bind for bind in self.binds() if os.path.isdir(bind) and self._has_hidden(bind)}
        return tuple(sorted(listed.union(self.import_path)))

    def shows(self, path: str) -> bool:
        """Whether a real path can be seen."""
        return self.rules[path] if path in self.rules else self._above(path)

    def _above(self, path: str) -> bool:
        for parent in map(str, Path(path).parents):
            if parent in self.rules:
                return self.rules[parent]
        return False

    def _has_hidden(self, path: str) -> bool:
        return any(not shown and other.startswith(path + "/") for other, shown in self.rules.items())

    def _spelled_out(self, path: str) -> Iterator[str]:
        if not self._has_hidden(path) or os.path.islink(path):
            yield path
            return
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if self.rules.get(entry.path, True) and not entry.is_symlink():
                    yield from self._spelled_out(entry.path)


def build_view(packages: Iterable[str] = PACKAGES, *, also_hidden: Iterable[str] = ()) -> View:
    """Find the standard library, the packages and the libraries they need on this machine.

    Args:
        packages: Import names; absent ones are left out, except for the required.
        also_hidden: Further files and folders that must not be shown.

    Raises:
        ConfigError: One of this project's own packages was asked for.
        MissingDependencyError: A required package is not installed.
    """
    found = dict(_find_packages(tuple(packages)))
    rules: dict[str, bool] = {}
    links = _alternatives()
    for folder in _library_folders():
        _show(folder, rules, links)
        rules.update({str(path): False for path in Path(folder).glob("python*") if path.is_dir()})
    standard = _show(sysconfig.get_path("stdlib"), rules, links)
    _show(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}), rules, links)
    rules.update({f"{standard}/{name}": False for name in _NOT_STANDARD if os.path.isdir(f"{standard}/{name}")})
    for path in (*_with_companions(found), *filter(os.path.exists, _SHARED_DATA)):
        _show(path, rules, links)
    for name, place in found.items():
        rules.update(_image_rules(name, os.path.realpath(place)))
    for path in (*_own_folders(), *also_hidden):
        rules[os.path.realpath(path)] = False
    sites = dict.fromkeys(os.path.realpath(os.path.dirname(place)) for place in found.values())
    dynamic = os.path.join(standard, "lib-dynload")
    return View(
        rules=rules,
        links=links,
        import_path=(standard, *([dynamic] if os.path.isdir(dynamic) else []), *sites),
        font_folder=os.path.join(os.path.realpath(plots), "mpl-data") if (plots := found.get("matplotlib")) else "",
    )


def _find_packages(packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Import name and path, a folder or a file, of those that are installed."""
    for name in dict.fromkeys((*REQUIRED, *packages)):
        if name in _OURS:
            raise ConfigError(f"{name} cannot be shown in a sandbox: it holds the answers to the tasks")
        place = _locate(name)
        if place is not None:
            yield name, place
        elif name in REQUIRED:
            raise MissingDependencyError(
                f"the sandbox needs {name}, which is not installed where this Python looks for it. Install it with: "
                f"pip install {_DISTRIBUTIONS.get(name, name)}"
            )


def _locate(name: str) -> str | None:
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return next(iter(spec.submodule_search_locations))
    return spec.origin


def _with_companions(found: dict[str, str]) -> Iterator[str]:
    """The packages, the folders of shared libraries that wheels put beside them, and their metadata."""
    distributions = {_DISTRIBUTIONS.get(name, name).lower() for name in found}
    yield from found.values()
    for site in dict.fromkeys(os.path.dirname(place) for place in found.values()):
        for entry in os.scandir(site):
            stem = entry.name.partition("-")[0].lower().replace("-", "_").replace(".", "_")
            if entry.name.endswith(".libs") or (entry.name.endswith(".dist-info") and stem in distributions):
                yield entry.path


def _image_rules(name: str, place: str) -> dict[str, bool]:
    rules: dict[str, bool] = {}
    for folder in _IMAGES.get(name, ()):
        hidden = Path(place, folder)
        if hidden.is_dir():
            rules[str(hidden)] = False
            rules.update({str(path): True for path in hidden.iterdir() if path.suffix in (".py", ".pyi")})
    return rules


def _own_folders() -> Iterator[str]:
    for name in _OURS:
        place = _locate(name)
        if place is not None:
            yield place


def _library_folders() -> tuple[str, ...]:
    """Folders of the shared libraries that Python and wheels are linked with: the loader's, libpython's, conda's.

    Only folders known to hold system libraries: this process may have loaded others from anywhere.
    """
    system = re.compile(r".*/(libc|libpython|ld)[-.0-9a-z]*\.so[^/]*")
    folders = {os.path.dirname(path) for path in _mapped_files() if system.fullmatch(path)}
    triplet = sysconfig.get_config_var("MULTIARCH")
    usual = ["/lib64", "/usr/lib64", *(f"{lib}/{triplet}" for lib in ("/lib", "/usr/lib") if triplet)]
    if os.path.isdir(os.path.join(sys.base_prefix, "conda-meta")):
        usual.append(os.path.join(sys.base_prefix, "lib"))
    return tuple(sorted(folders.union(filter(os.path.isdir, usual))))


def _mapped_files() -> set[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        return {parts[5].strip() for parts in (line.split(maxsplit=5) for line in lines) if len(parts) == 6}


def _alternatives() -> dict[str, str]:
    """Debian's links to the chosen implementation of a library, such as libblas."""
    return {str(path): os.readlink(path) for path in Path("/etc/alternatives").glob("lib*.so*") if path.is_symlink()}


def _show(path: str, rules: dict[str, bool], links: dict[str, str]) -> str:
    """Add a path to the view, with the symbolic links on the way. Returns the real path."""
    real = "/"
    waiting = [part for part in path.split("/") if part]
    while waiting:
        step = os.path.normpath(os.path.join(real, waiting.pop(0)))
        if os.path.islink(step):
            links[step] = os.readlink(step)
            target = os.path.normpath(os.path.join(real, links[step]))
            waiting[:0] = [part for part in target.split("/") if part]
            real = "/"
        else:
            real = step
    rules[real] = True
    return real
