"""What crosses the channel between the host and a session: fixed headers with lengths, checked before anything is read.

Nothing is decoded on the host's side but integers, UTF-8 text and raw pixels, so there is no parser to attack. Every
request carries a fresh nonce, and only a reply with the same nonce counts. The channel is in reach of the code inside,
which can therefore lie about its own session, and about nothing else.
"""

import struct
from dataclasses import dataclass

__all__ = [
    "ERROR",
    "FAILED",
    "INTERRUPTED",
    "LISTENER_FOLLOWS",
    "MAX_SIDE",
    "MEMORY",
    "NONCE_BYTES",
    "OK",
    "OUTPUT",
    "READY",
    "REPLY",
    "REQUEST",
    "SIZE",
    "SUPPLIED",
    "ReplyHeader",
    "pack_reply_header",
    "pack_request",
]

MAGIC = b"mgs1"
NONCE_BYTES = 16

REQUEST = struct.Struct("<4s16sI")
"""Magic, nonce, bytes of source code."""
REPLY = struct.Struct("<4s16sBIH")
"""Magic, nonce, status, bytes of text, images. The sizes of the images, the text and the pixels follow."""
SIZE = struct.Struct("<II")
"""Width and height of an image."""

MAX_SIDE = (1 << 16) - 1
"""Of an image, in pixels."""

LISTENER_FOLLOWS = b"l"
"""Sent by a session before anything else, with a descriptor, when the host counts its threads."""

SUPPLIED = b"s"
"""Sent to a session that has images, once their memory is complete."""

READY, OK, ERROR, INTERRUPTED, MEMORY, OUTPUT, FAILED = range(7)
"""Statuses. READY and FAILED answer the opening of a session; the rest answer a run."""


@dataclass(frozen=True)
class ReplyHeader:
    """The fixed part of a reply, as it came: not yet checked against any limit."""

    nonce: bytes
    status: int
    text_bytes: int
    images: int

    @classmethod
    def unpack(cls, data: bytes) -> "ReplyHeader":
        """Read the header.

        Raises:
            ValueError: It does not begin as a reply does.
        """
        magic, nonce, status, text_bytes, images = REPLY.unpack(data)
        if magic != MAGIC:
            raise ValueError("a reply that does not begin as one")
        return cls(nonce, status, text_bytes, images)


def pack_request(nonce: bytes, code: bytes) -> bytes:
    """Write a request to run code as the bytes of one frame."""
    return REQUEST.pack(MAGIC, nonce, len(code)) + code


def pack_reply_header(nonce: bytes, status: int, text: bytes, sizes: list[tuple[int, int]]) -> bytes:
    """Everything of a reply but the pixels."""
    head = REPLY.pack(MAGIC, nonce, status, len(text), len(sizes))
    return head + b"".join(SIZE.pack(*size) for size in sizes) + text
