"""Files of tasks that someone made to do harm, or that are damaged: each row is a task or a named `TaskDataError`."""

import json
import os
import re
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.dialects.contract import without_image_marks
from metis_gym.errors import ConfigError, TaskDataError
from metis_gym.filesets import jsonl, parquet, rows
from metis_gym.filesets.files import folder_taskset, jsonl_taskset, parquet_taskset
from metis_gym.filesets.hub import hub_taskset
from metis_gym.filesets.parquet_pages import unpacked_sizes
from metis_gym.images.transforms import to_png
from metis_gym.records import GoldAnswer, Task, TaskImage
from metis_gym.tasksets import TASKSETS, Taskset, make_taskset

PNG = to_png(np.full((30, 40, 3), 200, np.uint8))
GOOD = {"question": "Which colour?", "answer": "red", "image": "a.png"}
UNTIMED = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(PNG)
    (tmp_path / "outside.png").write_bytes(PNG)
    return tmp_path / "data"


def write_lines(folder, *lines):
    data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "t.jsonl").write_bytes(b"\n".join(data) + b"\n")
    return str(folder / "t.jsonl")


def skipped(path, **options):
    """What is said of the second of two rows, the first of which is good."""
    taskset = jsonl_taskset(path, on_error="skip", **options)
    assert list(taskset.skipped) == [1], taskset.skipped
    with pytest.raises(TaskDataError) as raised:
        jsonl_taskset(path, **options).build("t.jsonl/1")
    assert str(raised.value) == taskset.skipped[1]
    return taskset.skipped[1]


DEEP = "[" * 100_000
LINES = {
    "a deep line": (DEEP.encode(), "nested too deeply"),
    "deep candidates": ({**GOOD, "candidates": DEEP}, "'candidates' is nested too deeply"),
    "deep options": ({**GOOD, "options": DEEP}, "'options' is nested too deeply"),
    "nested options": ({**GOOD, "options": [["a"]]}, "'options', item 0, must be text or a number"),
    "a deep image": (b'{"question": "?", "answer": "1", "image": %s1%s}' % (b"[" * 500, b"]" * 500), "'image'"),
    "many options": ({**GOOD, "options": ["x"] * 10**6}, "'options' has 1,000,000 items; at most 26"),
    "many options as text": ({**GOOD, "options": json.dumps(["x"] * 10**5)}, "'options' has 100,000 items"),
    "many candidates": ({**GOOD, "candidates": ["x"] * 1001}, "'candidates' has 1,001 items"),
    "many images": ({**GOOD, "images": ["a.png"] * 65}, "'images' has 65 items; at most 64"),
    "a long question": ({**GOOD, "question": "x" * (1 << 19)}, "'question' has 524,288 characters"),
    "a long option": ({**GOOD, "options": ["x" * (1 << 15)]}, "'options', item 0, has 32,768 characters"),
    "a long answer": ({**GOOD, "answer": "x" * (1 << 15)}, "'answer' has 32,768 characters"),
    "an empty answer": ({**GOOD, "answer": " \x00"}, "'answer' is empty"),
    "NaN": (b'{"question": "?", "answer": NaN, "image": "a.png"}', "'answer' must be a finite number"),
    "infinity": (b'{"question": "?", "answer": 1e999, "image": "a.png"}', "'answer' must be a finite number"),
    "NaN in options": ({**GOOD, "options": [float("nan")]}, "'options', item 0, must be a finite number"),
    "a huge integer": (b'{"question": "?", "answer": 1%s, "image": "a.png"}' % (b"0" * 9999), "not valid JSON"),
    "two answers": (b'{"question": "?", "answer": "1", "answer": "2", "image": "a.png"}', "'answer' stands twice"),
    "no UTF-8": (b'{"question": "\xff", "answer": "1", "image": "a.png"}', "not valid JSON"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "not valid JSON"),
    "an unhashable necessity": ({**GOOD, "necessity": [1]}, "'necessity' must be one of"),
    "an ability that is a list": ({**GOOD, "ability": [1]}, "'ability' must be text"),
    "many columns": ({f"c{number}": 1 for number in range(10**5)} | {"answer": 1}, "has no 'image'; .* 99,981 more"),
    "an image that is an object": ({**GOOD, "image": {"bytes": None, "path": None}}, "'image': an image is bytes"),
    "a NUL in a path": ({**GOOD, "image": "a\0.png"}, "'image'.*is no path|'image'.*cannot be read"),
    "a long path": ({**GOOD, "image": "x" * 5000}, "'image'"),
    "a path of surrogates": ({**GOOD, "image": "\ud800.png"}, "'image'"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_bad_line_is_skipped_and_named_with_its_column(folder, case):
    line, message = LINES[case]
    said = skipped(write_lines(folder, GOOD, line, GOOD))
    assert said.startswith("row 1 of t.jsonl")
    assert re.search(message, said), said
    assert len(said) < 2500


def test_a_huge_line_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 1000)
    path = write_lines(folder, GOOD, {**GOOD, "more": "x" * 1000}, GOOD)
    assert "at most 1,000 are read" in skipped(path)


def test_a_byte_order_mark_and_blank_lines_are_no_rows(folder):
    path = write_lines(folder, b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), b"", b" \r", GOOD)
    taskset = jsonl_taskset(path)
    assert len(taskset) == 2
    assert taskset.build("t.jsonl/0").question == taskset.build("t.jsonl/1").question


