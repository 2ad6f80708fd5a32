"""Reading a session's replies on the host's side. Nothing that comes from inside is believed before it is checked."""

import socket
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from metis_gym.records import ImageArray
from metis_gym.sandbox.contract import SandboxLimits
from metis_gym.sandbox.inside import frames

__all__ = ["ForgedReplyError", "Reply", "ReplyReader"]

_OPENING_TEXT_BYTES = 1 << 16


class ForgedReplyError(Exception):
    """A reply that the worker would never send: code inside wrote to the channel, or the worker is broken."""


@dataclass(frozen=True, eq=False)
class Reply:
    """A complete and checked reply."""

    status: int
    text: str
    images: tuple[ImageArray, ...]


class ReplyReader:
    """Collects one reply from a non-blocking channel.

    Args:
        channel: The socket.
        nonce: What the reply must carry.
        limits: The session's limits; None for the reply to its opening, which holds no image.
    """

    def __init__(self, channel: socket.socket, nonce: bytes, limits: SandboxLimits | None) -> None:
        self._channel = channel
        self._parts = _reply(nonce, limits)
        self._expect(next(self._parts))

    def read(self) -> Reply | None:
        """Take what has arrived.

        Returns:
            The reply when it is complete, else None.

        Raises:
            EOFError: The session's end of the channel is closed.
            ForgedReplyError: What arrived cannot be a reply.
        """
        while True:
            while self._filled < len(self._buffer):
                if not self._receive():
                    return None
            try:
                self._expect(self._parts.send(self._buffer))
            except StopIteration as finished:
                reply: Reply = finished.value
                return reply

    def _expect(self, count: int) -> None:
        self._buffer = bytearray(count)
        self._filled = 0

    def _receive(self) -> bool:
        try:
            count = self._channel.recv_into(memoryview(self._buffer)[self._filled :])
        except BlockingIOError:
            return False
        except ConnectionResetError:
            count = 0
        if not count:
            raise EOFError("the session's end of the channel is closed")
        self._filled += count
        return True


def _reply(nonce: bytes, limits: SandboxLimits | None) -> Generator[int, bytearray, Reply]:
    """Read a reply part by part: yields how many bytes it needs next and is sent them."""
    header = _header((yield frames.REPLY.size), nonce, limits)
    sizes = list(frames.SIZE.iter_unpack((yield frames.SIZE.size * header.images)))
    for width, height in sizes:
        if not 0 < width <= frames.MAX_SIDE or not 0 < height <= frames.MAX_SIDE:
            raise ForgedReplyError(f"an image of {width}×{height} pixels")
    pixels = sum(width * height for width, height in sizes)
    if limits is not None and pixels > limits.image_pixels:
        raise ForgedReplyError(f"{pixels} pixels of images")
    text = (yield header.text_bytes).decode("utf-8", "ignore")
    images = []
    for width, height in sizes:
        colours = yield 3 * width * height
        images.append(np.frombuffer(colours, dtype=np.uint8).reshape(height, width, 3))
    return Reply(header.status, text, tuple(images))


def _header(data: bytearray, nonce: bytes, limits: SandboxLimits | None) -> frames.ReplyHeader:
    try:
        header = frames.ReplyHeader.unpack(bytes(data))
    except ValueError as error:
        raise ForgedReplyError(str(error)) from error
    if header.nonce != nonce:
        raise ForgedReplyError("a reply to another request")
    if (header.status in (frames.READY, frames.FAILED)) != (limits is None) or header.status > frames.FAILED:
        raise ForgedReplyError(f"status {header.status} out of turn")
    max_text, max_images = (limits.output_bytes, limits.images) if limits else (_OPENING_TEXT_BYTES, 0)
    if header.text_bytes > max_text or header.images > max_images:
        raise ForgedReplyError(f"{header.text_bytes} bytes of text and {header.images} images")
    return header
