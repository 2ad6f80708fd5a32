"""Images that a session is given: ordinary Pillow images to its code, in memory whose changes no other session sees."""

import gc
import hashlib
import itertools
import mmap
import os
import subprocess
import sys
import textwrap
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.sandbox import RunStatus, SandboxLimits, SharedImages
from metis_gym.sandbox.images import SharedImagesCache
from metis_gym.sandbox.inside.images import MAX_PARTS, part_bytes, pieces, places

SIDES = (37, 53)
"""Height and width: not those of whole pages."""
PIXELS = (np.arange(3 * SIDES[0] * SIDES[1]) * 7 % 251).astype(np.uint8).reshape(*SIDES, 3)
PRELUDE = """
import copy, io, pickle
import numpy as np
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps, ImageStat
pixels = (np.arange(3 * 37 * 53) * 7 % 251).astype(np.uint8).reshape(37, 53, 3)
ordinary = Image.frombytes("RGB", (53, 37), pixels.tobytes())
def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
def essence(value):
    return (value.mode, value.size, value.tobytes()) if isinstance(value, Image.Image) else value
"""
# What code does with an image. The results on a given image and on an ordinary one have to be the same.
READING = {
    "attributes": "(i.mode, i.size, i.width, i.height, i.format, i.info, i.readonly, i.getbands(), type(i))",
    "arrays": "(np.array(i).tolist(), np.asarray(i).dtype, np.array(i).shape, np.array(i).flags.writeable)",
    "pixels": "(i.getpixel((50, 30)), i.load()[3, 4], i.getextrema(), i.getbbox(), i.histogram())",
    "colours": "(i.getcolors(3000), ImageStat.Stat(i).mean, i.entropy())",
    "crops": "[essence(i.crop(box)) for box in ((0, 0, 5, 5), (-3, -3, 60, 50), (10, 20, 10, 20))]",
    "sizes": "[essence(x) for x in (i.resize((10, 9)), i.reduce(2), i.resize((99, 80), Image.Resampling.LANCZOS))]",
    "turns": "[essence(x) for x in (i.rotate(30, expand=True), i.transpose(Image.Transpose.ROTATE_90))]",
    "modes": "[essence(i.convert(mode)) for mode in ('L', '1', 'P', 'RGBA', 'CMYK', 'HSV', 'LAB', 'YCbCr', 'F', 'I')]",
    "bands": "[essence(x) for x in (*i.split(), i.getchannel('G'), Image.merge('RGB', i.split()[::-1]))]",
    "filters": "[essence(i.filter(f)) for f in (ImageFilter.BLUR, ImageFilter.GaussianBlur(2))]",
    "operations": "[essence(f(i)) for f in (ImageOps.mirror, ImageOps.invert, ImageOps.equalize)]",
    "enhancers": "[essence(e(i).enhance(1.7)) for e in (ImageEnhance.Contrast, ImageEnhance.Sharpness)]",
    "chops": "[essence(f(i, i.rotate(180))) for f in (ImageChops.difference, ImageChops.add, ImageChops.screen)]",
    "points": "[essence(x) for x in (i.point(lambda v: 255 - v), i.quantize(8), Image.blend(i, i.rotate(180), .5))]",
    "files": "[saved(i, kind) for kind in ('PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM')]",
    "copies": "[essence(x) for x in (i.copy(), copy.copy(i), copy.deepcopy(i), pickle.loads(pickle.dumps(i)))]",
    "comparison": "(i == ordinary, i == i.copy(), i != i.rotate(180))",
    "bytes": "(i.tobytes(), i.tobytes('raw', 'BGR'), i.tobytes('raw', 'RGBX'))",
    "thumbnail of a copy": "(lambda c: (c.thumbnail((9, 9)), essence(c)))(i.copy())",
    "contexts": "(lambda c: c.__enter__() is c)(i)",
}
# Statements that change the image in place.
WRITING = {
    "putpixel": "i.putpixel((5, 6), (1, 2, 3))",
    "pixel access": "i.load()[7, 8] = (9, 9, 9)",
    "paste colour": "i.paste('red', (3, 3, 30, 30))",
    "paste image": "i.paste(i.rotate(180).crop((0, 0, 20, 20)), (4, 4))",
    "paste with mask": "i.paste('blue', (0, 0), Image.linear_gradient('L').resize((53, 37)))",
    "putdata": "i.putdata([(1, 2, 3)] * (53 * 37))",
    "putalpha": "i.putalpha(120)",
    "draw": "ImageDraw.Draw(i).rectangle((2, 2, 40, 20), outline='lime', width=3)",
    "draw text": "ImageDraw.Draw(i).text((9, 9), 'Hey', fill='red')",
    "draw with alpha": "ImageDraw.Draw(i, 'RGBA').ellipse((2, 2, 40, 30), fill=(255, 0, 0, 90))",
    "flood fill": "ImageDraw.floodfill(i, (5, 5), (0, 255, 0), thresh=200)",
    "thumbnail": "i.thumbnail((20, 20))",
    "compose": "i.putalpha(200); i.alpha_composite(Image.new('RGBA', (9, 9), (0, 0, 255, 100)), (4, 4))",
    "frombytes": "i.frombytes(bytes(53 * 37 * 3))",
    "exif": "ImageOps.exif_transpose(i, in_place=True)",
}