def test_how_many_were_skipped_is_logged(folder, caplog):
    jsonl_taskset(write_lines(folder, GOOD, b"{", b"[]", GOOD), on_error="skip")
    assert "t.jsonl: 2 of 4 rows were skipped" in caplog.text


# what a model sees


def observe(taskset, task_id=None):
    env = gym.make("MetisVQA-v0", taskset=taskset, tools=())
    observation, _ = env.reset(seed=0, options={"task_id": task_id} if task_id else None)
    assert env.observation_space.contains(observation)
    assert observation["text"].count("<image>") == len(observation["images"])
    return env, observation


_PIECES = ["<image>", "<im", "age>", "<", ">", "a", "\ud800", "\udfff", "\0", "\x1b", "\r", "\n", "\x9b"]
HOSTILE_TEXT = st.text(max_size=40) | st.lists(st.sampled_from(_PIECES), max_size=20).map("".join)


@UNTIMED
@given(question=HOSTILE_TEXT, options=st.lists(HOSTILE_TEXT, max_size=5), answer=HOSTILE_TEXT, number=st.integers(0, 3))
def test_any_text_gives_an_observation_of_the_space_with_a_mark_for_each_image(
    folder, question, options, answer, number
):
    row = {"question": question, "options": options, "answer": f"x{answer}", "images": ["a.png"] * number}
    env, observation = observe(f"jsonl:{write_lines(folder, row)}")
    assert len(observation["images"]) == number
    task = env.unwrapped.episode.task
    for text in (task.question, task.gold.value, *task.options):
        assert "<image>" not in text
        assert not set(text) & set(map(chr, [*range(9), 11, 12, 13, *range(14, 32), *range(127, 160)]))
        text.encode()


def test_marks_are_as_many_as_images_whoever_made_the_task(monkeypatch):
    class Hostile(Taskset):
        families = ("hostile",)

        def draw(self, rng):
            return "hostile/0"

        def build(self, task_id):
            view = np.zeros((32, 32, 3), np.uint8)
            return Task(
                task_id=task_id, family="hostile", question="<image><im<image>age> \ud800", options=("<image>", "b"),
                images=(TaskImage(source=view, view=view),), gold=GoldAnswer(value="A"),
            )  # fmt: skip

    monkeypatch.setitem(TASKSETS._entries, "hostile", lambda split, view_size: Hostile())
    observe("hostile")


def test_nested_marks_are_taken_out_in_time_linear_in_the_text():
    depth = 50_000
    assert without_image_marks("<im" * depth + "<image>" + "age>" * depth) == ""


# image files


PATHS = {
    "up": "../outside.png",
    "up and down": "x/../../outside.png",
    "a link": "link.png",
    "a link of a folder": "linked/outside.png",
    "a proc link": "/proc/self/root/tmp/x.png",
}


@pytest.mark.parametrize("case", [*PATHS, "absolute"])
@pytest.mark.parametrize("as_member", [False, True])
def test_no_path_leads_out_of_the_folder_unless_that_is_allowed(folder, case, as_member):
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "x").mkdir()
    name = PATHS.get(case, str(folder.parent / "outside.png"))
    row = {**GOOD, "image": {"bytes": None, "path": name} if as_member else name}
    path = write_lines(folder, GOOD, row)
    assert "'image'" in skipped(path)
    assert "leads out of" in skipped(path)
    if case != "a proc link":
        allowed = make_taskset(f"jsonl:{path},allow_outside=true", split="train", view_size=448)
        assert allowed.build("t.jsonl/1").images[0].source.shape == (30, 40, 3)


