"""The body of an answer: bounded as it comes and as it unpacks."""

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

__all__ = ["ACCEPTED", "TooLongError", "read_body"]

ACCEPTED = "gzip"
"""The one encoding that is asked for, and understood besides none."""

_CHUNK = 65_536


class TooLongError(Exception):
    """A body is longer than allowed."""


class EncodingError(ValueError):
    """A body has an encoding that was not asked for, or several."""


def read_body(answer: "HTTPResponse", max_bytes: int) -> bytes:
    """The body, unpacked here: urllib3 unpacks a body as often as its headers say.

    Raises:
        TooLongError: It is longer than `max_bytes`. No more than that was ever unpacked.
        EOFError: It ends too early.
        EncodingError: Its encoding is not the one that was asked for.
        zlib.error: It is damaged.
    """
    unpack = _decoder(answer)
    parts: list[bytes] = []
    size = 0
    while chunk := answer.read1(_CHUNK, decode_content=False):
        part = chunk if unpack is None else unpack.decompress(chunk, max_bytes + 1 - size)
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise TooLongError
        if unpack is not None and unpack.unused_data:
            raise EncodingError
    if unpack is not None and not unpack.eof:
        raise EOFError
    return b"".join(parts)


def _decoder(answer: "HTTPResponse") -> "zlib._Decompress | None":
    named = [name.strip().lower() for name in answer.headers.get("Content-Encoding", "").split(",")]
    if named in ([""], ["identity"]):
        return None
    if named in (["gzip"], ["x-gzip"]):
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    raise EncodingError
