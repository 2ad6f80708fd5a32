"""A folder of results: every file is written whole or not at all.

```
folder/
├── starts/       weights of each cold start, and what it was found to do
├── checkpoints/  the newest state of runs that are not finished
└── runs/         one JSON file for each finished run
```
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metis_gym.errors import StorageError
from metis_gym.storage import write_atomically

__all__ = ["Store"]


class Store:
    """Reads and writes one folder of results. Several processes may use it at the same time.

    Args:
        folder: Is made if it is not there.
        parts: The folders in it that are made, too.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, folder: str | Path, *, parts: Sequence[str] = ("starts", "checkpoints", "runs")) -> None:
        self.folder = Path(folder)
        with _explained(self.folder, "written"):
            for part in ("", *parts):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
        with _explained(self.folder, "written"), tempfile.TemporaryFile(dir=self.folder):
            pass  # can be written: this is found out before anything is run

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return (self.folder / name).exists()

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            StorageError: It cannot be read.
        """
        with _explained(self.folder / name, "read"):
            return (self.folder / name).read_bytes()

    def read_json(self, name: str) -> Any:
        """The content of a JSON file.

        Raises:
            StorageError: It cannot be read, or is no JSON.
        """
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise StorageError(f"{self.folder / name} is no JSON ({error}): delete it to have it made again") from error

    def write(self, name: str, content: bytes) -> Path:
        """Write a file so that whoever looks sees the old content or the new one, and never a part.

        Raises:
            StorageError: It cannot be written.
        """
        path = self.folder / name
        with _explained(path, "written"):
            write_atomically(path, content)
        return path

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        return self.write(name, json.dumps(content, indent=None, sort_keys=True).encode())

    def remove(self, name: str) -> None:
        """Remove a file if it is there.

        Raises:
            StorageError: It cannot be removed.
        """
        with _explained(self.folder / name, "removed"):
            (self.folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{path} cannot be {what}: {reason}. Finished runs are kept: free some space, or make the folder writable, "
            f"and start the same command again"
        ) from error