def test_paths_may_begin_at_another_folder(folder):
    path = write_lines(folder, {**GOOD, "image": "outside.png"}, {**GOOD, "image": str(folder / "a.png")})
    taskset = make_taskset(f"jsonl:{path},image_root={folder.parent}", split="train", view_size=448)
    assert all(taskset.build(f"t.jsonl/{row}").images for row in (0, 1))
    with pytest.raises(ConfigError, match="image_root must be a folder"):
        jsonl_taskset(path, image_root=str(folder / "gone"))
    with pytest.raises(ConfigError, match="allow_outside must be true or false"):
        jsonl_taskset(path, allow_outside="yes")


def test_links_and_dots_inside_the_folder_are_followed(folder):
    (folder / "link.png").symlink_to("a.png")
    path = write_lines(folder, {**GOOD, "image": "link.png"}, {**GOOD, "image": "./x/../a.png"})
    taskset = jsonl_taskset(path)
    assert all(taskset.build(f"t.jsonl/{row}").images for row in (0, 1))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_what_is_no_regular_file_is_a_broken_row_at_once(folder, kind):
    place = folder / "odd.png"
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        elif kind == "socket":
            listening.bind(os.path.relpath(place))
        else:
            place.symlink_to("/dev/zero")
        path = write_lines(folder, GOOD, {**GOOD, "image": "odd.png"})
        assert "image 1" in skipped(path, allow_outside=True)


def test_the_images_of_a_row_are_bounded_together(folder):
    path = write_lines(folder, GOOD, {"question": "?", "answer": "1", "images": ["a.png"] * 5})
    assert "image 5" in skipped(path, max_pixels=1200)


def test_a_folder_of_images_is_bounded_likewise(folder):
    row = {"question": "?", "answer": "1", "file_name": "../outside.png"}
    (folder / "metadata.jsonl").write_text(json.dumps(row))
    with pytest.raises(TaskDataError, match="leads out of"):
        folder_taskset(str(folder)).build("data/0")
    assert folder_taskset(str(folder), allow_outside=True).build("data/0")


# parquet


pyarrow = pytest.importorskip("pyarrow", reason="reading parquet needs pyarrow")


def write_parquet(path, content, **options):
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.Table.from_pylist(content) if isinstance(content, list) else content, path, **options)
    return str(path)


def verl_row(**changes):
    row = {
        "prompt": [{"role": "user", "content": "<image>What colour is it?"}],
        "images": [{"bytes": PNG, "path": None}],
        "ability": "perception",
        "reward_model": {"ground_truth": "red", "candidate_answers": '["crimson"]'},
        "extra_info": {"index": "17", "question": "Which colour?"},
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward_model": {"ground_truth": "red", "candidate_answers": DEEP}}, "'candidates' is nested too deeply"),
        ({"reward_model": None}, "'reward_model' must be dict"),
        ({"images": [{"bytes": None, "path": "../outside.png"}]}, "'images': '../outside.png' leads out of"),
        ({"images": [{"bytes": b"no image", "path": None}]}, "'images', image 1 cannot be decoded"),
        ({"images": [None]}, "'images': an image is bytes or a path"),
        ({"prompt": [None], "extra_info": None}, "'prompt' has no user turn with text"),
        ({"prompt": None, "extra_info": None}, "'prompt' must be list"),
        ({"prompt": [{"role": "user", "content": None}], "extra_info": None}, "'prompt' has no user turn"),
    ],
)
def test_a_bad_verl_row_is_skipped_and_named_with_its_column(folder, changes, message):
    path = write_parquet(folder / "t.parquet", [verl_row(), verl_row(**changes)])
    taskset = parquet_taskset(path, on_error="skip")
    assert list(taskset.skipped) == [1]
    assert taskset.skipped[1].startswith("row 1 of t.parquet")
    assert message in taskset.skipped[1]


@pytest.mark.parametrize("column", ["extra_info", "prompt", "reward_model"])
@pytest.mark.parametrize("value", ["text", 5, [1], [["x"]]])
def test_verl_columns_of_wrong_types_are_named(folder, column, value):
    content = [verl_row(**{column: value, **({"extra_info": None} if column == "prompt" else {})})]
    with pytest.raises(TaskDataError, match=column):
        parquet_taskset(write_parquet(folder / "t.parquet", content)).build("t.parquet/0")


