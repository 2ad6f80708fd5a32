"""The options of a curation: all that decides what comes out. They are kept beside the ledger, for `curate merge`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metis_gym.errors import ConfigError, StorageError
from metis_gym.storage import write_json

__all__ = ["OPTIONS", "Options"]

OPTIONS = "options.json"
KINDS = ("sft", "rl")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides what comes out.

    Attributes:
        kind: "sft" for trajectories, "rl" for prompts.
        inputs: Files, folders and recorded runs, the first with the highest priority.
        format: The form of rows; empty to find out.
        image_root: Where relative paths of images begin; empty for each file's folder.
        allow_outside: Follow paths of images that lead out of that folder.
        source_dialect: What trajectories are written in; empty to find out.
        max_pixels: Largest image.
        shard: Which of how many shards.
        seed: Of what is drawn at random.
        dialect: What trajectories are written in at the end.
    """

    kind: str
    inputs: tuple[str, ...]
    format: str = ""
    image_root: str = ""
    allow_outside: bool = False
    source_dialect: str = ""
    max_pixels: int = 50_000_000
    shard: tuple[int, int] = (1, 1)
    seed: int = 0
    dialect: str = "metis"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, actually: {self.kind!r}")
        if self.max_pixels < 1:
            raise ConfigError(f"--max-pixels must be at least 1, actually: {self.max_pixels}")

    def write(self, folder: Path) -> None:
        """Keep them.

        Raises:
            OSError: They cannot be written.
        """
        write_json(folder / OPTIONS, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Options":
        """The options of a curation.

        Raises:
            StorageError: The folder holds none, or damaged ones.
        """
        try:
            read: Mapping[str, Any] = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
            values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in read.items()}
            return cls(**values)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StorageError(f"{folder} holds no curation ({OPTIONS}): {error}") from error