@pytest.fixture(scope="module")
def reader(backend):
    """A session in which nothing changes the image."""
    session = backend.open(images=[PIXELS])
    assert session.run(PRELUDE).status is RunStatus.OK
    yield session
    session.close()


@pytest.mark.parametrize("expression", READING.values(), ids=READING)
def test_reading_gives_what_an_ordinary_image_gives(reader, expression):
    result = reader.run(f"(lambda i: {expression})(image_1) == (lambda i: {expression})(ordinary)")
    assert (result.status, result.stderr, result.result_text) == (RunStatus.OK, "", "True")


@pytest.mark.parametrize("statement", WRITING.values(), ids=WRITING)
def test_writing_changes_what_it_changes_in_an_ordinary_image_and_nothing_elsewhere(backend, statement):
    shared = SharedImages([PIXELS])
    first, second = backend.open(images=shared), backend.open(images=shared)
    cells = f"{PRELUDE}\nfor i in (image_1, ordinary):\n    {statement}\n"
    done = first.run(f"{cells}(essence(image_1) == essence(ordinary), image_1.readonly)")
    assert (done.status, done.stderr, done.result_text) == (RunStatus.OK, "", "(True, 0)")
    assert np.array_equal(second.run("image_1").images[0], PIXELS)
    third = backend.open(images=shared)
    assert np.array_equal(third.run("image_1").images[0], PIXELS)
    for session in (first, second, third):
        session.close()


