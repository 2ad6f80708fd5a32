"""Difference hashes: 242 bits that say between which neighbours of an 11 × 11 thumbnail it becomes brighter.

N. Krawetz, *Kind of Like That* (2013), in both directions and with 11 instead of 8 cells. Two images with few
different bits are copies of each other: recompressed, rescaled, a little cropped or brightened. Turned, mirrored or
strongly cropped copies are not recognised, and images that merely *mean* the same never are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_gym.records import ImageArray

__all__ = ["BITS", "NEAR", "WORDS", "Hashes", "dhash", "differing_bits", "near_distances"]

_CELLS = 11
BITS = 2 * _CELLS * _CELLS
WORDS = 4
NEAR = 0.35
"""Share of differing bits up to which two images count as copies. Unrelated ones differ in about half."""

_SAMPLED_SIDE = 384

Hashes = NDArray[np.uint64]


def dhash(image: ImageArray) -> Hashes:
    """The hash of an image.

    Args:
        image: Shape (height, width, 3), uint8.

    Returns:
        Shape (4,), uint64: 242 bits, filled up with zeros.

    >>> dhash(np.zeros((40, 60, 3), np.uint8)).tolist()  # nothing becomes brighter
    [0, 0, 0, 0]
    """
    grey = _small_grey(image)
    across, down = (
        np.asarray(grey.resize(size, Image.Resampling.BILINEAR), dtype=np.int16)
        for size in ((_CELLS + 1, _CELLS), (_CELLS, _CELLS + 1))
    )
    brighter = np.concatenate([(across[:, 1:] > across[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()])
    packed = np.zeros(8 * WORDS, dtype=np.uint8)
    packed[: -(-BITS // 8)] = np.packbits(brighter)
    return packed.view("<u8").astype(np.uint64)


def differing_bits(hashes: Hashes, query: Hashes) -> NDArray[np.uint16]:
    """How many bits of each hash differ from the query's.

    Args:
        hashes: Shape (4, N), one hash in a column.
        query: Shape (4,).

    Returns:
        Shape (N,), uint16.
    """
    differing = np.zeros(hashes.shape[1], dtype=np.uint16)
    for word, wanted in zip(hashes, query, strict=True):
        differing += _count_ones(word ^ wanted)
    return differing


def near_distances(image: ImageArray, others: Sequence[ImageArray], max_distance: float = NEAR) -> list[float | None]:
    """The share of bits in which each of some images differs from one, None where it is above `max_distance`.

    >>> half = np.full((40, 60, 3), 255, np.uint8)
    >>> half[:, :30] = 0
    >>> [round(d, 3) for d in near_distances(half, [half, half[:, ::-1]])]  # the edge: 3 × 11 bits of 242
    [0.0, 0.136]
    """
    wanted = dhash(image)
    differing = [int(differing_bits(dhash(other)[:, None], wanted)[0]) for other in others]
    return [bits / BITS if bits <= int(max_distance * BITS) else None for bits in differing]


def _small_grey(image: ImageArray) -> Image.Image:
    """A grey image of at most `_SAMPLED_SIDE` pixels a side: every n-th pixel of a large one.

    Some hundred samples of each cell are enough for its average, and reading every pixel would take most of a search.
    """
    step = -(-max(image.shape[:2]) // _SAMPLED_SIDE)
    top, left = (min(step // 2, length - 1) for length in image.shape[:2])
    channels = [image[top::step, left::step, channel] for channel in range(3)]  # three times faster than all at once
    return Image.fromarray(np.stack(channels, axis=-1)).convert("L")


def _count_ones_portably(words: Hashes) -> NDArray[np.uint8]:
    """Ones in each word, for numpy below 2 (H. S. Warren, *Hacker's Delight*, fig. 5-2)."""
    odd, pairs, nibbles = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    words = words - ((words >> np.uint64(1)) & odd)
    words = (words & pairs) + ((words >> np.uint64(2)) & pairs)
    words = (words + (words >> np.uint64(4))) & nibbles
    ones = (words * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return ones.astype(np.uint8)


_count_ones = getattr(np, "bitwise_count", _count_ones_portably)
