"""Images as files: sources that code opens by path, and files whose paths it prints, which come back as pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from metis_gym.errors import ConfigError
from metis_gym.sandbox import RunStatus, SandboxLimits, SharedImages

FIRST = (np.arange(3 * 37 * 53) * 7 % 251).astype(np.uint8).reshape(37, 53, 3)
SECOND = np.full((20, 30, 3), (10, 200, 30), np.uint8)


@pytest.fixture
def folder(backend):
    """A session with two images as files."""
    opened = backend.open(images=[FIRST, SECOND], image_files=True)
    yield opened
    opened.close()


def png(width, height, data=b""):
    """A PNG file whose header says what it likes."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_the_images_lie_in_the_working_folder(folder):
    ran = folder.run(
        "import numpy as np\nfrom PIL import Image\n"
        "same = [np.array_equal(np.array(Image.open(f'image_{n}.png')), np.array(i)) "
        "for n, i in ((1, image_1), (2, image_2))]\nprint(same, sorted(os.listdir()))"
    )
    assert ran.stdout == "[True, True] ['image_1.png', 'image_2.png']\n", ran.stderr


@pytest.mark.parametrize(
    "said",
    [
        "print('crop.png')",
        "print('Saved to:', os.path.abspath('crop.png'))",
        "print('./crop.png')",
        "print({'path': 'crop.png'})",
        "print('The crop is crop.png.')",
        "print('crop.png'); print('crop.png', os.path.abspath('crop.png'))",
        "import sys; sys.stdout.write('crop.p'); sys.stdout.write('ng')",
        "print('crop.png'); raise ValueError('but still')",
    ],
)
def test_a_printed_path_comes_back_as_an_image_once(folder, said):
    ran = folder.run(f"image_1.crop((1, 2, 11, 7)).save('crop.png')\n{said}")
    assert [image.tolist() for image in ran.images] == [FIRST[2:7, 1:11].tolist()]
    assert "crop.png" in ran.stdout


def test_images_come_back_in_the_order_of_their_paths(folder):
    code = "image_2.save('a.bmp'); image_1.save('b c.PNG'); print('b c.PNG\\na.bmp\\nimage_2.png')"
    assert [image.shape for image in folder.run(code).images] == [(37, 53, 3), (20, 30, 3), (20, 30, 3)]


def test_files_of_earlier_runs_can_be_named(folder):
    assert folder.run("image_1.save('later.png'); 'later.png'").images == ()
    assert len(folder.run("print('later.png')").images) == 1
    assert folder.run("1").images == ()


def test_without_the_option_a_path_is_text(backend):
    session = backend.open(images=[FIRST])
    ran = session.run("image_1.save('a.png'); print('a.png'); os.listdir()")
    session.close()
    assert ran.images == () and ran.result_text == "['a.png']"


@pytest.mark.parametrize(
    "said",
    [
        "print('missing.png')",
        "print('/etc/hostname.png')",
        "print('../../usr/share/pixmaps/a.png')",
        "os.mkdir('folder.png'); print('folder.png')",
        "os.symlink('/etc/passwd', 'link.png'); print('link.png')",
        "open('a.txt', 'w').write('x'); print('a.txt')",
        "print('\\0.png', '\\ud800.png', 'x' * 5000 + '.png')",
        "import matplotlib; print(matplotlib.get_data_path() + '/images/home.png')",
    ],
)
def test_what_is_no_image_file_of_the_session_is_only_text(folder, said):
    ran = folder.run(said)
    assert ran.images == () and "cannot be shown" not in ran.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image",
        png(100, 100),
        png(60_000, 60_000),
        png(10, 10)[:40],
        b"GIF89a" + b"\xff" * 100,
        b"\xff\xd8\xff",
    ],
)
def test_a_hostile_file_is_refused_and_the_session_goes_on(folder, content):
    ran = folder.run(f"open('bad.png', 'wb').write({content!r}); print('bad.png')")
    assert ran.images == () and ran.status in (RunStatus.OK, RunStatus.OUTPUT_LIMIT)
    assert "bad.png was printed, but cannot be shown" in ran.stderr or "over the limit" in ran.stderr
    assert folder.run("print(1)").stdout == "1\n"


def test_the_limits_of_images_hold(backend):
    limits = SandboxLimits(images=2, image_pixels=3_000)
    session = backend.open(images=[FIRST, SECOND], image_files=True, limits=limits)
    many = session.run("print('image_2.png')\nfor n in range(9): image_2.save(f'{n}.png'); print(f'{n}.png')")
    large = session.run("print('image_1.png'); image_1.save('2.png'); print('2.png')")
    session.close()
    assert (len(many.images), many.status) == (2, RunStatus.OUTPUT_LIMIT)
    assert (len(large.images), large.status) == (1, RunStatus.OUTPUT_LIMIT)


def test_printing_without_end_is_listened_to_within_limits(folder):
    ran = folder.run("print('a.png ' * 200_000); print('x' * 300_000 + '.png')")
    assert ran.images == () and folder.run("1").status is RunStatus.OK


def test_images_larger_than_the_disk_are_refused_before_anything_runs(backend):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    with pytest.raises(ConfigError, match="disk_bytes"):
        backend.open(images=[noise], image_files=True, limits=SandboxLimits(disk_bytes=50_000))


def test_large_images_are_kept_small_under_the_same_name():
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    made = {disk: SharedImages([noise]).with_files({}, disk)["image_1.png"] for disk in (1 << 20, 900_000)}
    assert [Image.open(io.BytesIO(content)).format for content in made.values()] == ["PNG", "JPEG"]
    assert len(made[900_000]) < 450_000 < len(made[1 << 20]) < 1 << 19


def test_the_disk_limit_counts_them(backend):
    limits = SandboxLimits(disk_bytes=1 << 20)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    session = backend.open(images=[noise], image_files=True, limits=limits)
    ran = session.run("open('big', 'wb').write(bytes(900_000)); import time; time.sleep(1)")
    session.close()
    assert backend.name == "unsafe" or ran.status is not RunStatus.OK


def test_files_of_the_callers_own_go_before_them(backend):
    session = backend.open(images=[FIRST], files={"image_1.png": b"mine", "b.txt": b"b"}, image_files=True)
    ran = session.run("open('image_1.png', 'rb').read(), open('b.txt').read()")
    session.close()
    assert ran.result_text == "(b'mine', 'b')"


def test_common_names_are_at_hand_in_every_session(session):
    code = (
        "fig = plt.figure(); plt.close(fig)\n"
        "print(np.arange(3).sum(), Image.new('RGB', (2, 3)).size, base64.b64encode(BytesIO(b'a').read()), "
        "os.path.basename('a/b'), math.floor(2.5))"
    )
    assert session.run(code).stdout == "3 (2, 3) b'YQ==' b 2\n"
    assert session.run("del np, plt, Image, BytesIO, base64, os, math\n'np' in dir()").result_text == "False"