def test_bytes_that_are_no_text_break_their_row_only(folder):
    words = pyarrow.array([b"good", b"\xff\xfe", b"good"], pyarrow.binary())
    bad = pyarrow.StringArray.from_buffers(3, words.buffers()[1], words.buffers()[2])
    table = pyarrow.table({"question": bad, "answer": ["1"] * 3, "image": [PNG] * 3})
    taskset = parquet_taskset(write_parquet(folder / "t.parquet", table), on_error="skip")
    assert list(taskset.skipped) == [1]
    assert taskset.skipped[1].startswith("row 1 of t.parquet: 'question' cannot be read: UnicodeDecodeError")


def test_a_row_group_above_the_limit_is_not_read(folder, monkeypatch):
    content = [{"question": "?", "answer": "1", "image": PNG}] * 2
    path = write_parquet(folder / "t.parquet", content)
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 10)
    with pytest.raises(TaskDataError, match=r"row 1 of t.parquet cannot be read: row group 0.*at most 10 are read"):
        parquet_taskset(path).build("t.parquet/1")


LONG = "x" * (1 << 20)


def repeated(column, kind=None, count=200):
    """A table of few bytes on the disk, and many in memory, if each value is unpacked for itself."""
    columns = {"question": ["?"] * count, "answer": ["1"] * count, "image": [PNG] * count}
    columns[column] = pyarrow.array([LONG if kind is None else LONG.encode()] * count, kind)
    return pyarrow.table(columns)


@pytest.mark.parametrize("column", ["question", "options"])
def test_a_value_that_is_repeated_is_held_once(folder, monkeypatch, column):
    table = repeated("question")
    if column == "options":
        table = repeated("answer").set_column(0, "question", pyarrow.array(["?"] * 200))
        table = table.append_column("options", pyarrow.array([[LONG, "b"]] * 200)).drop_columns("answer")
        table = table.append_column("answer", pyarrow.array(["b"] * 200))
    path = write_parquet(folder / "t.parquet", table)
    assert Path(path).stat().st_size < 1 << 20
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 64 << 20)
    before = pyarrow.total_allocated_bytes()
    read = parquet.ParquetRows(Path(path))
    with pytest.raises(TaskDataError, match=f"'{column}'.*characters"):
        read.read(150)
    assert pyarrow.total_allocated_bytes() - before < 16 << 20  # 200 MB for each value for itself


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (repeated("question"), {"use_dictionary": False, "column_encoding": {"question": "DELTA_BYTE_ARRAY"}}),
        (repeated("image", pyarrow.binary(1 << 20)), {}),
        (repeated("question"), {"use_dictionary": False, "compression": "zstd"}),
    ],
    ids=["prefixes", "one length", "compressed"],
)
def test_what_may_unpack_to_more_than_the_limit_is_not_read(folder, monkeypatch, table, options):
    if "column_encoding" in options:
        options["column_encoding"] |= {"answer": "PLAIN", "image": "PLAIN"}
    path = write_parquet(folder / "t.parquet", table, **options)
    assert Path(path).stat().st_size < 4 << 20
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 64 << 20)
    before = pyarrow.total_allocated_bytes()
    with pytest.raises(TaskDataError, match=r"row group 0: it (may unpack to|has) [\d,]+ bytes; at most 67,108,864"):
        parquet.ParquetRows(Path(path)).read(0)
    assert pyarrow.total_allocated_bytes() == before


def test_sizes_are_taken_from_the_pages_whatever_the_footer_says(folder):
    from pyarrow import parquet as reader

    path = write_parquet(folder / "t.parquet", repeated("question"))
    true = reader.ParquetFile(path).metadata.row_group(0).column(0)
    names = ("path_in_schema", "physical_type", "has_dictionary_page", "dictionary_page_offset", "data_page_offset")
    told = SimpleNamespace(**{name: getattr(true, name) for name in names})
    told.num_values, told.total_compressed_size, told.total_uncompressed_size = 1, true.total_compressed_size, 1
    group = SimpleNamespace(num_columns=1, column=lambda leaf: told)
    with open(path, "rb") as file:
        (size,) = unpacked_sizes(file.fileno(), group, [0], ["question"])
    assert size.plain > 200 << 20
    assert 1 << 20 < size.with_dictionary < 2 << 20


