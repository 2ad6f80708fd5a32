"""The decoder: what each kind of file shows, and that nothing in a file gets past `ImageError`."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import SAMPLES, chunk, encoded, noise, png, tiff, with_directory
from PIL import Image, ImageFile, ImageOps

from metis_gym.errors import ImageError
from metis_gym.images import MAX_DECODED_PIXELS, decode, decode_file, path_below, read_regular_file

ROOT = Path(__file__).parents[2]
RAMP_12 = np.arange(4096, dtype=np.uint16).reshape(64, 64)
RAMP_16 = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def by_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def shown(data):
    """Grey levels of a decoded grey image."""
    pixels = decode(data)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def shares(values, white):
    return np.rint(np.asarray(values, dtype=np.float64) / white * 255)


ORDINARY = [name for name in SAMPLES if not any(word in name for word in ("16 bits", "float", "palette", "webp l"))]


@pytest.mark.parametrize("name", ORDINARY)
def test_8_bit_files_are_decoded_to_the_bit_as_pillow_does(name):
    pixels = decode(SAMPLES[name])
    assert np.array_equal(pixels, by_pillow(SAMPLES[name]))
    assert (pixels.dtype, pixels.flags.writeable, pixels.flags.c_contiguous) == (np.uint8, True, True)


# formats


@pytest.mark.parametrize("file_format", ["PPM", "ICO", "PCX", "TGA", "SGI", "EPS", "MSP", "DDS", "JPEG2000", "ICNS"])
def test_no_other_format_is_opened(file_format, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a reader of another format was asked")

    image = Image.fromarray(noise(64, 64)).convert("1" if file_format == "MSP" else "RGB")
    data = encoded(image, file_format)
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match="none of PNG, JPEG, WebP, GIF, BMP, TIFF"):
        decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"text", b"BM", b"II*\0", b"GIF89a", b"RIFF....WEBPVP8X", b"\xff\xd8\xff"]
)
def test_what_is_no_file_is_refused(data):
    with pytest.raises(ImageError, match=r"^the map cannot be decoded: "):
        decode(data, name="the map")


# depths


@pytest.mark.parametrize(
    ("data", "white"),
    [
        (png(RAMP_16[..., None], colour=0), 65535),
        (png(RAMP_12[..., None], colour=0), 4095),
        (tiff(RAMP_16), 65535),
        (tiff(RAMP_16, ">"), 65535),
        (tiff(RAMP_12), 4095),
        (tiff(RAMP_12, ">"), 4095),
        (tiff(RAMP_12, extra=[(341, "H", [8000])]), 8000),
        (tiff(RAMP_12.astype(np.int32), sample_format=2), 4095),
        (tiff(RAMP_16.astype(np.int32), ">", sample_format=2), 65535),
        (tiff(RAMP_16.astype(np.uint32) << 16), 65535 << 16),
        (tiff(RAMP_16.astype(np.int32) * 100, sample_format=2), 65535 * 100),
        (tiff(RAMP_12.astype(np.int16), sample_format=2), 4095),
    ],
)
def test_a_ramp_of_any_depth_is_a_ramp(data, white):
    levels = shown(data)
    values = (RAMP_16 if levels.size == RAMP_16.size else RAMP_12).astype(np.float64) * (
        max(1, white / 65535) if white > 65535 else 1
    )
    assert np.array_equal(levels, shares(values, white))


@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
@pytest.mark.parametrize("colour", [2, 6])
def test_colour_of_16_bits_follows_the_rule_of_grey(white, colour):
    values = np.random.default_rng(0).integers(0, white + 1, (40, 30, 3))
    values[0, 0] = white
    alpha = np.full((40, 30, 1), 65535)
    samples = values if colour == 2 else np.concatenate([values, alpha], -1)
    for data in (png(samples, colour=colour), tiff_colour(samples, "<"), tiff_colour(samples, ">")):
        # the high byte, which is taken where the image is not dark, is at most one level below
        assert np.abs(decode(data) - shares(values, white)).max() <= (1 if white == 65535 else 0)


def tiff_colour(samples, order):
    alpha = [(338, "H", [2])] if samples.shape[2] == 4 else []
    return tiff(samples.astype(np.uint16), order, photometric=2, extra=alpha)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 255), st.sampled_from([0, 2]), st.integers(0, 99))
def test_8_bits_widened_to_16_show_the_same(brightest, colour, seed):
    narrow = np.random.default_rng(seed).integers(0, brightest + 1, (8, 9, 1 if colour == 0 else 3))
    wide = decode(png(narrow * 257, colour=colour))
    assert np.array_equal(wide, decode(png(narrow, colour=colour, depth=8)))


def test_16_bit_grey_with_alpha_is_a_share_of_65535():
    samples = np.stack([RAMP_16, np.full_like(RAMP_16, 65535)], -1)
    assert np.abs(shown(png(samples, colour=4)) - shares(RAMP_16, 65535)).max() <= 1


def test_floats_are_shares_of_white_or_run_from_the_smallest_to_the_largest():
    ramp = np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)
    half = np.full((4, 4), 0.5, np.float32)
    assert np.array_equal(shown(tiff(ramp, sample_format=3)), shares(ramp, 1))
    assert (shown(tiff(half, sample_format=3)) == 128).all()
    assert np.array_equal(shown(tiff(ramp * 600 - 100, ">", sample_format=3)), shares(ramp, 1))


def test_what_is_no_number_is_black_and_infinity_white():
    values = np.array([[np.nan, -np.inf, np.inf, 0.0, 0.5, 1.0]], np.float32)
    assert shown(tiff(values, sample_format=3)).tolist() == [[0, 0, 255, 0, 128, 255]]
    only = np.full((2, 2), np.nan, np.float32)
    assert (shown(tiff(only, sample_format=3)) == 0).all()


def test_negative_integers_are_darker_than_zero():
    values = np.array([[-1000, 0, 1000]], np.int32)
    assert shown(tiff(values, sample_format=2)).tolist() == [[0, 128, 255]]


def test_white_is_zero_is_inverted_at_any_depth():
    assert np.array_equal(shown(tiff(RAMP_16, photometric=0)), shares(65535 - RAMP_16.astype(int), 65535))
    ramp = RAMP_16.astype(np.uint8)
    assert np.array_equal(shown(tiff(ramp, photometric=0)), 255 - ramp)


def test_12_bits_packed_have_their_own_white():
    pairs = RAMP_12.reshape(-1, 2).astype(np.uint32)
    packed = ((pairs[:, 0] << 12) | pairs[:, 1]).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    entries = [(256, "I", [64]), (257, "I", [64]), (258, "H", [12]), (259, "H", [1]), (262, "H", [1])]
    entries += [(273, "I", [8]), (277, "H", [1]), (278, "I", [64]), (279, "I", [len(packed)])]
    assert np.array_equal(shown(with_directory(packed, entries)), shares(RAMP_12, 4095))


def test_one_bit_is_black_and_white():
    pixels = noise() > 127
    for file_format in ("PNG", "TIFF", "BMP", "GIF"):
        assert np.array_equal(shown(encoded(pixels[..., 0], file_format)), pixels[..., 0] * 255)


# transparency, colour, orientation


def on_white(colour, alpha):
    return np.rint(np.asarray(colour) * (alpha / 255) + 255 * (1 - alpha / 255))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_transparency_shows_a_white_page(file_format):
    layer = noise(channels=4)
    layer[0, :2, 3] = 0, 255
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    pixels = decode(encoded(layer, file_format, **options))
    assert np.abs(pixels - on_white(layer[..., :3], layer[..., 3:])).max() <= 1
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[0, 1].tolist() == layer[0, 1, :3].tolist()


def transparent_value(value, colour, depth, samples):
    content = b"".join(struct.pack(">H", part) for part in np.atleast_1d(value))
    return png(samples, colour, depth, before_pixels=chunk(b"tRNS", content))


def test_a_transparent_colour_is_white_at_any_depth():
    grey = np.array([[[3], [200]]])
    assert shown(transparent_value(3, 0, 8, grey)).tolist() == [[255, 200]]
    assert shown(transparent_value(3 * 257, 0, 16, grey * 257)).tolist() == [[255, 200]]
    colour = np.array([[[1, 2, 3], [1, 2, 60_000]]])
    assert decode(transparent_value([1, 2, 3], 2, 16, colour)).tolist() == [[[255] * 3, [0, 0, 234]]]
    dark = np.array([[[1, 2, 3], [1, 2, 4095]]])
    assert decode(transparent_value([1, 2, 3], 2, 16, dark)).tolist() == [[[255] * 3, [0, 0, 255]]]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_transparent_value_of_few_bits_is_white(depth):
    top = (1 << depth) - 1
    line = b"\0" + bytes([top << (8 - depth)])  # one pixel of the highest value, then zeros
    header = struct.pack(">IIBBBBB", 2, 1, depth, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", struct.pack(">H", top)), chunk(b"IDAT", zlib.compress(line))]
    data = b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])
    assert shown(data).tolist() == [[255, 0]]
    assert shown(data.replace(chunk(b"tRNS", struct.pack(">H", top)), chunk(b"tRNS", b"\0\0"))).tolist() == [[255, 255]]


def test_palettes_with_transparency_are_on_white():
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    half = decode(encoded(image, "PNG", transparency=bytes([0, 255, 128])))
    assert half.tolist() == [[[255] * 3, [40, 50, 60], on_white([70, 80, 90], 128).astype(int).tolist()]]
    assert decode(encoded(image, "GIF", transparency=1))[0, 1].tolist() == [255] * 3


def test_a_bmp_whose_alpha_nobody_set_is_opaque():
    layer = noise(channels=4)
    layer[..., 3] = 0
    data = encoded(layer, "BMP")
    assert np.array_equal(decode(data), layer[..., :3])


def test_cmyk_jpegs_are_inverted_where_the_marker_of_adobe_says_so():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    data = encoded(image, "JPEG", quality=100)
    at = data.index(b"\xff\xee")
    plain = data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :]
    assert np.abs(decode(data)[0, 0].astype(int) - [255, 0, 0]).max() <= 2
    assert np.abs(decode(plain)[0, 0].astype(int) - [0, 0, 0]).max() <= 2  # stored as (255, 0, 0, 255): black


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_applied(file_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(20, 30), file_format, exif=exif, **({"lossless": True} if file_format == "WEBP" else {}))
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(decode(data), upright)


@pytest.mark.parametrize(
    "exif", [b"", b"MM", b"II*\0" + b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff", b"MM\0*" + b"\0" * 3]
)
def test_a_damaged_exif_block_turns_nothing(exif):
    data = png(noise(2, 3), colour=2, depth=8, before_pixels=chunk(b"eXIf", exif))
    assert np.array_equal(decode(data), noise(2, 3))


# hostile files


def bombs():
    side = 60_000
    yield "png", png(noise(), colour=2, depth=8, size=(side, side))
    jpeg = bytearray(SAMPLES["jpeg"])
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", side, side)
    yield "jpeg", bytes(jpeg)
    for at, name in ((6, "gif"), (SAMPLES["gif"].index(b"\x2c\0\0\0\0") + 5, "gif frame")):
        gif = bytearray(SAMPLES["gif"])
        gif[at : at + 4] = struct.pack("<HH", side, side)
        yield name, bytes(gif)
    bmp = bytearray(SAMPLES["bmp"])
    bmp[18:26] = struct.pack("<ii", side, -side)
    yield "bmp", bytes(bmp)
    webp = bytearray(SAMPLES["webp animated"])
    webp[24:30] = struct.pack("<HBHB", side - 1, 0, side - 1, 0)
    yield "webp", bytes(webp)
    entries = [(256, "I", [side]), (257, "I", [side]), (258, "H", [8]), (259, "H", [5]), (262, "H", [1])]
    entries += [(273, "I", [8]), (277, "H", [1]), (278, "I", [side]), (279, "I", [8])]
    yield "tiff", with_directory(b"\0" * 8, entries)


@pytest.mark.parametrize(("name", "data"), list(bombs()))
def test_size_is_checked_before_anything_is_decoded(name, data, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with pytest.raises(ImageError, match=f"60000 x 60000 pixels; at most {MAX_DECODED_PIXELS:,} are decoded"):
        decode(data)


def test_the_limit_is_the_one_that_is_given():
    for name in ORDINARY:
        assert decode(SAMPLES[name], max_pixels=37 * 53).shape == (37, 53, 3)
        with pytest.raises(ImageError, match="at most 1,960 are decoded"):
            decode(SAMPLES[name], max_pixels=37 * 53 - 1)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_pillow_neither_warns_nor_refuses_by_its_own_limit(file_format, monkeypatch):
    data = encoded(Image.new("RGB", (2000, 1000), (9, 9, 9)), file_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 19)
    assert decode(data).shape == (1000, 2000, 3)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP", b"tEXt"])
def test_texts_and_profiles_are_not_inflated(kind):
    inflated = zlib.compress(b"\0" * (256 << 20))
    keyword = b"a\0" if kind == b"tEXt" else b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    data = png(noise(), colour=2, depth=8, before_pixels=b"".join([chunk(kind, keyword + inflated)] * 3))
    assert np.array_equal(decode(data), noise())


def test_a_jpeg_of_thousands_of_scans_is_refused_at_once():
    data = SAMPLES["jpeg progressive"]
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    scans = data[:second] + data[first:second] * 600_000 + data[second:]
    with pytest.raises(ImageError, match="scans"):
        decode(scans)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "gif animated"])  # only its first frame counts
def test_a_file_that_is_cut_off_is_refused(name):
    data = SAMPLES[name]
    for kept in range(0, len(data) - 8, max(1, len(data) // 300)):
        with pytest.raises(ImageError):
            decode(data[:kept])


def test_black_images_are_whole():
    black = np.zeros((9, 7, 3), np.uint8)
    assert np.array_equal(decode(encoded(black, "PNG")), black)
    bits = Image.new("1", (13, 9))
    assert not decode(encoded(bits, "PNG")).any()
    assert not decode(interlaced(13, 9)).any()
    with pytest.raises(ImageError, match=r"end early|truncated|unrecognized"):
        decode(interlaced(13, 9, missing=1))


def interlaced(width, height, missing=0):
    """Black grey pixels in seven passes (PNG specification, section 8.2)."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    lines = b""
    for left, top, across, down in passes:
        columns = len(range(left, width, across))
        lines += (b"\0" * (1 + columns)) * len(range(top, height, down)) if columns else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1))
    pixels = chunk(b"IDAT", zlib.compress(lines[: len(lines) - missing]))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def test_pixels_that_end_early_are_refused():
    for size in ((53, 38), (53, 74), (54, 37)):
        with pytest.raises(ImageError, match=r"end early|truncated|unrecognized"):
            decode(png(noise(), colour=2, depth=8, size=size))
    strips = tiff(noise()[..., 0])
    strips = strips.replace(struct.pack("<HHII", 278, 4, 1, 37), struct.pack("<HHII", 278, 4, 1, 1))
    with pytest.raises(ImageError, match="cut off"):
        decode(strips)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(
        st.tuples(
            st.sampled_from(["set", "cut", "insert", "repeat", "number"]), st.floats(0, 1), st.binary(max_size=8)
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_a_damaged_file_is_an_image_or_an_image_error(name, changes, in_header):
    data = bytearray(SAMPLES[name])
    for kind, share, content in changes:
        at = int(share * min(len(data), 200 if in_header else len(data)))
        if kind == "set":
            data[at : at + len(content)] = content
        elif kind == "cut":
            del data[at : at + 1 + len(content)]
        elif kind == "insert":
            data[at:at] = content
        elif kind == "repeat":
            data[at:at] = data[at : at + 64]
        else:
            data[at : at + 4] = b"\xff\xff\xff\xff" if len(content) % 2 else b"\0\0\0\x01"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            pixels = decode(bytes(data), max_pixels=1 << 20)
        except ImageError:
            return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 < pixels.size <= 3 << 20


def test_threads_decode_at_once_and_leave_everything_as_it_was():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters), dict(Image.OPEN))
    damaged = [data[: len(data) // 2] for data in SAMPLES.values()]
    wrong = []

    def work():
        for data in [*SAMPLES.values(), *damaged]:
            try:
                decode(data)
            except ImageError:
                continue
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters, Image.OPEN) == before


MEMORY = """
import resource, sys
from metis_gym.images import decode
data = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels = decode(data)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / pixels.nbytes)
"""


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "CMYK"), ("TIFF", "F"), ("WEBP", "RGBA")],
)
def test_memory_is_a_small_multiple_of_the_decoded_size(tmp_path, file_format, mode):
    image = Image.new(mode, (4000, 3000), 1 if mode in ("F", "I;16") else None)
    (tmp_path / "image").write_bytes(
        encoded(image, file_format, **({"lossless": True} if file_format == "WEBP" else {}))
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "image")],
        capture_output=True, text=True, check=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert float(ran.stdout) < 8


