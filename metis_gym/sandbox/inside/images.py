"""Images that lie in memory shared with the host: seen by many sessions, changed by none.

A block holds the images one after the other, each from the beginning of a page on, in the layout of Pillow's own RGB
images: four bytes a pixel, of which the last is unused. A large block has several parts, each in a memory of its own,
because the kernel lets only one thread at a time write to one. A session maps the images, and nothing is copied until
its code writes: then the kernel copies the page that is written to, for this session alone.
"""

import ctypes
import mmap
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .syscalls import call

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["BYTES_PER_PIXEL", "MAX_PARTS", "Piece", "image_over", "map_images", "part_bytes", "pieces", "places"]

BYTES_PER_PIXEL = 4
MAX_PARTS = 2
_MIN_PART_BYTES = 1 << 20
_MAP_FIXED, _PROT_NONE = 0x10, 0


def places(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where images lie in a block: the first byte of each, and how many there are.

    Args:
        sizes: Width and height of each.

    >>> list(places([(1, 1), (100, 100)])) == [(0, 4), (mmap.PAGESIZE, 40000)]
    True
    """
    start = 0
    for width, height in sizes:
        length = BYTES_PER_PIXEL * width * height
        yield start, length
        start += _whole_pages(length)


def part_bytes(sizes: Iterable[tuple[int, int]]) -> list[int]:
    """How many bytes each part of a block holds; all but the last are equally long.

    >>> part_bytes([(10, 10)]), part_bytes([(1000, 1000)])
    ([400], [2002944, 1997056])
    """
    total = max((start + length for start, length in places(sizes)), default=0)
    share = max(_MIN_PART_BYTES, _whole_pages(-(-total // MAX_PARTS)))
    return [min(share, total - start) for start in range(0, total, share)]


@dataclass(frozen=True)
class Piece:
    """The bytes of an image that lie in one part.

    Attributes:
        part: Which part.
        offset: Of the first byte in the part.
        start: The first byte, counted from the beginning of the image.
        length: How many there are.
    """

    part: int
    offset: int
    start: int
    length: int


def pieces(start: int, length: int, parts: Sequence[int]) -> Iterator[Piece]:
    """The pieces of an image.

    Args:
        start: Where it begins in the block.
        length: How many bytes it has.
        parts: What `part_bytes` says.

    >>> list(pieces(4, 10, [8, 8]))
    [Piece(part=0, offset=4, start=0, length=4), Piece(part=1, offset=0, start=4, length=6)]
    """
    begins = 0
    for part, size in enumerate(parts):
        first, end = max(start, begins), min(start + length, begins + size)
        if first < end:
            yield Piece(part, first - begins, first - start, end - first)
        begins += size


def _whole_pages(length: int) -> int:
    return -(-length // mmap.PAGESIZE) * mmap.PAGESIZE


def image_over(memory: Any, size: tuple[int, int]) -> "Image.Image":
    """An ordinary image of mode RGB whose pixels are this memory: what is written to one is in the other.

    Args:
        memory: Offers Python's buffer protocol, four bytes a pixel. The image keeps it alive.
        size: Width and height.
    """
    from PIL import Image, _imaging  # here, so that importing the sandbox on the host stays light

    core = _imaging.map_buffer(memory, size, "raw", 0, ("RGB", BYTES_PER_PIXEL * size[0], 1))
    return Image.new("RGB", (0, 0))._new(core)


def map_images(blocks: Sequence[int], sizes: Iterable[tuple[int, int]]) -> "list[Image.Image]":
    """Map the images of a block.

    Args:
        blocks: A descriptor for each of its parts. They can be closed afterwards.
        sizes: Width and height of each image.

    Raises:
        OSError: They need more memory than the process may have.
    """
    sizes = tuple(sizes)
    parts = part_bytes(sizes)
    mapped = zip(sizes, places(sizes), strict=True)
    return [image_over(_map(blocks, parts, start, length), size) for size, (start, length) in mapped]


def _map(blocks: Sequence[int], parts: Sequence[int], start: int, length: int) -> ctypes.Array[ctypes.c_char]:
    """Map an image, to be copied page by page when it is written to, until nothing uses it any more.

    Its pieces are mapped side by side, into addresses that are reserved for them. Python's own `mmap` would keep the
    descriptors open, within reach of the code.
    """
    address = call("mmap", None, length, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    access, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _MAP_FIXED
    for piece in pieces(start, length, parts):
        call("mmap", address + piece.start, piece.length, access, flags, blocks[piece.part], piece.offset)
    memory = (ctypes.c_char * length).from_address(address)
    weakref.finalize(memory, call, "munmap", address, length).atexit = False
    return memory
