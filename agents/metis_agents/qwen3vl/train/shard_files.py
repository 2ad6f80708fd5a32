"""Reads distributed checkpoints without running what stands in them.

Torch writes the list of shards as a pickle and reads it with `pickle.load`, which runs any code that it names; numbers
beside the tensors are read so, too. Here the list is made of torch's own records of shards alone, and numbers are read
by torch's `weights_only` reader.
"""

import io
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch.distributed.checkpoint import metadata as records
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, _StorageInfo
from torch.distributed.checkpoint.planner import ReadItem

from metis_gym.errors import CheckpointError

__all__ = ["TensorsOnlyPlanner", "TensorsOnlyReader"]

_MAX_METADATA_BYTES = 1 << 28


def _named(*kinds: Any) -> Mapping[tuple[str, str], Any]:
    return {(kind.__module__, kind.__qualname__): kind for kind in kinds}


_KNOWN = {
    **_named(
        *(records.Metadata, records.BytesStorageMetadata, records.TensorStorageMetadata, records.TensorProperties),
        *(records.ChunkStorageMetadata, records.MetadataIndex, records.StorageMeta, records._MEM_FORMAT_ENCODING),
        *(_StorageInfo, torch.Size),
    ),
    **_named(pathlib.Path, pathlib.PosixPath, pathlib.PurePosixPath),
    ("pathlib._local", "PosixPath"): pathlib.PosixPath,
    ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
    **{
        ("torch", str(value).removeprefix("torch.")): value
        for value in vars(torch).values()
        if isinstance(value, torch.dtype)
    },
}
"""Everything that the list of shards may name: records, which hold what they are given and do nothing."""


class _Records(pickle.Unpickler):
    """Unpickles records of shards, and refuses any other name."""

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is None:
            raise CheckpointError(f"its list of shards names {module}.{name}, which is no record of torch's shards")
        return known


class TensorsOnlyReader(FileSystemReader):
    """Torch's reader of a folder of shards, for folders that anybody may have written."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> records.Metadata:  # noqa: ARG002 — torch's signature
        """The list of shards.

        Raises:
            CheckpointError: It cannot be read, or holds something else.
        """
        path = self._get_metadata_path(kwargs.get("rank"))
        try:
            with open(path, "rb") as file:
                data = file.read(_MAX_METADATA_BYTES + 1)
            listed = _Records(io.BytesIO(data)).load()
        except CheckpointError as error:
            raise CheckpointError(f"cannot read {path}: {error}") from error
        except (
            OSError,
            EOFError,
            pickle.UnpicklingError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
        ) as error:
            raise CheckpointError(f"cannot read {path}: {type(error).__name__}: {error}") from error
        if not isinstance(listed, records.Metadata):
            raise CheckpointError(f"cannot read {path}: it holds no list of shards")
        for place in (listed.storage_data or {}).values():
            if not isinstance(place, _StorageInfo) or pathlib.PurePath(place.relative_path).name != place.relative_path:
                raise CheckpointError(f"cannot read {path}: a shard lies outside of its folder")
        if listed.storage_meta is None:
            listed.storage_meta = records.StorageMeta()
        listed.storage_meta.load_id = self.load_id
        return listed


class TensorsOnlyPlanner(DefaultLoadPlanner):
    """Torch's planner, which reads what is no tensor without running it."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Take up a number, a text or a tuple of such."""
        plain = io.BytesIO()
        torch.save(torch.load(value, weights_only=True), plain)
        plain.seek(0)
        super().load_bytes(read_item, plain)
