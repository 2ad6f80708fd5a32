"""Image search out of a prepared file, in the format of the reference (arXiv 2604.08545) and MMSearch-R1.

`{index: {"tool_returned_web_title": [title, …], "cached_images_path": [path or null, …]}}`. As there, results without a
image are left out. A task with a `search_key` (`extra_info.index` of the reference's training files) is looked up by
that; another one by its whole id, then by the id's last part: "file/train/fvqa_17@0a1b2c3d" by "fvqa_17".
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from metis_gym.errors import ImageError, SearchError, SearchIndexError
from metis_gym.images import decode_file, path_below
from metis_gym.images.transforms import fit
from metis_gym.records import TitledImage
from metis_gym.search.contract import ImageHit, ImageQuery
from metis_gym.search.index.files import read_regular
from metis_gym.search.snippets import short_line

__all__ = ["PreparedEngine"]

_MAX_FILE = 1 << 30
_TITLES, _PATHS = "tool_returned_web_title", "cached_images_path"


class PreparedEngine:
    """Gives the results that were found for each task once.

    Args:
        path: The JSON file.
        folder: Where relative paths of images begin, and below which all of them lie, wherever links lead; None for
            the file's own folder.
        allow_outside: Read images that lie outside that folder, too.

    Raises:
        SearchIndexError: The file cannot be read, or an entry has another form; the message names it.
    """

    name: ClassVar[str] = "prepared"
    is_live: ClassVar[bool] = False

    def __init__(self, *, path: str, folder: str | None = None, allow_outside: bool = False) -> None:
        self._path = Path(path)
        self._folder = self._path.parent if folder is None else Path(folder)
        self._allow_outside = allow_outside
        try:
            data = read_regular(self._path, _MAX_FILE)
            entries = json.loads(data)
        except (OSError, ValueError, RecursionError) as error:
            raise SearchIndexError(f"cannot read prepared results {path!r}: {type(error).__name__}: {error}") from error
        self._fingerprint = hashlib.sha256(data).hexdigest()[:32]
        if not isinstance(entries, dict):
            raise SearchIndexError(
                f"{path!r} must hold an object from indexes to results, not {type(entries).__name__}"
            )
        self._entries = {index: self._checked(index, entry) for index, entry in entries.items()}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """None: the file says it all."""
        return {}

    def fingerprint(self) -> str:
        """A digest of the file with the prepared results."""
        return self._fingerprint

    def search(self, query: ImageQuery, *, limit: int) -> tuple[ImageHit, ...]:
        """The task's results.

        Raises:
            SearchError: The file holds no entry for this task, or an image cannot be read.
        """
        keys = [query.search_key] if query.search_key else [query.task_id, _last_part(query.task_id)]
        index = next((key for key in keys if key in self._entries), None)
        if index is None:
            tried = " and ".join(map(repr, keys))
            raise SearchError(f"{self._path} holds no results for task {query.task_id!r}, looked up by {tried}")
        return tuple(self._hit(index, title, path) for title, path in self._entries[index][:limit])

    def distances(self, query: ImageQuery, images: Sequence[TitledImage]) -> None:  # noqa: ARG002
        """What was found once carries no measure."""
        return

    def _checked(self, index: str, entry: Any) -> list[tuple[str, str]]:
        titles, paths = (entry.get(key) if isinstance(entry, dict) else None for key in (_TITLES, _PATHS))
        is_right = (
            isinstance(titles, list)
            and isinstance(paths, list)
            and len(titles) == len(paths)
            and all(isinstance(title, str) for title in titles)
            and all(path is None or isinstance(path, str) for path in paths)
        )
        if not is_right:
            raise SearchIndexError(
                f"entry {index!r} of {str(self._path)!r} must hold {_TITLES!r}, a list of texts, and {_PATHS!r}, as "
                f"many paths or nulls; actually: {entry!r:.200}"
            )
        return [(title, path) for title, path in zip(titles or (), paths or (), strict=True) if path is not None]

    def _hit(self, index: str, title: str, path: str) -> ImageHit:
        try:
            place = path_below(self._folder, path, allow_outside=self._allow_outside)
            image = fit(decode_file(place, follow_link=False))
        except ImageError as error:
            raise SearchError(f"image {path!r:.200} of entry {index!r:.200} cannot be read: {error}") from error
        return ImageHit(title=short_line(title), image=image)


def _last_part(task_id: str) -> str:
    return task_id.rpartition("/")[2].partition("@")[0]
