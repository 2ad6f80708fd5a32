"""Checkpoints: written whole or not at all, and checked before they are read.

```
checkpoints/000020/      20 batches done
├── manifest.json        format, files and their sizes; written last
└── state.safetensors    everything that `Trainer.state_dict` holds
```
A checkpoint is written into a folder of another name, which is renamed when every byte is on disk. A run that is
killed while writing, or that meets a full disk, leaves the last whole checkpoint as it was.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metis_agents.states import read_state, write_state
from metis_gym.errors import CheckpointError
from metis_gym.storage import write_json

__all__ = ["Checkpoints"]

FORMAT = 2
_MANIFEST, _STATE, _PARTIAL = "manifest.json", "state.safetensors", ".part"


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: Where they lie; made when the first one is written.
        keep: How many of the latest are kept.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder, self._keep = folder, keep

    def numbers(self) -> list[int]:
        """The whole checkpoints there are, by the batches they stand for, ascending."""
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir() if (path / _MANIFEST).is_file()]
        return sorted(int(name) for name in names if name.isdecimal())

    def write(self, number: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint and remove the oldest beyond those kept.

        Raises:
            CheckpointError: It could not be written; the earlier ones are untouched.
        """
        with self.writing(number) as folder:
            write_state(dict(state), folder / _STATE)
        return self.folder / _name(number)

    @contextlib.contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """A folder to write files into, which becomes checkpoint `number` if the block ends well."""
        final = self.folder / _name(number)
        partial = self.folder / (_name(number) + _PARTIAL)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            _seal(partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        except (OSError, RuntimeError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise CheckpointError(
                f"cannot write checkpoint {final}: {error}; the last whole one is {max(self.numbers(), default='none')}"
            ) from error
        for old in self.numbers()[: -self._keep]:
            shutil.rmtree(self.folder / _name(old))

    def read(self, number: int | None = None) -> dict[str, Any]:
        """The state of a checkpoint, by default the latest.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        state = read_state(self.whole(number) / _STATE)
        if not isinstance(state, dict):
            raise CheckpointError(f"{self.folder} holds no state of a trainer")
        return state

    def whole(self, number: int | None = None) -> Path:
        """The folder of a checkpoint, by default the latest, after a look at its files.

        Raises:
            CheckpointError: There is none, or a file is missing or of another size.
        """
        numbers = self.numbers()
        if not numbers or (number is not None and number not in numbers):
            wanted = "a checkpoint" if number is None else f"checkpoint {number}"
            raise CheckpointError(f"Expect {wanted} in {self.folder}, actually: {numbers or 'none'}")
        folder = self.folder / _name(numbers[-1] if number is None else number)
        for name, size in _files(folder).items():
            path = folder / name
            actual = path.stat().st_size if path.is_file() else None
            if actual != size:
                raise CheckpointError(f"{path} is damaged: expect {size} bytes, actually: {actual}")
        return folder


def _files(folder: Path) -> dict[str, int]:
    """The files of a checkpoint and their sizes, as its manifest says."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        number, files = manifest["format"], {str(name): int(size) for name, size in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder / _MANIFEST} cannot be read: {type(error).__name__}: {error}") from error
    if number != FORMAT:
        raise CheckpointError(f"{folder} is of format {number!r:.80}; this version reads {FORMAT}")
    return files


def _seal(folder: Path) -> None:
    """Bring every file to disk, then say which there are."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        _sync(path)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    write_json(folder / _MANIFEST, {"format": FORMAT, "files": sizes})


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _name(number: int) -> str:
    return f"{number:06d}"
