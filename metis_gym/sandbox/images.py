"""Images on their way in: sealed memory that sessions map instead of being sent a copy."""

import io
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

import numpy as np

from metis_gym.records import ImageArray
from metis_gym.sandbox.inside.images import BYTES_PER_PIXEL, image_over, part_bytes, pieces, places
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
        self._files: dict[str, bytes] = {}
        self._parts = part_bytes(self.sizes)
        self._blocks: tuple[int, ...] | None = None
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

    @property
    def file_bytes(self) -> int:
        """Bytes of the images as files, as far as they were made."""
        return sum(map(len, self._files.values()))

    def with_files(self, files: Mapping[str, bytes], disk_bytes: int) -> dict[str, bytes]:
        """These files, and the images as `image_1.png`, `image_2.png`, … where there are none of these names.

        They are PNG. Where they would take more than half of the disk, they are JPEG of high quality under the same
        names: whoever opens them looks at their contents.

        Args:
            files: Name → content.
            disk_bytes: What the working folder may hold.
        """
        names = [f"image_{number}.png" for number in range(1, len(self) + 1)]
        if not set(names) <= set(files):
            with self._lock:
                if not self._files:
                    made = _encoded(self._images, "PNG", compress_level=1)
                    is_large = sum(map(len, made)) > disk_bytes // 2
                    made = _encoded(self._images, "JPEG", quality=95, subsampling=0) if is_large else made
                    self._files = dict(zip(names, made, strict=True))
        return {**self._files, **files}

    def blocks(self) -> tuple[int, ...]:
        """The descriptors of the memory that holds them once `fill` was called, see `part_bytes`. They stay its own."""
        with self._lock:
            if self._blocks is None:
                self._blocks = tuple(self._new_memory() for _ in self._parts)
            return self._blocks

    def fill(self) -> None:
        """Put the images into their memory, and seal it. Only the first call does something."""
        blocks = self.blocks()
        with self._lock:
            if self._is_filled:
                return
            if len(blocks) == 1:
                self._fill_part(0, blocks[0])
            else:
                with ThreadPoolExecutor(len(blocks)) as pool:
                    list(pool.map(self._fill_part, range(len(blocks)), blocks))
            self._is_filled = True

    def _new_memory(self) -> int:
        block = new_memory("images")
        weakref.finalize(self, os.close, block)
        return block

    def _fill_part(self, part: int, block: int) -> None:
        for image, place in zip(self._images, places(self.sizes), strict=True):
            for piece in pieces(*place, self._parts):
                if piece.part == part:
                    os.lseek(block, piece.offset, os.SEEK_SET)
                    _write_as_pillow_keeps_it(block, image, piece.start, piece.start + piece.length)
        seal(block)


class SharedImagesCache:
    """Finds the shared images that belong to something, such as a task, for as long as they are in use or recent.

    Args:
        capacity_bytes: How many bytes are kept though no session uses them.
        capacity: How many `SharedImages` are; each has one or two descriptors open.
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
        while len(self._recent) > self.capacity or self._bytes() > self.capacity_bytes:
            self._recent.popitem(last=False)

    def _bytes(self) -> int:
        return sum(kept.nbytes + kept.file_bytes for kept in self._recent)


def _encoded(images: Iterable[ImageArray], form: str, **options: int) -> list[bytes]:
    from PIL import Image  # here, so that importing the sandbox stays light

    made = []
    for image in images:
        held = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(held, form, **options)
        made.append(held.getvalue())
    return made


def _write_as_pillow_keeps_it(fd: int, image: ImageArray, first: int, end: int) -> None:
    """Write the bytes of an image with four bytes a pixel, from the first up to the end."""
    height, width, _ = image.shape
    row_bytes = BYTES_PER_PIXEL * width
    rows = min(height, max(1, _BAND_BYTES // row_bytes))
    memory = memoryview(bytearray(rows * row_bytes))
    for top in range(first // row_bytes, -(-end // row_bytes), rows):
        band = np.ascontiguousarray(image[top : top + rows])
        start = top * row_bytes
        left = memory[: len(band) * row_bytes]
        image_over(left, (width, len(band))).frombytes(band.data.cast("B"))
        write_all(fd, left[max(0, first - start) : end - start])
