"""What honest code may rely on, on every backend."""

import numpy as np
import pytest

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.sandbox import RunStatus, SandboxLimits


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_printed_text_and_the_last_expression(session):
    result = session.run("print('hello')\nx = 2\nx + 40")
    assert (result.status, result.stdout, result.result_text) == (RunStatus.OK, "hello\n", "42")
    assert result.stderr == ""
    assert result.images == ()
    assert 0 < result.seconds < 5


@pytest.mark.parametrize("code", ["x = 1", "None", "5;", "", "# nothing", "def f(): pass"])
def test_nothing_to_show(session, code):
    result = session.run(code)
    assert (result.status, result.stdout, result.stderr, result.result_text) == (RunStatus.OK, "", "", "")


def test_state_lives_until_the_session_ends(session):
    session.run("import math\ndef area(r):\n    return math.pi * r ** 2\nvalues = [1]")
    session.run("values.append(area(2))")
    assert session.run("round(values[-1], 3)").result_text == "12.566"
    assert session.run("__name__").result_text == "'__main__'"


def test_images_and_files_go_in(backend):
    first, second = image(20, 30, 1), image(5, 6, 2)
    with_files = {"notes.txt": "ünïcode".encode(), "data.bin": bytes(range(256)), "empty": b""}
    session = backend.open(images=[first, second], files=with_files)
    said = session.run("print(image_1.size, image_1.mode, image_2.size, sorted(__import__('os').listdir()))")
    assert said.stdout == "(30, 20) RGB (6, 5) ['data.bin', 'empty', 'notes.txt']\n"
    assert session.run("open('notes.txt', encoding='utf-8').read()").result_text == "'ünïcode'"
    assert session.run("open('data.bin', 'rb').read() == bytes(range(256))").result_text == "True"
    for name, given in (("image_1", first), ("image_2", second)):
        assert np.array_equal(session.run(name).images[0], given)
    session.close()


def test_nothing_but_images_and_common_modules_is_preloaded(backend):
    session = backend.open(images=[image(4, 4)])
    listed = session.run("sorted(name for name in globals() if not name.startswith('__'))")
    assert listed.result_text == "['BytesIO', 'Image', 'base64', 'image_1', 'math', 'np', 'os', 'plt']"
    session.close()


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (1080, 1920), (4096, 4096)])
def test_images_come_out_as_they_went_in(backend, size):
    given = image(*size)
    session = backend.open(images=[given])
    assert np.array_equal(session.run("image_1").images[0], given)
    session.close()


def test_images_that_were_written_to_the_array_of_the_host_later_do_not_change(backend):
    given = image(8, 8)
    session = backend.open(images=[given])
    kept = given.copy()
    given[:] = 0
    assert np.array_equal(session.run("image_1").images[0], kept)
    session.close()


IMAGES = {
    "crop": "image_1.crop((1, 2, 5, 6))",
    "array": "import numpy as np\nnp.asarray(image_1)[2:6, 1:5]",
    "shown": "image_1.crop((1, 2, 5, 6)).show()",
}


@pytest.mark.parametrize("code", IMAGES.values(), ids=IMAGES)
def test_ways_to_show_a_image(backend, code):
    given = image(10, 10)
    session = backend.open(images=[given])
    result = session.run(code)
    assert len(result.images) == 1
    assert np.array_equal(result.images[0], given[2:6, 1:5])
    assert result.result_text == ""
    session.close()


# Mode, value of all pixels, RGB that is to be seen. Transparent parts are seen on white.
MODES = [
    ("L", 9, (9, 9, 9)),
    ("1", 1, (255, 255, 255)),
    ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
    ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
    ("LA", (0, 0), (255, 255, 255)),
    ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
    ("I;16", 0x1234, (0x12, 0x12, 0x12)),
    ("P", 0, (0, 0, 0)),
]


@pytest.mark.parametrize(("mode", "value", "seen"), MODES)
def test_every_mode_is_seen_as_rgb(session, mode, value, seen):
    result = session.run(f"from PIL import Image\nImage.new({mode!r}, (2, 3), {value!r})")
    assert result.status is RunStatus.OK, result.stderr
    assert result.images[0].shape == (3, 2, 3)
    assert tuple(result.images[0][0, 0]) == seen


