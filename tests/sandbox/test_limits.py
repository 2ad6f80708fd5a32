"""Every limit is enforced, and the result names it with its value. What can go on goes on."""

import numpy as np
import pytest

from metis_gym.sandbox import RunStatus, SandboxLimits

SMALL = SandboxLimits(
    seconds=5,
    cpu_seconds=1,
    memory_bytes=128 << 20,
    disk_bytes=4 << 20,
    processes=6,
    output_bytes=1000,
    images=2,
    image_pixels=10_000,
)


@pytest.fixture
def small(backend):
    opened = backend.open(limits=SMALL)
    yield opened
    opened.close()


def test_time_and_the_variables_stay(small):
    small.run("x = 1")
    result = small.run("print('begun')\nwhile True: x += 1", timeout=0.2)
    assert (result.status, result.stdout) == (RunStatus.TIMEOUT, "begun\n")
    assert 'File "<cell 2>", line 2' in result.stderr
    assert result.stderr.endswith("Time limit of 0.2 s reached; the code was interrupted.\n")
    assert 0.2 <= result.seconds < 1.5
    assert small.run("x > 1").result_text == "True"


def test_time_of_code_that_cannot_be_interrupted(small):
    result = small.run("import signal, time\nsignal.signal(2, signal.SIG_IGN)\ntime.sleep(9)", timeout=0.2)
    assert result.status is RunStatus.TIMEOUT
    assert "Time limit of 0.2 s reached, and the code did not let itself be interrupted." in result.stderr
    assert "its variables are lost" in result.stderr
    assert not small.alive


def test_the_limit_bounds_the_timeout(backend):
    session = backend.open(limits=SandboxLimits(seconds=0.2))
    assert "Time limit of 0.2 s" in session.run("while True: pass", timeout=60).stderr
    session.close()


def test_cpu(small):
    result = small.run("while True: pass")
    assert result.status is RunStatus.KILLED
    assert "CPU limit of 1 s for the whole session reached." in result.stderr


def test_memory(small):
    result = small.run("x = bytearray(200 << 20)")
    assert result.status is RunStatus.MEMORY
    assert result.stderr.endswith("MemoryError\nMemory limit of 128 MB reached.\n")
    assert small.run("len(bytearray(20 << 20)) >> 20").result_text == "20"


def test_memory_of_numpy(small):
    result = small.run("import numpy as np\nnp.ones((10**5, 10**4))")
    assert result.status is RunStatus.MEMORY
    assert "Memory limit of 128 MB reached." in result.stderr


def test_memory_that_was_used_up_bit_by_bit_is_given_back(small):
    result = small.run("held = []\nwhile True: held.append(bytearray(1 << 20))")
    assert result.status is RunStatus.MEMORY
    assert small.run("del held\nlen(bytearray(64 << 20)) >> 20").result_text == "64"


def test_disk(small):
    result = small.run("with open('big', 'wb') as file:\n    file.write(bytes(6 << 20))")
    assert result.status is RunStatus.ERROR
    assert result.stderr.endswith("Disk limit of 4 MB reached.\n")


def test_open_files(small):
    result = small.run("held = [open('/dev/null') for _ in range(1000)]")
    assert result.status is RunStatus.ERROR
    assert "Limit of 256 open files reached." in result.stderr


def test_threads(isolated):
    session = isolated.open(limits=SMALL)
    code = """
import threading
wait = threading.Event()
held = []
try:
    for _ in range(50):
        thread = threading.Thread(target=wait.wait)
        thread.start()
        held.append(thread)
finally:
    print(len(held))
    wait.set()
"""
    result = session.run(code)
    assert (result.status, result.stdout) == (RunStatus.ERROR, "5\n")  # and the main thread
    assert "Limit of 6 threads" in result.stderr
    session.close()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output(small, stream):
    result = small.run(f"import sys\nsys.{stream}.write('x' * 5000)\n1")
    assert result.status is RunStatus.OUTPUT_LIMIT
    assert getattr(result, stream).startswith("x" * 1000)
    assert not getattr(result, stream).startswith("x" * 1001)
    assert "Output limit of 1000 bytes reached" in result.stderr
    assert small.run("print('next')").stdout == "next\n"


def test_output_that_ends_in_the_middle_of_a_character(small):
    assert small.run("print('a' + 'ü' * 900)").stdout == "a" + "ü" * 499 + "\ufffd"


def test_text_of_the_result(small):
    result = small.run("'x' * 5000")
    assert (result.status, len(result.result_text)) == (RunStatus.OUTPUT_LIMIT, 1000)
    assert "Output limit of 1000 bytes reached" in result.stderr


def test_number_of_images(small):
    result = small.run("from PIL import Image\nfor _ in range(5): Image.new('RGB', (9, 9)).show()")
    assert (result.status, len(result.images)) == (RunStatus.OUTPUT_LIMIT, 2)
    assert "Limit of 2 images per run reached" in result.stderr
    assert len(small.run("Image.new('RGB', (9, 9))").images) == 1


def test_size_of_images(small):
    result = small.run("from PIL import Image\nImage.new('RGB', (101, 100))")
    assert (result.status, result.images) == (RunStatus.OUTPUT_LIMIT, ())
    assert "An image of 101×100 pixels is over the limit of 10000 pixels; crop or resize it." in result.stderr
    assert small.run("Image.new('RGB', (100, 100))").images[0].shape == (100, 100, 3)


def test_size_of_all_images_of_a_run_together(small):
    twice = "from PIL import Image\nfor _ in range(2):\n    Image.new('RGB', (60, 100)).show()\n"
    result = small.run(twice + "Image.new('RGB', (40, 100))")
    assert (result.status, [image.shape for image in result.images]) == (
        RunStatus.OUTPUT_LIMIT,
        [(100, 60, 3), (100, 40, 3)],
    )
    assert (
        "Limit of 10000 pixels for all images of one run together reached: an image of 60×100 pixels after 6000 pixels "
        "was dropped; crop or resize them, or show them in several runs."
    ) in result.stderr
    assert len(small.run("Image.new('RGB', (60, 100))").images) == 1  # each run has the whole limit


def test_a_figure_too_large_to_draw(small):
    result = small.run("import matplotlib.pyplot as plt\nplt.figure(figsize=(600, 600))")
    assert "An image of 60000×60000 pixels is over the limit" in result.stderr


def test_processes_and_network_are_off(isolated):
    session = isolated.open()
    for code in (
        "import os\nos.fork()",
        "import subprocess\nsubprocess.run(['true'])",
        "import socket\nsocket.socket()",
    ):
        result = session.run(code)
        assert result.status is RunStatus.ERROR
        assert "Sandbox: files can be written in the working folder only; new processes and the network are off." in (
            result.stderr
        )
    session.close()


def test_images_of_the_host_count_neither_as_disk_nor_get_lost(backend):
    given = np.full((3024, 4032, 3), 5, np.uint8)
    session = backend.open(images=[given], limits=SandboxLimits(disk_bytes=1 << 20))
    assert session.run("image_1.getpixel((4000, 3000))").result_text == "(5, 5, 5)"
    session.close()
