"""Real text that every Python brings: its language reference, its library's documentation, its licences.

Read, never run: docstrings are taken out of the source files of the standard library. What an installation lacks (some
Linux distributions leave parts out) is left out.
"""

import ast
import inspect
import os
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from metis_gym.records import Passage

__all__ = ["library_passages", "licence_passages", "python_passages", "reference_passages"]

_CHUNK = 700
"""Characters of a passage, about: whole paragraphs are put together up to this."""
_SHORTEST = 60
_LEFT_OUT = {"__pycache__", "encodings", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def python_passages() -> Iterator[Passage]:
    """All of it: the reference, the library, the licences."""
    yield from reference_passages()
    yield from library_passages(Path(sysconfig.get_path("stdlib")))
    yield from licence_passages(Path(sysconfig.get_path("stdlib")))


def reference_passages() -> Iterator[Passage]:
    """The language reference, as `pydoc` shows it by topic."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return
    for topic in sorted(topics):
        yield from _passages(f"Python reference: {topic.lower()}", topics[topic], f"pydoc:{topic}")


def library_passages(folder: Path) -> Iterator[Passage]:
    """What modules, classes and functions of the library say of themselves, in the order of files and lines.

    Args:
        folder: Where the library's source files are.
    """
    for path in sorted(_source_files(folder)):
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for name, text in _docstrings(path, module):
            yield from _passages(f"Python library: {name}", text, f"pydoc:{name}")


def licence_passages(folder: Path) -> Iterator[Passage]:
    """Python's licence and those of what is in it.

    Args:
        folder: Where the library's source files are.
    """
    path = folder / "LICENSE.txt"
    if path.is_file():
        yield from _passages("Python: history and licence", path.read_text("utf-8", "replace"), "pydoc:LICENSE")


def _source_files(folder: Path) -> Iterator[Path]:
    """The library's source files. Folders that are left out are not entered: `site-packages` may be huge."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith(("_", "config-"))]
        for name in files:
            if name.endswith(".py") and name.removesuffix(".py") not in _LEFT_OUT:
                yield Path(place, name)


def _docstrings(path: Path, module: str) -> Iterator[tuple[str, str]]:
    """Qualified name and documentation of everything documented in a file."""
    text = path.read_text("utf-8", "replace")
    if '"""' not in text and "'''" not in text:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    yield from _documented(tree, module)


def _documented(node: _Documented, name: str) -> Iterator[tuple[str, str]]:
    documentation = ast.get_docstring(node, clean=False)
    if documentation and len(documentation) >= _SHORTEST:
        yield name, inspect.cleandoc(documentation)
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(inner, f"{name}.{inner.name}")


def _passages(title: str, text: str, link: str) -> Iterator[Passage]:
    """A long text as several passages, numbered in their links."""
    for number, chunk in enumerate(_chunks(text), start=1):
        yield Passage(title=title, text=chunk, link=f"{link}#{number}")


def _chunks(text: str) -> Iterator[str]:
    """Paragraphs put together up to `_CHUNK` characters; what is too short to say anything is left out."""
    chunk = ""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if chunk and len(chunk) + len(paragraph) > _CHUNK:
            yield chunk
            chunk = ""
        chunk = f"{chunk}\n\n{paragraph}" if chunk else paragraph
    if len(chunk) >= _SHORTEST:
        yield chunk
