"""Code in a model's turn: its fences, and the paths of images in it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.dialects.code import local_paths, read_code, written_code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("\n```python\na = 1\nprint(a)\n```\n", "a = 1\nprint(a)"),
        ("```python\na = 1\n```\nand then\n```python\nb = 2\n```", "b = 2"),  # the last fence
        ("\na = 1\n", "a = 1"),  # no fence
        ("```\na = 1\n```", "a = 1"),
        ("```py\na = 1```", "a = 1"),
        ("```python a = 1```", "a = 1"),
        ("```python\nif a:\n    b()\n", "if a:\n    b()"),  # cut off
        ("```python\na = 1\n```\n```", "a = 1"),
        ("    ```python\n    a = 1\n    ```\n", "    a = 1"),
        ("", ""),
        ("```python\n```", ""),
    ],
)
def test_fences(body, code):
    assert read_code(body) == code


@given(st.text(max_size=200) | st.text(alphabet="`python \n\t<>/code=1", max_size=100))
def test_what_is_written_is_read_back(code):
    written = written_code(code)
    if written is not None:
        assert read_code(written.removeprefix("<code>").removesuffix("</code>")) == code
    elif code.strip():
        assert "```" in code or "</code>" in code


@pytest.mark.parametrize(
    ("code", "local"),
    [
        ("Image.open('image_1.png')", "Image.open('image_1.png')"),
        ("Image.open('/mnt/data/image_2.jpg')", "Image.open('image_2.png')"),
        ('Image.open("./images/image_1.jpeg")', 'Image.open("image_1.png")'),
        ("Image.open(r'C:/x/image_3.PNG')", "Image.open(r'image_3.png')"),
        ("image_path = '/home/user/photo.jpg'", "image_path = 'image_1.png'"),
        ("image_path = '/tmp/crop.png'", "image_path = 'crop.png'"),
        ("image_path = 'crop.png'", "image_path = 'crop.png'"),
        ("crop.save('/output/a/crop.png')", "crop.save('crop.png')"),
        ("p = '/mnt/data/temp_processed_images/c.jpg'", "p = './c.jpg'"),
        ("image_path = '/mnt/data/temp_processed_images/c.jpg'", "image_path = './c.jpg'"),
        ("p = f'/mnt/data/temp_processed_images/{name}.jpg'", "p = f'./{name}.jpg'"),
        ("os.path.join('/mnt/data/temp_processed_images/', n)", "os.path.join('./', n)"),
        ("os.makedirs('/mnt/data', exist_ok=True)", "os.makedirs('.', exist_ok=True)"),
        ("a='/x/b.png';b=\"/y/c.gif\"", "a='b.png';b=\"c.gif\""),
    ],
)
def test_paths_of_images_elsewhere_are_replaced(code, local):
    assert local_paths(code) == local
    assert local_paths(local) == local


@pytest.mark.parametrize(
    "code",
    [
        "crop.save('crop.png')",
        "crop.save('./out/crop.png')",
        "open('/etc/passwd')",
        "print('see /data/image_1.png there')",
        "url = 'https://a.example/image_1.png'",
        "# Image.open('/mnt/data/image_1.jpg')",
        '"""\n/mnt/data/image_1.jpg\n"""',
        "x = 'it\\'s /a/b.png'",
        "name = 'image_1_crop.png'",
        "a = b'/mnt' + c",
        "print('image_10x.png', \"unclosed /a/b.png",
        "folder = '/mnt/database/'",
        "f'/tmp/{a/b}.png'",
    ],
)
def test_nothing_else_is_replaced(code):
    assert local_paths(code) == code


@given(st.text(alphabet="'\"\\#/\n.image_1pngab=f{}", max_size=300))
def test_any_text_is_read_and_only_literals_change(code):
    local = local_paths(code)
    assert local_paths(local) == local
    if not any(quote in code for quote in "'\""):
        assert local == code


@pytest.mark.parametrize("piece", ['\\"', '"', "'", '"""', "'/a/b.png'", "/", "'" + "/" * 50, "```", "#", "\\"])
def test_reading_takes_time_in_proportion_to_the_length(piece):
    code = "'" + piece * (1_000_000 // len(piece))
    start = time.process_time()
    local_paths(code)
    read_code(code)
    assert time.process_time() - start < 5.0  # seconds; quadratic reading takes hours
