"""Corpora and image collections that are generated at their first use, and kept in the user's cache folder.

Add one of your own with `@CORPORA.register("name")` and name it in a spec: `text_engine="fts5:corpus=name"`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from metis_gym.records import Passage, TitledImage
from metis_gym.registries import Registry, lacking
from metis_gym.search.index.files import Notify, build_once, log_note
from metis_gym.search.index.images import FORMAT as IMAGE_FORMAT
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import FORMAT as TEXT_FORMAT
from metis_gym.search.index.text import write_text_index

__all__ = ["COLLECTIONS", "CORPORA", "Collection", "Corpus", "collection_file", "corpus_file"]


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
        notify(f"building the text corpus {name!r} in {path}; this happens once and takes some seconds")
        write_text_index(corpus.passages(), part)

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
        notify(f"building the image collection {name!r} in {path}; this happens once and takes some seconds")
        write_image_index(collection.images(), part)

    return build_once(path, build)


def _in_a_file_name(name: str) -> str:
    """A registered name as it is; `module:Thing` without the colon, which not every file system takes."""
    return name.replace(":", "-")
