"""Which versions draw a task: those of the packages that draw, and the generation of its family."""

import functools
import importlib.metadata
import zlib

__all__ = ["named_versions", "versions_fingerprint"]


@functools.cache
def versions_fingerprint(generation: int) -> str:
    """Eight hexadecimal digits for the generation of a family and the versions of all that draws."""
    return f"{zlib.crc32(named_versions(generation).encode()):08x}"


@functools.cache
def named_versions(generation: int) -> str:
    """The same in words, for messages."""
    packages = ("matplotlib", "numpy", "pillow", "scikit-image", "scikit-learn")
    installed = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    return f"generation {generation}, {installed}"
