"""Which versions draw a task: those of the packages that draw, and the generation of its family."""

import functools
import importlib.metadata
import zlib

from metis_gym.errors import MissingDependencyError

__all__ = ["named_versions", "versions_fingerprint"]


@functools.cache
def versions_fingerprint(generation: int) -> str:
    """Eight hexadecimal digits for the generation of a family and the versions of all that draws.

    Raises:
        MissingDependencyError: One of these packages is not installed.
    """
    return f"{zlib.crc32(named_versions(generation).encode()):08x}"


@functools.cache
def named_versions(generation: int) -> str:
    """The same in words, for messages."""
    packages = ("matplotlib", "numpy", "pillow", "scikit-image", "scikit-learn")
    installed = ", ".join(f"{package} {_version(package)}" for package in packages)
    return f"generation {generation}, {installed}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependencyError.of(package, "envs", "Drawing the built-in tasks") from error