def test_several_images_of_all_shapes_arrive_in_order(backend):
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 5000), (5000, 1), (32, 32), (301, 999), (64, 16)]
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    images.append(images[4][::2, ::-3])  # not contiguous
    session = backend.open(images=images, files={"after.txt": b"whole"})
    assert session.run("open('after.txt').read()").result_text == "'whole'"
    names = ", ".join(f"image_{number}" for number in range(1, len(images) + 1))
    told = session.run(f"import hashlib\n[hashlib.sha256(i.tobytes()).hexdigest() for i in ({names})]").result_text
    assert told == repr([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    assert session.run(f"[i.size for i in ({names})]").result_text == repr([i.shape[1::-1] for i in images])
    session.close()


@pytest.mark.parametrize(
    "shapes",
    [
        [(1000, 1001)],  # cut within a row
        [(5, 7), (999, 777), (3, 3)],  # cut within the second
        [(512, 1024), (512, 1024)],  # cut between two
        [(1, 1 << 20)],  # one row, in both parts
        [(1 << 20, 1)],
        [(3, 2)] * 99,  # less than a part
    ],
    ids=str,
)
def test_images_arrive_wherever_their_block_is_divided(daemonless, shapes):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    session = daemonless.open(images=images)
    names = f"(globals()[f'image_{{n + 1}}'] for n in range({len(images)}))"
    told = session.run(f"import zlib\n[zlib.crc32(image.tobytes()) for image in {names}]").result_text
    assert told == repr([zlib.crc32(image.tobytes()) for image in images])
    session.close()


@given(
    st.lists(st.tuples(st.integers(1, 600), st.integers(1, 600)), max_size=9),
)
def test_the_pieces_of_images_are_all_of_them_and_share_no_byte(sizes):
    parts = part_bytes(sizes)
    assert len(parts) <= MAX_PARTS
    assert all(size % mmap.PAGESIZE == 0 for size in parts[:-1])
    taken = np.zeros(sum(parts) // 4, bool)
    for start, length in places(sizes):
        found = list(pieces(start, length, parts))
        assert sum(piece.length for piece in found) == length
        assert [piece.start for piece in found] == [0, *itertools.accumulate(p.length for p in found)][:-1]
        for piece in found:
            assert piece.offset + piece.length <= parts[piece.part]
            assert piece.start % mmap.PAGESIZE == piece.offset % mmap.PAGESIZE == 0
            where = (sum(parts[: piece.part]) + piece.offset) // 4
            assert not taken[where : where + piece.length // 4].any()
            taken[where : where + piece.length // 4] = True


def test_an_image_counts_once_against_the_memory_limit_and_is_given_back(daemonless):
    image = np.zeros((4000, 4000, 3), np.uint8)  # 64 MB as Pillow keeps it
    session = daemonless.open(images=[image], limits=SandboxLimits(memory_bytes=96 << 20))
    assert session.run("len(bytearray(24 << 20)) >> 20").result_text == "24"
    assert session.run("x = bytearray(64 << 20)").status is RunStatus.MEMORY
    assert session.run("del image_1\nlen(bytearray(64 << 20)) >> 20").result_text == "64"
    session.close()


def test_images_larger_than_the_memory_limit_are_an_error_and_the_next_session_works(daemonless):
    image = np.zeros((4000, 4000, 3), np.uint8)
    with pytest.raises(SandboxError, match="memory"):
        daemonless.open(images=[image], limits=SandboxLimits(memory_bytes=16 << 20))
    session = daemonless.open(images=[PIXELS])
    assert session.run("image_1.size").result_text == "(53, 37)"
    session.close()


@pytest.mark.parametrize("sides", [(37, 53), (800, 900)], ids=["one part", "two parts"])
def test_no_descriptor_of_the_images_is_left_to_the_code(daemonless, sides):
    session = daemonless.open(images=[np.zeros((*sides, 3), np.uint8)])
    code = "import os\nfound = []\nfor fd in range(256):\n    try: found.append(fd) if os.fstat(fd) else 0\n"
    assert session.run(code + "    except OSError: pass\nfound").result_text == "[0, 1, 2, 3]"
    session.close()


@pytest.mark.parametrize("image", [PIXELS, np.ones((800, 900, 3), np.uint8)], ids=["one part", "two parts"])
def test_shared_images_are_prepared_once_and_cannot_be_changed_any_more(daemonless, image):
    shared = SharedImages([image])
    sessions = [daemonless.open(images=shared) for _ in range(3)]
    for block in shared.blocks():
        size = os.fstat(block).st_size
        for change in (lambda fd, size: os.ftruncate(fd, size - 1), lambda fd, size: os.ftruncate(fd, size + 1)):
            with pytest.raises(PermissionError):
                change(block, size)
        with pytest.raises(PermissionError):
            os.pwrite(block, b"x", 0)
    assert all(np.array_equal(session.run("image_1").images[0], image) for session in sessions)
    for session in sessions:
        session.close()


def test_sessions_that_open_at_once_with_the_same_images_all_see_them(backend):
    image = np.random.default_rng(3).integers(0, 256, (900, 900, 3), np.uint8)
    shared = SharedImages([image])
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: backend.open(images=shared), range(8)))
    assert all(np.array_equal(session.run("image_1").images[0], image) for session in sessions)
    for session in sessions:
        session.close()


def test_the_memory_of_shared_images_is_given_back_with_them():
    def descriptors():
        return sum("images" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_open(fd))

    def is_open(fd):
        return os.path.lexists(f"/proc/self/fd/{fd}")

    before = descriptors()
    shared = SharedImages([PIXELS])
    shared.fill()
    assert descriptors() == before + 1
    del shared
    gc.collect()
    assert descriptors() == before


def test_what_is_no_image_is_refused_when_it_is_shared():
    with pytest.raises(ConfigError, match="image_2 must be uint8"):
        SharedImages([PIXELS, PIXELS.astype(np.float32)])


def test_a_cache_finds_images_while_they_are_used_and_keeps_the_last_ones():
    owners = [type("Owner", (), {})() for _ in range(3)]
    size = SharedImages([PIXELS]).nbytes
    cache = SharedImagesCache(capacity_bytes=2 * size, capacity=9)
    used = cache.get(owners[0], [PIXELS])
    others = [weakref.ref(cache.get(owner, [PIXELS])) for owner in owners[1:]]
    assert cache.get(owners[2], [PIXELS]) is others[1]()
    assert cache.get(owners[0], [PIXELS]) is used  # pushed out, but in use
    assert others[0]() is None
    few = SharedImagesCache(capacity_bytes=100 * size, capacity=1)
    kept = [weakref.ref(few.get(owner, [PIXELS])) for owner in owners]
    assert [reference() is None for reference in kept] == [True, True, False]
    assert few.get(owners[2], [PIXELS]) is kept[2]()


RETURNING = """
import resource, sys
from metis_gym.sandbox import SandboxLimits
from tests.sandbox.available import start
backend = start({name!r})
session = backend.open(limits=SandboxLimits(memory_bytes=2 << 30))
session.run("from PIL import Image")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = session.run("for _ in range({count}): Image.new('RGB', (5000, 4000)).show()")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(len(result.images), grown >> 10, result.stderr.strip().replace(chr(10), " "))
session.close()
backend.close()
"""


def test_returned_images_cost_the_host_no_more_than_the_limit(daemonless):
    code = textwrap.dedent(RETURNING).format(name=daemonless.name, count=8)
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    count, megabytes, message = said.split(maxsplit=2)
    assert int(count) == 1
    assert int(megabytes) < 90  # one image of 20 million pixels has 57 MB; eight had 457
    assert "Limit of 20000000 pixels for all images of one run together reached" in message
