"""Rows with anything in them end as reasons, never as crashes."""

import contextlib
import datetime
import decimal
import os
import random
import struct

import pyarrow as pa
import pytest
from pyarrow import parquet

from metis_agents.curate.formats.readers import FORMATS, Context, read_row
from metis_agents.curate.records import RowError, Sample
from metis_agents.curate.stages.images import ImagesStage, checked_image
from metis_agents.curate.stages.structure import StructureStage
from metis_agents.curate.translation import NotTranslatableError, translated
from metis_gym.filesets.rows import ImageFolder
from tests.curate.corpus import Row, encoded, lines, picture, write_jsonl
from tests.curate.test_cheap_stages import curate
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


SCHEMAS = {
    "bytes for texts": {"messages": [[{"role": b"user", "content": b"\xff"}]], "images": [[b""]]},
    "JSON behind a dictionary": {"messages": pa.array(["[[[["]).dictionary_encode(), "images": [[b""]]},
    "maps": {"messages": pa.array([[[("role", "user")]]], pa.list_(pa.map_(pa.string(), pa.string()))), "images": [[]]},
    "nothing": {"messages": pa.nulls(2), "images": pa.nulls(2)},
    "decimals": {"question": [decimal.Decimal("1.5")], "answer": [decimal.Decimal("1.5")], "image": [b"x"]},
    "times": {"question": [datetime.timedelta(1)], "answer": [datetime.date(2020, 1, 1)], "image": [b"x"]},
    "objects for texts": {"question": [{"a": [{"b": 1}]}], "answer": [{"c": {"d": 1}}], "image": [{"bytes": 1}]},
    "names": {"question": ["?"], "answer": ["b"], "image": [b"x"], "\x1b[31m\x07": ["x"], "": ["y"], "a" * 5_000: [1]},
    "verl's, texts for objects": {
        "prompt": [[{"role": "user", "content": "q"}]],
        "reward_model": ["x"],
        "images": [[]],
    },
    "verl's, a list of notes": {
        "prompt": [[{"role": "user", "content": "q?"}]],
        "reward_model": [{"ground_truth": "red"}],
        "images": [[]],
        "extra_info": [[1, 2]],
    },
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_tables_of_any_schema_end_as_reasons(tmp_path, name):
    table = pa.table(SCHEMAS[name])
    parquet.write_table(table, tmp_path / "data.parquet")
    for kind in ("sft", "rl"):
        assert curate(kind, tmp_path / "data.parquet", tmp_path / kind) == 0
        found = lines(tmp_path / kind / "dropped.jsonl")
        assert {line["row"] for line in found} == set(range(table.num_rows))


def test_links_in_a_folder_of_images_lead_nowhere_else(tmp_path):
    folder = tmp_path / "data/images"
    folder.mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(encoded(picture(3)))
    (folder / "own.png").write_bytes(encoded(picture(1)))
    targets = {
        "out": tmp_path / "secret.png",
        "endless": "/dev/zero",
        "loop": folder / "loop.png",
        "own link": "own.png",
    }
    for name, target in targets.items():
        os.symlink(target, folder / f"{name}.png")
    os.symlink(tmp_path, folder / "up")
    os.mkfifo(folder / "pipe.png")
    os.symlink(folder / "pipe.png", folder / "to the pipe.png")
    (folder / "folder.png").mkdir()
    names = [*(f"{name}.png" for name in targets), "up/secret.png", "pipe.png", "to the pipe.png", "folder.png"]
    good = Row(1).chat()
    rows = [{**good, "images": [f"images/{name}", good["images"][1]]} for name in names]
    out = tmp_path / "out"
    assert curate("sft", write_jsonl(tmp_path / "data/rows.jsonl", rows), out, "--no-execute") == 0
    found = {line["row"]: line["reason"] for line in lines(out / "dropped.jsonl")}
    assert found == {row: "missing" for row, name in enumerate(names) if name != "own link.png"}
