"""What crosses between the host and the agent in a container: frames with lengths, bounded before they are read.

From the host's side the agent is not trusted either: whoever breaks out of a session's walls into the container could
write in its place. So, as everywhere, integers, UTF-8 and raw pixels are all that is decoded.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metis_gym.sandbox.contract import RunResult, RunStatus, SandboxLimits
from metis_gym.sandbox.inside.frames import MAX_SIDE, SIZE

__all__ = [
    "BrokenWireError",
    "Frame",
    "Kind",
    "max_result_bytes",
    "pack_frame",
    "pack_result",
    "read_frame",
    "unpack_result",
]

_HEAD = struct.Struct("<4sIBIQ")
"""Magic, request, kind, bytes of text, bytes of data."""
_MAGIC = b"mgw1"
_RESULT = struct.Struct("<BBdIIIH")
"""Status, whether the session is alive, seconds, bytes of stdout, stderr and result, images."""
_STATUSES = tuple(RunStatus)
_MESSAGE_BYTES = 1 << 16
"""What limits, tracebacks and explanations may add to a stream."""
_MAX_TEXT = 1 << 20


class Kind:
    """Kinds of frames: requests below 10, answers from 10 on. KEEP and DROP have none."""

    OPEN, RUN, CLOSE, KEEP, DROP = 1, 2, 3, 4, 5
    STARTED, UNAVAILABLE, OPENED, RESULT, FAILED, CLOSED = 10, 11, 12, 13, 14, 15


class BrokenWireError(Exception):
    """What arrived cannot be a frame."""


@dataclass(frozen=True)
class Frame:
    """One message.

    Attributes:
        request: Which request it is, or answers.
        kind: One of `Kind`.
        text: JSON on the way in, an explanation on the way out.
        data: Bytes of images and files, code, or a packed result.
    """

    request: int
    kind: int
    text: str = ""
    data: bytes | bytearray = b""


def pack_frame(frame: Frame) -> list[bytes | bytearray]:
    """A frame as pieces to be written one after the other."""
    text = frame.text.encode("utf-8", "replace")
    return [_HEAD.pack(_MAGIC, frame.request, frame.kind, len(text), len(frame.data)) + text, frame.data]


def read_frame(read: Callable[[int], bytearray | bytes], max_data: Callable[[int], int]) -> Frame:
    """Read the next frame.

    Args:
        read: Returns exactly as many bytes as asked for.
        max_data: How many bytes of data the answer to a request may hold.

    Raises:
        BrokenWireError: It is none, or larger than it may be.
    """
    magic, request, kind, text_bytes, data_bytes = _HEAD.unpack(read(_HEAD.size))
    if magic != _MAGIC or text_bytes > _MAX_TEXT or data_bytes > max_data(request):
        raise BrokenWireError(f"a frame of {text_bytes} bytes of text and {data_bytes} bytes of data")
    text = bytes(read(text_bytes)).decode("utf-8", "replace")
    return Frame(request, kind, text, read(data_bytes))


def max_result_bytes(limits: SandboxLimits) -> int:
    """How large a packed result may be under these limits."""
    texts = 3 * (limits.output_bytes * 3 + _MESSAGE_BYTES)  # a byte that is no UTF-8 becomes a character of three
    return _RESULT.size + texts + limits.images * SIZE.size + 3 * limits.image_pixels


def pack_result(result: RunResult, *, alive: bool) -> bytes:
    """Write a run's result as the bytes of one frame."""
    texts = [text.encode("utf-8", "replace") for text in (result.stdout, result.stderr, result.result_text)]
    lengths = [len(text) for text in texts]
    head = _RESULT.pack(_STATUSES.index(result.status), alive, result.seconds, *lengths, len(result.images))
    sizes = [SIZE.pack(image.shape[1], image.shape[0]) for image in result.images]
    return b"".join([head, *sizes, *texts, *(image.tobytes() for image in result.images)])


def unpack_result(data: bytes | bytearray, limits: SandboxLimits) -> tuple[RunResult, bool]:
    """The inverse of `pack_result`, with every number checked. Also says whether the session is alive.

    Raises:
        BrokenWireError: It is no result, or over the limits.
    """
    try:
        status, alive, seconds, *lengths, count = _RESULT.unpack_from(data)
        sizes = [SIZE.unpack_from(data, _RESULT.size + SIZE.size * index) for index in range(count)]
    except struct.error as error:
        raise BrokenWireError(f"a result of {len(data)} bytes") from error
    pixels = [3 * width * height for width, height in sizes]
    fits = len(data) == _RESULT.size + SIZE.size * count + sum(lengths) + sum(pixels)
    shown = all(0 < side <= MAX_SIDE for size in sizes for side in size)
    is_within = count <= limits.images and sum(pixels) <= 3 * limits.image_pixels
    if not fits or not shown or not is_within or status >= len(_STATUSES):
        raise BrokenWireError(f"a result with status {status}, texts of {lengths} bytes and images of {sizes}")
    parts = _split(memoryview(data)[_RESULT.size + SIZE.size * count :], [*lengths, *pixels])
    texts = [bytes(part).decode("utf-8", "replace") for part in parts[:3]]
    images = tuple(
        np.frombuffer(part, np.uint8).reshape(height, width, 3)
        for part, (width, height) in zip(parts[3:], sizes, strict=True)
    )
    result = RunResult(
        status=_STATUSES[status],
        stdout=texts[0],
        stderr=texts[1],
        result_text=texts[2],
        images=images,
        seconds=seconds,
    )
    return result, bool(alive)


def _split(data: memoryview, lengths: list[int]) -> list[memoryview]:
    parts = []
    for length in lengths:
        parts.append(data[:length])
        data = data[length:]
    return parts
