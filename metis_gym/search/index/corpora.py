"""Corpora and image collections that are generated at their first use, and kept in the user's cache folder.

Add one of your own with `@CORPORA.register("name")` and name it in a spec: `text_engine="fts5:corpus=name"`.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from metis_gym.records import Passage, TitledImage
from metis_gym.registries import Registry, lacking
from metis_gym.search.index.files import Notify, build_once, log_note
from metis_gym.search.index.images import FORMAT as IMAGE_FORMAT
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import FORMAT as TEXT_FORMAT
from metis_gym.search.index.text import write_text_index

__all__ = ["COLLECTIONS", "CORPORA", "Collection", "Corpus", "collection_file", "corpus_file"]


Piece = TypeVar("Piece")

_SECONDS_BETWEEN_NOTES = 5.0
_TEXT_SECONDS = "about 6 seconds of one processor for 50,000 passages"
_IMAGE_SECONDS = "about 8 seconds of one processor for 5,000 images"


class Corpus(Protocol):
    """Passages that can be generated, always the same."""

    @property
    def version(self) -> str:
        """Changes whenever the passages do; part of the file's name."""

    def passages(self) -> Iterator[Passage]:
        """All passages, in order."""


class Collection(Protocol):
    """Images with titles that can be generated, always the same."""

    @property
    def version(self) -> str:
        """Changes whenever the images do; part of the file's name."""

    def images(self) -> Iterator[TitledImage]:
        """All images, in order."""


CORPORA: Registry[Corpus] = Registry(
    "corpus",
    {"default": "metis_envs.world.corpus:DefaultCorpus"},
    group="corpora",
    problems=lambda made: lacking(made, ("passages",), ("version",)),
)
"""Corpora by name."""

COLLECTIONS: Registry[Collection] = Registry(
    "image collection",
    {"default": "metis_envs.world.collection:DefaultCollection"},
    group="collections",
    problems=lambda made: lacking(made, ("images",), ("version",)),
)
"""Image collections by name."""


def corpus_file(name: str, folder: Path, notify: Notify = log_note) -> Path:
    """The text index of a corpus, built if it is not there.

    Args:
        name: A name of `CORPORA`.
        folder: Where it is kept.
        notify: Told when it is built, which takes some seconds.

    Raises:
        UnknownNameError: There is no such corpus.
        SearchIndexError: It cannot be built.
    """
    corpus = CORPORA.create(name)
    path = folder / f"text-{TEXT_FORMAT}-{_in_a_file_name(name)}-{corpus.version}.sqlite"

    def build(part: Path) -> None:
        notify(f"building the text corpus {name!r} in {path}: once, {_TEXT_SECONDS}")
        started = time.monotonic()
        count = write_text_index(_counted(corpus.passages(), "passages", notify), part)
        notify(f"built the text corpus {name!r}: {count:,} passages in {time.monotonic() - started:.0f} s")

    return build_once(path, build)


def collection_file(name: str, folder: Path, notify: Notify = log_note) -> Path:
    """The image index of a collection, built if it is not there.

    Args:
        name: A name of `COLLECTIONS`.
        folder: Where it is kept.
        notify: Told when it is built, which takes some seconds.

    Raises:
        UnknownNameError: There is no such collection.
        MissingDependencyError: A package that it is drawn from is not installed.
        SearchIndexError: It cannot be built.
    """
    collection = COLLECTIONS.create(name)
    path = folder / f"pictures-{IMAGE_FORMAT}-{_in_a_file_name(name)}-{collection.version}.sqlite"

    def build(part: Path) -> None:
        notify(f"building the image collection {name!r} in {path}: once, {_IMAGE_SECONDS}")
        started = time.monotonic()
        count = write_image_index(_counted(collection.images(), "images", notify), part)
        notify(f"built the image collection {name!r}: {count:,} images in {time.monotonic() - started:.0f} s")

    return build_once(path, build)


def _counted(pieces: Iterable[Piece], what: str, notify: Notify) -> Iterator[Piece]:
    """The same pieces; how many there are already is told every few seconds."""
    told = time.monotonic()
    for number, piece in enumerate(pieces):
        now = time.monotonic()
        if now - told >= _SECONDS_BETWEEN_NOTES:
            told = now
            notify(f"{number:,} {what} so far")
        yield piece


def _in_a_file_name(name: str) -> str:
    """A registered name as it is; `module:Thing` without the colon, which not every file system takes."""
    return name.replace(":", "-")