# files


def test_only_regular_files_are_read_and_nothing_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("/dev/zero")
    names = ["pipe.png", "folder.png", "link.png", "gone.png", "a\0b.png", "x" * 5000, "\udcff.png", "\ud800.png"]
    for path in [*(tmp_path / name for name in names), Path("/dev/tty"), Path("/dev/zero")]:
        with pytest.raises(ImageError, match="cannot be read"):
            decode_file(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ImageError, match="no regular file"):
        decode_file(tmp_path / "folder.png")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_too_long_is_not_read(tmp_path):
    (tmp_path / "long.png").touch()
    os.truncate(tmp_path / "long.png", 1 << 40)
    with pytest.raises(ImageError, match=r"1,099,511,627,776 bytes; at most 536,870,912 are read"):
        read_regular_file(tmp_path / "long.png")


def test_a_link_that_came_after_the_check_is_not_followed(tmp_path):
    (tmp_path / "a.png").write_bytes(SAMPLES["png"])
    place = path_below(tmp_path, "a.png")
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to("b.png")
    with pytest.raises(ImageError, match="cannot be read"):
        decode_file(place, follow_link=False)
    assert decode_file(place).shape == (37, 53, 3)


def test_a_file_is_decoded_by_its_content(tmp_path):
    (tmp_path / "a.txt").write_bytes(SAMPLES["png"])
    assert np.array_equal(decode_file(tmp_path / "a.txt"), noise())


