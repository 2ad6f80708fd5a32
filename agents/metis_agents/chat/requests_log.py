"""`requests.jsonl.gz`: every request to an endpoint, images by their hash, and what came back.

Each line is a gzip member of its own, so that a killed process leaves whole lines; the rest of a member that was cut
off is removed when the file is opened again.
"""

import gzip
import hashlib
import json
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metis_gym.errors import StorageError

__all__ = ["RequestLog", "read_requests"]

_CHUNK = 1 << 16


class RequestLog:
    """Writes the file. Safe for threads.

    Args:
        path: The file; what is in it is kept.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as stream:
                stream.truncate(_end_of_whole_members(path))
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}") from error

    def write(self, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Append a request and what came back.

        Raises:
            StorageError: The disk is full, or the folder is gone.
        """
        line = json.dumps({"request": _by_hash(request), **answer}) + "\n"
        member = gzip.compress(line.encode(), compresslevel=6, mtime=0)
        with self._lock:
            try:
                with self.path.open("ab") as stream:
                    stream.write(member)
            except OSError as error:
                raise StorageError(f"cannot write {self.path}: {error}") from error


def read_requests(path: Path) -> list[dict[str, Any]]:
    """The lines of a file; one that was cut off at the end is left out.

    Raises:
        OSError: It cannot be read.
    """
    whole = path.read_bytes()[: _end_of_whole_members(path)]
    return [json.loads(line) for line in gzip.decompress(whole).splitlines()] if whole else []


def _by_hash(value: Any) -> Any:
    """A request with each data URI replaced by its SHA-256."""
    if isinstance(value, str):
        is_data = value.startswith("data:image/")
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}" if is_data else value
    if isinstance(value, list | tuple):
        return [_by_hash(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _by_hash(item) for name, item in value.items()}
    return value


def _end_of_whole_members(path: Path) -> int:
    """Where the last whole member of a gzip file ends."""
    data = path.read_bytes()
    end = 0
    while end < len(data):
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            place = end
            while place < len(data) and not member.eof:
                member.decompress(data[place : place + _CHUNK])
                place += _CHUNK
        except zlib.error:
            return end
        if not member.eof:
            return end
        end = min(place, len(data)) - len(member.unused_data)
    return end