def test_which_arrays_are_images(session):
    session.run("import numpy as np")
    grey = session.run("np.full((2, 3), 7, np.uint8)")
    assert np.array_equal(grey.images[0], np.full((2, 3, 3), 7))
    for code in (
        "np.zeros((2, 3))",
        "np.zeros(4, np.uint8)",
        "np.zeros((2, 3, 3), np.int64)",
        "np.zeros((0, 3), np.uint8)",
    ):
        result = session.run(code)
        assert result.images == ()
        assert result.result_text.startswith("array(")


FIGURES = {
    "left open": "plt.plot([1, 2])\nx = 1",
    "artists": "plt.plot([1, 2])",
    "axes": "plt.gca()",
    "figure": "fig, ax = plt.subplots()\nax.plot([1])\nfig",
    "show": "plt.plot([1, 2])\nplt.show()",
    "its own show": "fig = plt.figure()\nfig.show()",
    "subplots": "plt.subplots(2, 2)",
    "text": "plt.title('Ä $x^2$')",
}


@pytest.mark.parametrize("code", FIGURES.values(), ids=FIGURES)
def test_figures_come_back_once_and_are_closed(session, code):
    result = session.run("import matplotlib.pyplot as plt\n" + code)
    assert result.status is RunStatus.OK, result.stderr
    assert [image.shape for image in result.images] == [(480, 640, 3)]
    assert (result.result_text, result.stderr) == ("", "")
    assert session.run("plt.get_fignums()").result_text == "[]"


def test_several_figures_in_the_order_they_were_shown(session):
    code = """
import matplotlib.pyplot as plt
from PIL import Image
plt.figure(figsize=(1, 1)); plt.show()
Image.new('RGB', (30, 20)).show()
plt.figure(figsize=(2, 2))
Image.new('RGB', (40, 40))
"""
    sizes = [image.shape[:2] for image in session.run(code).images]
    assert sizes == [(100, 100), (20, 30), (40, 40), (200, 200)]


def test_a_histogram_shows_its_numbers_and_its_figure(session):
    result = session.run("import matplotlib.pyplot as plt\nplt.hist([1, 1, 2], bins=2)")
    assert "array([2., 1.])" in result.result_text
    assert len(result.images) == 1


def test_a_traceback_shows_the_lines_of_the_code_and_nothing_of_the_sandbox(session):
    session.run("def divide(a):\n    return 1 / a")
    result = session.run("print('before')\ndivide(0)")
    assert result.status is RunStatus.ERROR
    assert result.stdout == "before\n"
    assert result.stderr == (
        "Traceback (most recent call last):\n"
        '  File "<cell 2>", line 2, in <module>\n'
        "    divide(0)\n"
        '  File "<cell 1>", line 2, in divide\n'
        "    return 1 / a\n"
        "           ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
    )
    assert session.run("1").result_text == "1"


def test_a_syntax_error_shows_its_line(session):
    result = session.run("x = 1\ny = = 2")
    assert result.status is RunStatus.ERROR
    assert result.stderr.startswith('  File "<cell 1>", line 2\n    y = = 2\n        ^\nSyntaxError')


CAUSES = """
try:
    {}['a']
except KeyError as error:
    raise ValueError('outer') from error
"""


def test_causes_and_groups_of_errors(session):
    assert "KeyError: 'a'" in session.run(CAUSES).stderr
    grouped = session.run("raise ExceptionGroup('both', [ValueError(1), TypeError(2)])").stderr
    assert "ValueError: 1" in grouped
    assert "inside" not in grouped


@pytest.mark.parametrize("code", ["input('name? ')", "import sys\nsys.stdin.read()", "import sys\nlist(sys.stdin)"])
def test_nobody_answers_input(session, code):
    result = session.run(code)
    assert result.status is RunStatus.ERROR
    assert "EOFError: input() has nobody to ask here; put the value into the code" in result.stderr


@pytest.mark.parametrize("code", ["exit()", "quit(1)", "import sys\nsys.exit('done')", "raise SystemExit"])
def test_exit_does_not_end_the_session(session, code):
    session.run("kept = 1")
    result = session.run(code)
    assert result.status is RunStatus.ERROR
    assert "exit() does not end the session here" in result.stderr
    assert session.run("kept").result_text == "1"