def test_nothing_else_in_the_project_decodes_images():
    allowed = {
        "metis_gym/images/decoder.py",
        "metis_gym/sandbox/inside/warmup.py",
        "metis_gym/sandbox/inside/printed.py",  # in the session, within its limits
        "metis_gym/dialects/code.py",  # names it in an example, and runs nothing
    }
    users = {
        path.relative_to(ROOT).as_posix()
        for folder in ("metis_gym", "envs", "agents", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if any(word in path.read_text() for word in ("Image.open(", "imread(", "ImageFile.Parser"))
    }
    assert users <= allowed


COMPRESSIONS = "tiff_lzw jpeg tiff_deflate tiff_adobe_deflate packbits group3 group4 tiff_ccitt zstd".split()


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff cannot be reached there")
def test_damaged_tiffs_print_nothing(capfd):
    """Neither in one thread nor in several."""
    rng = np.random.default_rng(5)
    files = []
    for compression in COMPRESSIONS:
        mode = "1" if compression in ("group3", "group4", "tiff_ccitt") else "RGB"
        whole = encoded(np.asarray(Image.fromarray(noise()).convert(mode)), "TIFF", compression=compression)
        for _ in range(20):
            damaged = bytearray(whole)
            for place in rng.integers(8, len(whole), 4):
                damaged[place] = rng.integers(256)
            files.append(bytes(damaged))

    def attempt(data):
        with contextlib.suppress(ImageError):
            decode(data)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, files))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
