"""A data set of the hub, or of a local folder in its form, through the `datasets` library."""

from pathlib import Path
from typing import Any

from metis_gym.errors import MissingDependencyError, TaskDataError
from metis_gym.filesets.rows import ImageFolder, RawTask, raw_task
from metis_gym.filesets.taskset import FileTaskset
from metis_gym.images import MAX_DECODED_PIXELS

__all__ = ["HubRows", "hub_taskset"]


def hub_taskset(
    path: str,
    *,
    split: str = "train",
    view_size: int = 448,
    subset: str | None = None,
    part: str | None = None,
    question: str = "question",
    answer: str = "answer",
    image: str = "image",
    options: str = "options",
    on_error: str = "raise",
    allow_outside: bool = False,
    max_pixels: int = MAX_DECODED_PIXELS,
) -> FileTaskset:
    """The rows of one split of a data set.

    Args:
        path: `owner/name` on the hub, or a local folder.
        split: "train" or "test", as everywhere; the data set's split of that name is read.
        view_size: Longest side of the views, pixels.
        subset: The data set's configuration, if it has several.
        part: Name of the data set's split, where it is neither "train" nor "test".
        question: Column of the question.
        answer: Column of the right answer.
        image: Column of the image, or of a list of them.
        options: Column of the options; there need be none.
        on_error: "raise" or "skip".
        allow_outside: Read image files that lie neither below a local folder nor below the library's cache.
        max_pixels: Largest image that is decoded.
    """
    columns = {"question": question, "answer": answer, "image": image, "options": options}
    rows = HubRows(path, subset, part or split, columns, allow_outside)
    return FileTaskset(rows, path.rstrip("/"), view_size=view_size, on_error=on_error, max_pixels=max_pixels)


class HubRows:
    """The rows of a split.

    Args:
        path: `owner/name`, or a local folder.
        subset: Configuration.
        split: The data set's own name of the split.
        columns: Our name of a column → the data set's.
        allow_outside: Read image files that lie neither below a local folder nor below the library's cache.

    Raises:
        TaskDataError: It cannot be loaded, or has other columns.
        MissingDependencyError: `datasets` is not installed.
    """

    def __init__(
        self, path: str, subset: str | None, split: str, columns: dict[str, str], allow_outside: bool = False
    ) -> None:
        try:
            import datasets
        except ImportError as error:
            raise MissingDependencyError.of("datasets", "data", "Loading a data set of the hub") from error
        try:
            loaded: Any = datasets.load_dataset(path, subset, split=split)
        except Exception as error:  # the boundary of datasets, which lets through what its parts raise
            raise TaskDataError(
                f"cannot load the split {split!r} of {path!r}: {type(error).__name__}: {error!s:.300}. If there is no "
                "way to the hub, download the data set elsewhere and use taskset='parquet:FILE', 'jsonl:FILE' or "
                "'folder:FOLDER'"
            ) from error
        for ours in ("question", "answer", "image"):
            if columns[ours] not in loaded.column_names:
                raise TaskDataError(
                    f"{path!r} has no column {columns[ours]!r} but {', '.join(loaded.column_names)}; "
                    f"say which one it is with {ours}=…"
                )
        self.path, self.split = path, split
        self._columns = {ours: theirs for ours, theirs in columns.items() if theirs in loaded.column_names}
        # as stored, not as the library would decode it: images in any format, sound, documents
        self._rows = loaded.select_columns(list(dict.fromkeys(self._columns.values()))).with_format("arrow")
        root = Path(path) if Path(path).is_dir() else Path(datasets.config.HF_CACHE_HOME)
        self._images = ImageFolder(root, allow_outside)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, row: int) -> RawTask:
        """Read a row as a task that is not checked yet."""
        place = f"row {row} of {self.path}"
        try:
            columns = self._rows[row].to_pylist()[0]
        except Exception as error:  # noqa: BLE001 — the boundary of datasets
            raise TaskDataError(f"{place} cannot be read: {type(error).__name__}: {error!s:.200}") from None
        renamed = {ours: columns[theirs] for ours, theirs in self._columns.items()}
        if isinstance(renamed["image"], list):
            renamed["images"] = renamed.pop("image")
        return raw_task(renamed, self._images, place)

    def fingerprint(self) -> str:
        """The library's own fingerprint of the split."""
        return str(self._rows._fingerprint)[:8]
