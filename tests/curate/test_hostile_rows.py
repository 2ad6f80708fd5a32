"""Rows with anything in them end as reasons, never as crashes."""

import contextlib
import random
import struct

import pytest

from metis_agents.curate.formats.readers import FORMATS, Context, read_row
from metis_agents.curate.records import RowError, Sample
from metis_agents.curate.stages.images import ImagesStage, checked_image
from metis_agents.curate.stages.structure import StructureStage
from metis_agents.curate.translation import NotTranslatableError, translated
from metis_gym.filesets.rows import ImageFolder
from tests.curate.corpus import Row, encoded, picture
from tests.curate.test_formats import openmm_row, thyme_sft_row, verl_row

REASONS = {"unreadable", "no_question", "marks_differ", "unknown_role", "no_model_turn"}
DEEP = "[" * 3_000 + "]" * 3_000


def deep_list():
    value = []
    for _ in range(3_000):
        value = [value]
    return value


STRANGE = [
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "\x00\ud800",
    "<image>" * 500,
    b"\xff",
    [],
    {},
    [None],
]
STRANGE += [
    {"bytes": None},
    {"bytes": 7, "path": "/dev/zero"},
    {"role": []},
    [[]],
    DEEP,
    deep_list(),
    "../" * 400,
    "a" * 2_000,
]
STRANGE += [
    {"role": "user", "content": {"type": "text"}},
    {"role": "assistant", "content": [{"type": "text", "text": 3}]},
]


def good_rows():
    chat = Row(1).chat()
    return {
        "verl": verl_row(),
        "chat": chat,
        "thyme_sft": thyme_sft_row(),
        "thyme_rl": {"messages": chat["messages"][:2], "images": chat["images"][:1], "solution": "red"},
        "plain": {"question": "Which?\nA. a\nB. b", "answer": "A", "image": chat["images"][0], "options": ["a", "b"]},
    }


def places(value, path=()):
    """All places in a nested value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def sample_of(name, row, folder):
    """The sample of a row; None for one that has a reason to be none."""
    reason = ""
    try:
        return read_row(name, row, Context("s", 0, ImageFolder(folder)))
    except RowError as error:
        reason = error.reason
    assert reason in REASONS
    return None


@pytest.mark.parametrize("name", FORMATS)
def test_anything_in_any_place_of_a_row_is_read_or_has_a_reason(name, tmp_path):
    row = good_rows()[name]
    stages = (ImagesStage(), StructureStage())
    read = 0
    for path in [place for place in places(row) if place]:
        for strange in STRANGE:
            sample = sample_of(name, replaced(row, path, strange), tmp_path)
            if sample is None:
                continue
            read += 1
            assert isinstance(sample, Sample)
            assert len(sample.id) == 16
            if sample.turns and all(stage.decide(sample).kept for stage in stages):
                with contextlib.suppress(NotTranslatableError):
                    assert translated(sample, "qwen")
    assert read > 0


def test_contents_of_parts_hold_anything(tmp_path):
    row = openmm_row()
    for path in [place for place in places(row) if place]:
        for strange in STRANGE:
            sample_of("chat", replaced(row, path, strange), tmp_path)


def test_damaged_images_have_a_reason():
    rng = random.Random(3)
    wholes = [encoded(picture(1), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")]
    reasons = {"truncated", "not_an_image", "too_large", "blank"}
    from metis_agents.curate.records import SampleImage

    for whole in wholes:
        for _ in range(40):
            data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
            for _ in range(rng.randrange(4)):
                if data:
                    data[rng.randrange(min(len(data), 60))] = rng.randrange(256)
            found = checked_image(SampleImage(bytes(data)), 10_000_000, 100)
            assert not isinstance(found, tuple) or found[0] in reasons


def test_a_bomb_is_too_large_before_it_is_decoded():
    import zlib

    from metis_agents.curate.records import SampleImage

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(10_000_000))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    assert checked_image(SampleImage(data), 50_000_000, 100)[0] == "too_large"
