"""The one atomic writer: whoever looks sees a file's old content or its new one, and never a part.

A process that is killed leaves nothing but a file whose name ends in `.part`.
"""

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["replacing", "write_atomically", "write_json"]

_numbers = itertools.count()


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a path beside `path` to build a file at; when the block ends well, it replaces `path`.

    Args:
        path: The file.
        durable: Wait until the content is on the disk, so that it outlives a crash of the machine.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.{next(_numbers)}.part")
    try:
        yield part
        if durable:
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all; `durable` as in `replacing`.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path, durable=durable) as part:
        part.write_bytes(data)


def write_json(path: Path, value: Any, *, indent: int | None = 2, sort_keys: bool = False) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_atomically(path, json.dumps(value, indent=indent, sort_keys=sort_keys).encode())