@given(st.binary(max_size=200))
def test_any_bytes_in_a_page_s_place_are_pages_or_no_pages(data):
    leaf = SimpleNamespace(
        path_in_schema="a", physical_type="BYTE_ARRAY", has_dictionary_page=False, data_page_offset=0, num_values=9
    )
    leaf.total_compressed_size = len(data)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            sizes = unpacked_sizes(file.fileno(), SimpleNamespace(num_columns=1, column=lambda _: leaf), [0], ["a"])
            assert all(0 <= size.with_dictionary <= size.plain for size in sizes)
        except ValueError:
            pass


def test_a_column_that_is_there_twice_is_refused(folder):
    columns = [pyarrow.array(["x"])] * 4
    table = pyarrow.Table.from_arrays(columns, names=["question", "answer", "answer", "image"])
    with pytest.raises(TaskDataError, match="a column twice"):
        parquet_taskset(write_parquet(folder / "t.parquet", table))


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    plain = [{"question": f"Q{n}", "answer": str(n), "image": PNG, "options": ["a", "b"]} for n in range(6)]
    paths = [
        write_parquet(folder / "plain.parquet", plain, row_group_size=2),
        write_parquet(folder / "verl.parquet", [verl_row()] * 4, row_group_size=2, compression="zstd"),
        write_parquet(folder / "raw.parquet", plain, compression="none", use_dictionary=False),
        write_parquet(folder / "gzip.parquet", plain, compression="gzip", data_page_version="2.0"),
    ]
    return [Path(path).read_bytes() for path in paths]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "flip"]), st.floats(0, 1), st.binary(min_size=1, max_size=6)),
    min_size=1,
    max_size=4,
)


@settings(UNTIMED, max_examples=800)
@given(which=st.integers(0, 3), changes=CHANGES, at_the_end=st.booleans())
def test_a_damaged_parquet_file_ends_in_documented_errors(folder, whole_files, which, changes, at_the_end):
    data = bytearray(whole_files[which])
    for kind, share, content in changes:
        at = len(data) - 1 - int(share * 1500) if at_the_end else int(share * (len(data) - 1))
        at = max(0, at)
        if kind == "set":
            data[at : at + len(content)] = content
        elif kind == "cut":
            del data[at : at + len(content)]
        else:
            data[at] ^= 1 << (content[0] % 8)
    (folder / "t.parquet").write_bytes(data)
    try:
        taskset = parquet_taskset(str(folder / "t.parquet"))
        for row in range(min(8, len(taskset))):
            try:
                taskset.build(f"t.parquet/{row}")
            except TaskDataError:
                continue
    except TaskDataError:
        return


# the hub


def test_a_hub_data_set_is_read_as_stored(folder, monkeypatch):
    pytest.importorskip("datasets", reason="hub data sets need datasets")
    from PIL import Image

    outside = folder.parent / "outside.png"
    content = [
        {"question": "?", "answer": "1", "image": [{"bytes": PNG, "path": None}]},
        {"question": "?", "answer": "1", "image": [{"bytes": None, "path": str(outside)}]},
        {"question": "?", "answer": "1", "image": [{"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n", "path": "a.png"}]},
    ]
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features({"question": Value("string"), "answer": Value("string"), "image": [ImageFeature()]})
    (folder / "set").mkdir()
    Dataset.from_list(content, features=features).to_parquet(folder / "set" / "train.parquet")

    def refuse(*_, **__):
        raise AssertionError("the library decoded an image by itself")

    monkeypatch.setattr(Image, "open", refuse)
    taskset = hub_taskset(str(folder / "set"), on_error="skip")
    assert sorted(taskset.skipped) == [1, 2]
    assert "leads out of" in taskset.skipped[1]
    assert "none of PNG" in taskset.skipped[2]
    assert len(hub_taskset(str(folder / "set"), on_error="skip", allow_outside=True).skipped) == 1


@UNTIMED
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    ),
    st.sampled_from(["question", "answer", "image", "images", "options", "candidates", "ability", "necessity"]),
)
def test_a_value_of_any_type_in_any_column_is_a_task_or_a_named_row(folder, value, column):
    path = write_lines(folder, GOOD, {**GOOD, column: value})
    taskset = jsonl_taskset(path, on_error="skip")
    assert set(taskset.skipped) <= {1}
    for said in taskset.skipped.values():
        assert said.startswith("row 1 of t.jsonl")
        assert column in said
    assert len(rows.LETTERS) == 26
