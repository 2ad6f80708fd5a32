"""Image files before they are decoded: format and size from the header, and only those parts that make pixels.

A decoder is given a PNG's header, palette, transparency and pixels, a JPEG's tables and scans, a GIF's first frame, a
TIFF's first directory with the tags that describe its pixels. Texts, colour profiles, thumbnails, further pages and
vendors' data never reach it. Orientation is read from EXIF here. Nothing here decompresses anything.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from metis_gym.errors import ImageError

__all__ = ["FORMATS", "Container", "has_all_rows", "open_container"]

FORMATS = ("PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF")
"""What is decoded; every other format is refused by its first bytes."""

_MAX_PARTS = 1 << 20  # chunks, segments, blocks, strips: a file with more was made to keep its reader busy
_SCAN_WORK = 1_000_000_000  # pixels times scans of a progressive JPEG; an encoder makes about ten scans
_CUT_OFF = "the file is cut off"
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Container:
    """A file, reduced to what makes its pixels.

    Attributes:
        format: One of `FORMATS`.
        width: As stored, pixels: before the orientation is applied.
        height: As stored, pixels.
        data: The file for the decoder.
        orientation: EXIF's, 1 to 8; 1 where the file says nothing valid.
        depth: Bits of a sample, where the decoder needs to know.
        tags: Of a TIFF: tag → values.
    """

    format: str
    width: int
    height: int
    data: bytes
    orientation: int = 1
    depth: int = 8
    tags: Mapping[int, tuple[float, ...]] = field(default_factory=dict)


def open_container(data: bytes) -> Container:
    """Find a file's format and size, and leave out what makes no pixels.

    Raises:
        ImageError: It is of another format, or its structure is damaged.
    """
    for is_format, read in _READERS:
        if is_format(data):
            try:
                return read(data)
            except (struct.error, IndexError):
                raise ImageError(_CUT_OFF) from None
    raise ImageError(f"it is none of {', '.join(FORMATS)}; it begins with {data[:8]!r}" if data else "it is empty")


def _bounded(parts: int, limit: int = _MAX_PARTS) -> None:
    if parts > limit:
        raise ImageError(f"it consists of more than {limit:,} parts")


def exif_orientation(exif: bytes) -> int:
    r"""The orientation that an EXIF block names, 1 if it names none.

    >>> exif_orientation(b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0))
    6
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


