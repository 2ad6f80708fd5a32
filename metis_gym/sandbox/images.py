"""Images on their way in: sealed memory that sessions map instead of being sent a copy."""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

from metis_gym.records import ImageArray
from metis_gym.sandbox.inside.images import BYTES_PER_PIXEL, image_over, places
from metis_gym.sandbox.payload import check_images, new_memory, seal, write_all

__all__ = ["SharedImages", "SharedImagesCache"]

_BAND_BYTES = 1 << 20
"""Rows are converted this many bytes at a time, so that the processor's cache holds them."""


class SharedImages(Sequence[ImageArray]):
    """Images for the `open` of any backend, which several sessions see without a copy for each.

    The first session that opens with them takes their pixels as they are then; the sessions after it see the same.
    What one of them writes to its images, no other sees. The memory is given back when nothing uses it any more.

    Args:
        images: Arrays of shape (height, width, 3), uint8, RGB.

    Raises:
        ConfigError: One is not an image.
    """

    def __init__(self, images: Iterable[ImageArray]) -> None:
        self._images = tuple(images)
        self.sizes = check_images(self._images)
        """Width and height of each."""
        self._lock = threading.Lock()
        self._block: int | None = None
        self._is_filled = False

    @classmethod
    def of(cls, images: Sequence[ImageArray]) -> "SharedImages":
        """These images, as they are if they can be shared already."""
        return images if isinstance(images, cls) else cls(images)

    @overload
    def __getitem__(self, index: int) -> ImageArray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageArray]: ...
    def __getitem__(self, index: int | slice) -> ImageArray | Sequence[ImageArray]:
        """The image of an index, shape (height, width, 3), or those of a slice."""
        return self._images[index]

    def __len__(self) -> int:
        """How many images are shared."""
        return len(self._images)

    @property
    def nbytes(self) -> int:
        """Bytes of the memory that sessions map."""
        return sum(length for _, length in places(self.sizes))

    def block(self) -> int:
        """The descriptor of the memory that holds them once `fill` was called. It stays this object's."""
        with self._lock:
            if self._block is None:
                self._block = new_memory("images")
                weakref.finalize(self, os.close, self._block)
            return self._block

    def fill(self) -> None:
        """Put the images into their memory, and seal it. Only the first call does something."""
        block = self.block()
        with self._lock:
            if self._is_filled:
                return
            for image, (start, _) in zip(self._images, places(self.sizes), strict=True):
                os.lseek(block, start, os.SEEK_SET)
                _write_as_pillow_keeps_it(block, image)
            seal(block)
            self._is_filled = True


class SharedImagesCache:
    """Finds the shared images that belong to something, such as a task, for as long as they are in use or recent.

    Args:
        capacity_bytes: How many bytes are kept though no session uses them.
        capacity: How many `SharedImages` are; each has a descriptor open.
    """

    def __init__(self, capacity_bytes: int, capacity: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.capacity = capacity
        self._lock = threading.Lock()
        self._in_use: weakref.WeakKeyDictionary[object, weakref.ref[SharedImages]] = weakref.WeakKeyDictionary()
        self._recent: OrderedDict[SharedImages, None] = OrderedDict()

    def get(self, owner: object, images: Sequence[ImageArray]) -> SharedImages:
        """The shared images of `owner`, made of `images` unless there are any."""
        with self._lock:
            reference = self._in_use.get(owner)
            shared = reference() if reference else None
            if shared is None:
                shared = SharedImages(images)
                self._in_use[owner] = weakref.ref(shared)
            self._recent[shared] = None
            self._recent.move_to_end(shared)
            self._drop()
            return shared

    def clear(self) -> None:
        """Keep none that is not in use."""
        with self._lock:
            self._recent.clear()

    def _drop(self) -> None:
        while len(self._recent) > self.capacity or sum(kept.nbytes for kept in self._recent) > self.capacity_bytes:
            self._recent.popitem(last=False)


def _write_as_pillow_keeps_it(fd: int, image: ImageArray) -> None:
    """Write an image with four bytes a pixel."""
    height, width, _ = image.shape
    row_bytes = BYTES_PER_PIXEL * width
    rows = min(height, max(1, _BAND_BYTES // row_bytes))
    memory = memoryview(bytearray(rows * row_bytes))
    for top in range(0, height, rows):
        band = np.ascontiguousarray(image[top : top + rows])
        left = memory[: len(band) * row_bytes]
        image_over(left, (width, len(band))).frombytes(band.data.cast("B"))
        write_all(fd, left)
