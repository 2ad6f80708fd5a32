"""Image files for tests: written by Pillow where it can, by hand where it cannot."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image, file_format, **options):
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, file_format, **options)
    return stream.getvalue()


def noise(height=37, width=53, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples, colour, depth=16, before_pixels=b"", size=None):
    """A PNG of samples of shape (height, width, channels) that are stored big-endian; `size` may lie."""
    height, width = samples.shape[:2]
    rows = np.ascontiguousarray(samples.astype(">u2" if depth == 16 else "u1")).reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + before_pixels + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(samples, order="<", *, sample_format=1, bits=None, photometric=1, extra=()):
    """A TIFF of one strip, uncompressed; `extra` holds entries (tag, type, values)."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    bits = bits or samples.dtype.itemsize * 8
    pixels = samples if isinstance(samples, bytes) else samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    entries = [(256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * channels), (259, "H", [1])]
    entries += [(262, "H", [photometric]), (273, "I", [8]), (277, "H", [channels]), (278, "I", [height])]
    entries += [(279, "I", [len(pixels)]), (339, "H", [sample_format] * channels), *extra]
    return with_directory(pixels, entries, order)


def with_directory(pixels, entries, order="<"):
    kinds = {"B": 1, "H": 3, "I": 4, "i": 9, "f": 11, "d": 12}
    far, near = b"", b""
    at = 8 + len(pixels) + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries):
        content = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(content) > 4:
            far, content = far + content, struct.pack(f"{order}I", at + len(far))
        near += struct.pack(f"{order}HHI", tag, kinds[kind], len(values)) + content.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}I", 8 + len(pixels))
    return magic + start + pixels + struct.pack(f"{order}H", len(entries)) + near + b"\0" * 4 + far


SAMPLES = {
    "png": encoded(noise(), "PNG"),
    "png palette": encoded(Image.fromarray(noise()).quantize(16), "PNG", transparency=3),
    "png 16 bits": png(np.arange(37 * 53).reshape(37, 53, 1), colour=0),
    "png 16 bits, colour": png(np.arange(37 * 53 * 3).reshape(37, 53, 3), colour=2),
    "apng": encoded(
        Image.fromarray(noise()), "PNG", save_all=True, append_images=[Image.fromarray(noise(seed=1))], duration=9
    ),
    "jpeg": encoded(noise(), "JPEG"),
    "jpeg progressive": encoded(noise(), "JPEG", progressive=True),
    "jpeg cmyk": encoded(Image.fromarray(noise()).convert("CMYK"), "JPEG"),
    "webp": encoded(noise(), "WEBP"),
    "webp lossless": encoded(noise(channels=4), "WEBP", lossless=True),
    "webp animated": encoded(
        Image.fromarray(noise()), "WEBP", save_all=True, append_images=[Image.fromarray(noise(seed=1))]
    ),
    "gif": encoded(noise(), "GIF"),
    "gif animated": encoded(
        Image.fromarray(noise()), "GIF", save_all=True, append_images=[Image.fromarray(noise(seed=1))]
    ),
    "bmp": encoded(noise(), "BMP"),
    "bmp palette": encoded(Image.fromarray(noise()).quantize(16), "BMP"),
    "tiff": encoded(noise(), "TIFF"),
    "tiff lzw": encoded(noise(), "TIFF", compression="tiff_lzw"),
    "tiff jpeg": encoded(noise(), "TIFF", compression="jpeg"),
    "tiff float": tiff(np.linspace(0, 1, 37 * 53, dtype=np.float32).reshape(37, 53), sample_format=3),
}
"""One small file of each kind, by name."""
