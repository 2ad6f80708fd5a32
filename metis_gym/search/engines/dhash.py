"""The default image engine: near-duplicates by difference hash, in a local image index.

It finds copies of an image (see `metis_gym.search.index.dhash` for which), not images of similar meaning.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.records import TitledImage
from metis_gym.search.contract import ImageHit, ImageQuery
from metis_gym.search.index.dhash import BITS, NEAR, dhash, differing_bits, near_distances
from metis_gym.search.index.files import cache_folder
from metis_gym.search.index.images import ImageIndex
from metis_gym.search.snippets import short_line

__all__ = ["DhashEngine"]


class DhashEngine:
    """Finds near-duplicates of an image.

    Args:
        path: An index of one's own, made by `metis-gym index build`.
        collection: Name of a collection that is built at its first use; taken when no path is given.
        folder: Where such a collection is kept; None for the user's cache folder.
        max_distance: Largest share of differing bits that still counts as found. Unrelated images differ in about
            half of their bits.

    Raises:
        SearchIndexError: There is no index at `path`, or it is none.
        ConfigError: Both a path and a collection are given, or the distance is not from 0 to 1.
    """

    name = "dhash"
    is_live = False

    def __init__(
        self,
        *,
        path: str | None = None,
        collection: str | None = None,
        folder: str | None = None,
        max_distance: float = NEAR,
    ) -> None:
        if path is not None and collection is not None:
            raise ConfigError(f"an engine has a path or a collection, not both; actually: {path!r} and {collection!r}")
        if not 0 <= max_distance <= 1:
            raise ConfigError(f"max_distance is a share from 0 to 1, actually: {max_distance!r}")
        self._collection = collection or "default"
        self._folder = folder
        self.max_distance = float(max_distance)
        self._index = None if path is None else ImageIndex(Path(path))

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the hits depend on, besides the index."""
        return {"max_distance": self.max_distance}

    @property
    def index(self) -> ImageIndex:
        """The index; a collection that is not there yet is built now, which takes a while.

        Raises:
            SearchIndexError: It cannot be built.
        """
        if self._index is None:
            self._index = ImageIndex(_collection_file(self._collection, self._folder))
        return self._index

    def fingerprint(self) -> str:
        """A digest of all images with their titles, in order."""
        return self.index.fingerprint

    def search(self, query: ImageQuery, *, limit: int) -> tuple[ImageHit, ...]:
        """The nearest images that are near enough; equally near ones in the collection's order."""
        differing = differing_bits(self.index.hashes, dhash(query.image))
        near = np.flatnonzero(differing <= int(self.max_distance * BITS))
        best = near[np.argsort(differing[near], kind="stable")][:limit]
        return tuple(self._hit(int(position), int(differing[position])) for position in best)

    def distances(self, query: ImageQuery, images: Sequence[TitledImage]) -> list[float | None]:
        """The share of differing bits, as for the images of the index."""
        return near_distances(query.image, [entry.image for entry in images], self.max_distance)

    def _hit(self, position: int, differing: int) -> ImageHit:
        entry = self.index.image(position)
        return ImageHit(
            title=short_line(entry.title), image=entry.image, link=short_line(entry.link), distance=differing / BITS
        )


def _collection_file(collection: str, folder: str | None) -> Path:
    from metis_gym.search.index.corpora import collection_file

    return collection_file(collection, cache_folder(folder))