# PNG ------------------------------------------------------------------------------------------------------------------

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PARTS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _png(data: bytes) -> Container:
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    if data[8:16] != b"\0\0\0\rIHDR":
        raise ImageError("a PNG without a header")
    kept: list[bytes] = [_PNG]
    orientation, begin, end = 1, len(_PNG), len(_PNG)
    for number, (kind, start, end) in enumerate(_png_chunks(data)):
        _bounded(number)
        if kind == b"eXIf":
            orientation = exif_orientation(data[start + 8 : end - 4])
        if kind not in _PNG_PARTS:
            kept.append(data[begin:start])
            begin = end
    whole = data if len(kept) == 1 else b"".join([*kept, data[begin:end]])
    return Container(format="PNG", width=width, height=height, data=whole, orientation=orientation, depth=depth)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk, up to the one that ends the image."""
    start, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data):
            raise ImageError(_CUT_OFF)
        yield kind, start, end
        start = end


_SAMPLES_OF_COLOUR = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_WHOLE = ((0, 0, 1, 1),)
_INTERLACED = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def has_all_rows(png: bytes) -> bool:
    """Whether the pixels of a PNG, inflated piece by piece, fill its size. Pillow leaves black what is missing."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    missing = 0
    for left, top, across, down in _INTERLACED if interlaced else _WHOLE:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        missing += rows * (1 + -(-columns * depth * _SAMPLES_OF_COLOUR[colour] // 8)) if columns > 0 else 0
    inflater = zlib.decompressobj()
    for kind, start, end in _png_chunks(png):
        rest = png[start + 8 : end - 4] if kind == b"IDAT" else b""
        while rest and missing > 0 and not inflater.eof:
            missing -= len(inflater.decompress(rest, _PIECE))
            rest = inflater.unconsumed_tail
    return missing - len(inflater.flush()) <= 0 if missing > 0 else True


# JPEG -----------------------------------------------------------------------------------------------------------------

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_JPEG_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xE0, 0xEE, *_FRAMES})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def _jpeg(data: bytes) -> Container:
    kept, size, orientation = [b"\xff\xd8"], (0, 0), 1
    for marker, start, end in _jpeg_segments(data):
        if marker == _SCAN:
            kept.append(data[start:])
            break
        if marker in _FRAMES:
            if any(size):
                raise ImageError("a JPEG with two headers")
            height, width = struct.unpack_from(">HH", data, start + 5)
            size = width, height
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 4 : end])
        if marker in _JPEG_TABLES:
            kept.append(data[start:end])
    width, height = size
    scans = data.count(b"\xff\xda", start)
    if scans > max(16, _SCAN_WORK // max(1, width * height)):
        raise ImageError(f"a JPEG of {width} x {height} pixels in {scans:,} scans")
    return Container(format="JPEG", width=width, height=height, data=b"".join(kept), orientation=orientation)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the first scan, whose end is not known."""
    position = 2
    for _ in range(_MAX_PARTS):
        start = data.find(b"\xff", position)
        if start < 0:
            raise ImageError(_CUT_OFF)
        marker = data[start + 1]
        position = start + 1 if marker == 0xFF else start + 2
        if marker in (0x00, 0xFF) or marker in _ALONE:
            continue
        if marker == 0xD9:
            raise ImageError("a JPEG without pixels")
        (length,) = struct.unpack_from(">H", data, start + 2)
        position = start + 2 + length
        if length < 2 or position > len(data):
            raise ImageError(_CUT_OFF)
        yield marker, start, position
    _bounded(_MAX_PARTS + 1)


# GIF ------------------------------------------------------------------------------------------------------------------


def _gif(data: bytes) -> Container:
    """The screen, or the first frame where it reaches farther, gives the size."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    colours = data[10 : 13 + _colours(flags)]
    position, control = 10 + len(colours), b""
    while (mark := data[position]) == 0x21:
        end = _after_blocks(data, position + 2)
        if data[position + 1] == 0xF9:  # transparency; what happens to the frame afterwards is of no interest
            control = data[position : position + 3] + bytes([data[position + 3] & 1]) + data[position + 4 : end]
        position = end
    if mark != 0x2C:
        raise ImageError("a GIF without an image")
    left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
    end = _after_blocks(data, position + 11 + _colours(flags))
    width, height = max(width, left + across), max(height, top + down)
    header = data[:6] + struct.pack("<HH", width, height) + colours
    whole = b"".join([header, control, data[position:end], b";"])
    return Container(format="GIF", width=width, height=height, data=whole)


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """The place behind a chain of blocks."""
    for _ in range(_MAX_PARTS):
        length = data[position]
        position += 1 + length
        if not length:
            return position
    raise ImageError(f"it consists of more than {_MAX_PARTS:,} parts")


# WebP, BMP ------------------------------------------------------------------------------------------------------------


def _webp(data: bytes) -> Container:
    kind = data[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        size = (low_width | high_width << 16) + 1, (low_height | high_height << 16) + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        size = width & 0x3FFF, height & 0x3FFF
    else:
        raise ImageError(f"a WebP file with the unknown part {kind!r}")
    return Container(
        format="WebP", width=size[0], height=size[1], data=data, orientation=exif_orientation(_riff(data, b"EXIF"))
    )


def _riff(data: bytes, wanted: bytes) -> bytes:
    """The content of the first chunk of a kind, empty if there is none."""
    position = 12
    for _ in range(_MAX_PARTS):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == wanted:
            return data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    return b""


def _bmp(data: bytes) -> Container:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return Container(format="BMP", width=width, height=abs(height), data=data)


# TIFF -----------------------------------------------------------------------------------------------------------------

_SHORT = 3
_TYPES = {1: "B", 3: "H", 4: "I"}
_SIGNED_TYPES = {6: "b", 8: "h", 9: "i", 11: "f", 12: "d"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 259, 262, 274
_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 273, 279, 322, 323, 324, 325
_SAMPLES, _STRIP_ROWS, _PLANAR = 277, 278, 284
_SINGLE = frozenset({_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _PLANAR}) | {
    *(266, 292, 293, 317, _TILE_WIDTH, _TILE_HEIGHT)
}
_LISTS = frozenset({_BITS, _STRIPS, _STRIP_BYTES, 320, _TILES, _TILE_BYTES, 338, 339, 530, 531})
_JPEG_TABLE = 347
_SHOWN_RANGE = frozenset({340, 341})  # for us, not for the decoder
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000})


def _tiff(data: bytes) -> Container:
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    entries: dict[int, bytes] = {}
    tags: dict[int, tuple[float, ...]] = {}
    for number in range(count):
        tag, entry = struct.unpack_from(f"{order}H", data, start + 2 + 12 * number)[0], start + 2 + 12 * number
        if tag == _JPEG_TABLE or tag in _SINGLE or tag in _LISTS or tag in _SHOWN_RANGE:
            tags[tag] = _tiff_values(data, entry, order, tag)
            entries[tag] = data[entry : entry + 12]
    _check_tiff(data, tags)
    orientation = int(tags.get(_ORIENTATION, (1,))[0])
    kept = sorted(set(entries) - {_ORIENTATION} - _SHOWN_RANGE)
    whole = _with_directory(data, [entries[tag] for tag in kept], order)
    return Container(
        format="TIFF",
        width=int(tags[_WIDTH][0]),
        height=int(tags[_HEIGHT][0]),
        data=whole,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        depth=int(tags.get(_BITS, (1,))[0]),
        tags=tags,
    )


def _tiff_values(data: bytes, entry: int, order: str, tag: int) -> tuple[Any, ...]:
    kind, count = struct.unpack_from(f"{order}HI", data, entry + 2)
    types = {7: "s"} if tag == _JPEG_TABLE else {**_TYPES, **_SIGNED_TYPES} if tag in _SHOWN_RANGE else _TYPES
    code = types.get(kind)
    if code is None or not count or (tag in _SINGLE and count > 1):
        raise ImageError(f"the TIFF tag {tag} holds {count:,} values of type {kind}")
    size = count * struct.calcsize(code)
    place = entry + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
    if place + size > len(data):
        raise ImageError(_CUT_OFF)
    _bounded(count)
    return struct.unpack_from(f"{order}{count}{code}", data, place)


def _check_tiff(data: bytes, tags: Mapping[int, tuple[float, ...]]) -> None:
    """What the decoders of TIFF take for granted.

    Raises:
        ImageError: Something does not fit the rest of the file.
    """
    if not {_WIDTH, _HEIGHT} <= set(tags) or not (_STRIPS in tags or _TILES in tags):
        raise ImageError("a TIFF without a size or without pixels")
    compression = tags.get(_COMPRESSION, (1,))[0]
    if compression not in _COMPRESSIONS:
        raise ImageError(f"a TIFF of compression {compression}, which is not decoded")
    for offsets, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        parts = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
        if any(offset + length > len(data) for offset, length in parts):
            raise ImageError(_CUT_OFF)
    width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    across, down = width, min(height, tags.get(_STRIP_ROWS, (height,))[0])
    if _TILES in tags:
        across, down = tags.get(_TILE_WIDTH, (0,))[0], tags.get(_TILE_HEIGHT, (0,))[0]
        if across * down > 4 * width * height + (1 << 24):
            raise ImageError(f"a TIFF with tiles of {across} x {down} pixels")
    planes = tags.get(_SAMPLES, (1,))[0] if tags.get(_PLANAR, (1,))[0] == 2 else 1
    needed = -(-width // max(1, across)) * -(-height // max(1, down)) * planes
    if len(tags.get(_STRIPS, ()) or tags[_TILES]) < needed:
        raise ImageError(_CUT_OFF)


def _with_directory(data: bytes, entries: list[bytes], order: str) -> bytes:
    """The file with these entries as its only directory."""
    padding = b"\0" * (len(data) % 2)
    start = struct.pack(f"{order}I", len(data) + len(padding))
    directory = [struct.pack(f"{order}H", len(entries)), *entries, b"\0\0\0\0"]
    return b"".join([data[:4], start, data[8:], padding, *directory])


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Container]], ...] = (
    (lambda data: data.startswith(_PNG), _png),
    (lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda data: data.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp),
    (lambda data: data.startswith(b"BM"), _bmp),
    (lambda data: data.startswith((b"II*\0", b"MM\0*")), _tiff),
)