def test_an_interrupt_of_the_codes_own_is_an_error(session):
    assert session.run("raise KeyboardInterrupt").status is RunStatus.ERROR


def test_unicode(session):
    text = "Größe 🙂 漢字 \u202e"
    result = session.run(f"print({text!r})\nнаименование = {text!r}\nнаименование")
    assert (result.stdout, result.result_text) == (text + "\n", repr(text))
    assert session.run("print('\\ud800')").stdout == "\\ud800\n"
    assert session.run("'\ud800'").status is RunStatus.ERROR  # source that is not Unicode


def test_warnings_are_seen_with_their_line(session):
    result = session.run("import warnings\nwarnings.warn('careful')")
    assert result.status is RunStatus.OK
    assert result.stderr.startswith("<cell 1>:2: UserWarning: careful\n")


def test_streams_come_back_after_they_were_replaced_or_closed(session):
    session.run("import sys, io\nsys.stdout = io.StringIO()\nsys.stderr.close()")
    assert session.run("print('again')").stdout == "again\n"
    assert "ValueError" in session.run("raise ValueError").stderr


def test_randomness_is_repeated_with_the_seed(backend):
    code = (
        "import random, numpy as np\n"
        "print(random.random(), np.random.rand(), np.random.default_rng().random(), hash('text'), {'a', 'b', 'c'})"
    )
    texts = []
    for seed in (1, 1, 2):
        session = backend.open(seed=seed)
        texts.append(session.run(code).stdout)
        session.close()
    assert texts[0] == texts[1] != texts[2]


def test_figures_are_the_same_to_the_byte(backend):
    code = "import matplotlib.pyplot as plt, numpy as np\nplt.scatter(*np.random.rand(2, 50))\nplt.title('t')"
    drawn = []
    for _ in range(2):
        session = backend.open(seed=3)
        drawn.append(session.run(code).images[0])
        session.close()
    assert np.array_equal(*drawn)


def test_a_closed_session_is_over(backend):
    session = backend.open()
    assert session.alive
    session.close()
    session.close()
    assert not session.alive
    with pytest.raises(SandboxError, match="over: it was closed; open another"):
        session.run("1")


def test_a_session_whose_process_ended_is_over(backend):
    session = backend.open()
    result = session.run("print('last words')\nimport os\nos._exit(7)")
    assert (result.status, result.stdout) == (RunStatus.KILLED, "last words\n")
    assert "exited with code 7" in result.stderr
    assert not session.alive
    with pytest.raises(SandboxError, match="over: its process was ended"):
        session.run("1")
    session.close()


def test_a_crash_names_the_signal(backend):
    session = backend.open()
    result = session.run("import ctypes\nctypes.string_at(0)")
    assert result.status is RunStatus.KILLED
    assert "SIGSEGV" in result.stderr
    session.close()


WRONG_IMAGES = [
    np.zeros((4, 4), np.uint8),
    np.zeros((4, 4, 3)),
    np.zeros((4, 4, 4), np.uint8),
    np.zeros((0, 4, 3), np.uint8),
]


@pytest.mark.parametrize("wrong", WRONG_IMAGES, ids=["2d", "float", "rgba", "empty"])
def test_a_wrong_image_is_refused(backend, wrong):
    with pytest.raises(ConfigError, match=r"image_2 must be uint8 of shape \(height, width, 3\), actually"):
        backend.open(images=[image(2, 2), wrong])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/passwd", "nul\0", "x" * 300])
def test_a_file_needs_a_plain_name(backend, name):
    with pytest.raises(ConfigError, match="plain name without folders"):
        backend.open(files={name: b""})


def test_files_have_to_fit(backend):
    with pytest.raises(ConfigError, match=r"2048 bytes, which is more than SandboxLimits.disk_bytes = 1024"):
        backend.open(files={"a": bytes(2048)}, limits=SandboxLimits(disk_bytes=1024))


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_positive(session, timeout):
    with pytest.raises(ConfigError, match="timeout must be a positive number of seconds or None"):
        session.run("1", timeout=timeout)
