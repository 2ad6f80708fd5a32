"""Images that lie in memory shared with the host: seen by many sessions, changed by none.

A block holds the images one after the other, each from the beginning of a page on, in the layout of Pillow's own RGB
images: four bytes a pixel, of which the last is unused. A session maps them, and nothing is copied until its code
writes: then the kernel copies the page that is written to, for this session alone.
"""

import ctypes
import mmap
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .syscalls import call

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["BYTES_PER_PIXEL", "image_over", "map_images", "places"]

BYTES_PER_PIXEL = 4


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
        start += -(-length // mmap.PAGESIZE) * mmap.PAGESIZE


def image_over(memory: Any, size: tuple[int, int]) -> "Image.Image":
    """An ordinary image of mode RGB whose pixels are this memory: what is written to one is in the other.

    Args:
        memory: Offers Python's buffer protocol, four bytes a pixel. The image keeps it alive.
        size: Width and height.
    """
    from PIL import Image, _imaging  # here, so that importing the sandbox on the host stays light

    core = _imaging.map_buffer(memory, size, "raw", 0, ("RGB", BYTES_PER_PIXEL * size[0], 1))
    return Image.new("RGB", (0, 0))._new(core)


def map_images(block: int, sizes: Iterable[tuple[int, int]]) -> "list[Image.Image]":
    """Map the images of a block. Its descriptor can be closed afterwards.

    Raises:
        OSError: They need more memory than the process may have.
    """
    sizes = tuple(sizes)
    mapped = zip(sizes, places(sizes), strict=True)
    return [image_over(_map(block, start, length), size) for size, (start, length) in mapped]


def _map(block: int, start: int, length: int) -> ctypes.Array[ctypes.c_char]:
    """Map a part, to be copied page by page when it is written to, until nothing uses it any more.

    Python's own `mmap` would keep the descriptor open, within reach of the code.
    """
    address = call("mmap", None, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, block, start)
    memory = (ctypes.c_char * length).from_address(address)
    weakref.finalize(memory, call, "munmap", address, length).atexit = False
    return memory
