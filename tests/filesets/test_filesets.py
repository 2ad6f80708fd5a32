"""Tasksets from files: what is read, and how broken ones are named."""

import io
import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.errors import ConfigError, MissingDependencyError, TaskDataError, TaskIdError
from metis_gym.filesets.files import folder_taskset, jsonl_taskset, parquet_taskset
from metis_gym.filesets.hub import hub_taskset
from metis_gym.records import AnswerKind, Necessity
from metis_gym.tasksets import make_taskset

SHARED = Path(__file__).parents[3] / "shared/data"


def png(width=40, height=30, level=200):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (level, 10, 10)).save(stream, "PNG")
    return stream.getvalue()


def bomb(side=60_000):
    """A PNG that says it is huge; its few bytes are never decoded."""
    data = bytearray(png())
    data[16:24] = side.to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_parquet(path, rows):
    pyarrow = pytest.importorskip("pyarrow", reason="reading parquet needs pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=2)
    return str(path)


def verl_row(**changes):
    row = {
        "data_source": "test",
        "prompt": [{"role": "system", "content": "…"}, {"role": "user", "content": "<image>What colour is it?"}],
        "images": [{"bytes": png(), "path": None}],
        "ability": "perception",
        "reward_model": {"ground_truth": "red", "style": "rule", "candidate_answers": '["crimson", "scarlet"]'},
        "extra_info": {"answer": "red", "index": 17, "question": "Which colour?"},
    }
    return {**row, **changes}


@pytest.fixture
def plain(tmp_path):
    (tmp_path / "a.png").write_bytes(png(900, 600))
    rows = [
        {"question": "Which colour?", "answer": "red", "image": "a.png"},
        {"question": "Pick one.", "answer": "B", "image": "a.png", "options": ["blue", "red"], "necessity": "none"},
        {"question": "How many?", "answer": 1, "images": ["a.png", "a.png"], "candidates": ["one"], "ability": "maths"},
    ]
    return write_jsonl(tmp_path / "tasks.jsonl", rows)


def test_jsonl_rows_become_tasks(plain):
    taskset = jsonl_taskset(plain, view_size=448)
    tasks = [taskset.build(taskset.task_id(row)) for row in range(3)]
    assert tasks[0].images[0].source.shape == (600, 900, 3)
    assert tasks[0].images[0].view.shape == (299, 448, 3)
    assert (tasks[0].necessity, tasks[1].necessity) == (Necessity.UNKNOWN, Necessity.NONE)
    assert (tasks[1].options, tasks[1].gold.kind) == (("blue", "red"), AnswerKind.CHOICE)
    assert (tasks[2].gold.value, tasks[2].gold.candidates, len(tasks[2].images)) == ("1", ("one",), 2)
    assert {task.family for task in tasks} == {"tasks.jsonl"}


def test_a_file_is_a_taskset_like_any_other(plain):
    env = gym.make("MetisVQA-v0", taskset=f"jsonl:{plain}", tools=())
    observation, info = env.reset(seed=1)
    assert info["task_id"].startswith("tasks.jsonl/")
    again, _ = env.reset(options={"task_id": info["task_id"]})
    assert again["text"] == observation["text"]
    gold = env.unwrapped.episode.task.gold.value
    assert env.step({"answer": gold})[4]["correct"]
    mixed = make_taskset([f"jsonl:{plain}", "signs"], split="train", view_size=448)
    drawn = [mixed.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert {mixed.build(task_id).family for task_id in drawn[:6]} <= {"tasks.jsonl", "signs"}
    assert len({task_id.partition("/")[0] for task_id in drawn}) == 2


def test_paths_may_hold_commas_pluses_and_equals_signs(tmp_path):
    folder = tmp_path / "a+b,c=d"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    path = write_jsonl(folder / "t.jsonl", [{"question": "?", "answer": "1", "image": "a.png"}])
    taskset = make_taskset(f"jsonl:{path},on_error=skip", split="train", view_size=448)
    assert len(taskset) == 1


def test_verl_parquet_rows_become_tasks(tmp_path):
    path = write_parquet(tmp_path / "train.parquet", [verl_row(), verl_row(extra_info=None), verl_row()])
    taskset = parquet_taskset(path)
    first, second, _ = (taskset.build(taskset.task_id(row)) for row in range(3))
    assert (first.question, first.gold.value, first.gold.candidates) == ("Which colour?", "red", ("crimson", "scarlet"))
    assert (first.search_key, first.ability) == ("17", "perception")
    assert second.question == "What colour is it?"


def test_plain_parquet_rows_become_tasks(tmp_path):
    rows = [{"question": "?", "answer": "red", "image": {"bytes": png(), "path": None}}] * 3
    taskset = parquet_taskset(write_parquet(tmp_path / "p.parquet", rows))
    assert taskset.build(taskset.task_id(2)).images[0].source.shape == (30, 40, 3)


def test_a_folder_of_images(tmp_path):
    (tmp_path / "x.png").write_bytes(png())
    write_jsonl(tmp_path / "metadata.jsonl", [{"file_name": "x.png", "question": "?", "answer": "red"}])
    taskset = make_taskset(f"folder:{tmp_path}", split="train", view_size=448)
    assert taskset.build(taskset.draw(np.random.default_rng(0))).gold.value == "red"


def test_a_hub_data_set_from_a_local_folder(tmp_path):
    pytest.importorskip("datasets", reason="hub data sets need datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [{"q": "Which colour?", "a": "red", "image": {"bytes": png(), "path": None}}] * 2
    write_parquet(folder / "train.parquet", rows)
    taskset = hub_taskset(str(folder), question="q", answer="a")
    assert taskset.build(taskset.task_id(1)).question == "Which colour?"
    with pytest.raises(
        TaskDataError, match=r"no column 'question' but q, a, image; say which one it is with question=…"
    ):
        hub_taskset(str(folder))


def test_a_hub_data_set_that_cannot_be_loaded_names_the_way_out(monkeypatch):
    datasets = pytest.importorskip("datasets", reason="hub data sets need datasets")

    def refuse(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(TaskDataError, match=r"no network.*parquet:FILE"):
        hub_taskset("owner/name")


BROKEN = {
    "a bomb": ({"image": "bomb.png"}, "60000 x 60000 pixels; at most 100,000,000 are decoded"),
    "no image": ({"image": "text.png"}, "cannot be decoded"),
    "a cut-off image": ({"image": "cut.png"}, "cannot be decoded"),
    "a missing image": ({"image": "gone.png"}, "there is no image"),
    "no image column": ({}, "has no 'image'; it has: 'question', 'answer'"),
    "images that are no list": ({"images": "a.png"}, "'images' must be a list"),
    "an image that is a number": ({"image": 5}, "bytes or a path, actually: int"),
    "no answer": ({"image": "a.png", "answer": None}, "an 'answer' that is text or a number"),
    "a question that is a number": ({"image": "a.png", "question": 4}, "'question' must be str"),
    "options that are no list": ({"image": "a.png", "options": {"a": 1}}, "'options' must be a list of texts"),
    "an unknown necessity": ({"image": "a.png", "necessity": "maybe"}, "one of none, partial, required, unknown"),
}


@pytest.fixture
def folder_with_broken_images(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(png(300, 300)[:-40])
    return tmp_path


@pytest.mark.parametrize("case", BROKEN)
def test_broken_rows_are_named(folder_with_broken_images, case):
    columns, message = BROKEN[case]
    path = write_jsonl(folder_with_broken_images / "t.jsonl", [{"question": "?", "answer": "red", **columns}])
    taskset = jsonl_taskset(path)
    with pytest.raises(TaskDataError, match=message) as raised:
        taskset.build(taskset.task_id(0))
    assert "row 0 of t.jsonl" in str(raised.value)


def test_broken_rows_are_skipped_on_request_and_counted(folder_with_broken_images):
    good = {"question": "?", "answer": "red", "image": "a.png"}
    rows = [good, *({**good, **columns} for columns, _ in BROKEN.values()), good]
    path = write_jsonl(folder_with_broken_images / "t.jsonl", rows)
    taskset = jsonl_taskset(path, on_error="skip")
    # "no image column" is whole here, because the good row's image stands in for it
    assert len(taskset) == 3
    assert len(taskset.skipped) == len(BROKEN) - 1
    assert all("of t.jsonl" in reason for reason in taskset.skipped.values())
    for seed in range(20):
        taskset.build(taskset.draw(np.random.default_rng(seed)))


def test_a_file_of_broken_rows_only_says_why(folder_with_broken_images):
    path = write_jsonl(folder_with_broken_images / "t.jsonl", [{"question": "?"}, {"answer": "1"}])
    with pytest.raises(TaskDataError, match=r"no usable row \(2 were skipped: row 0 of t.jsonl"):
        jsonl_taskset(path, on_error="skip")


def test_lines_that_are_no_json_are_named(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b'{"a": 1}\n{broken\n[1]\n\xff\xfe\n')
    taskset = jsonl_taskset(str(tmp_path / "t.jsonl"))
    for row, message in ((1, "is not valid JSON"), (2, "must be a JSON object"), (3, "is not valid JSON")):
        with pytest.raises(TaskDataError, match=f"row {row} of t.jsonl {message}"):
            taskset.build(taskset.task_id(row))


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "x.parquet").write_text("no parquet")
    write_parquet(tmp_path / "y.parquet", [{"a": 1}])
    for make, message in (
        (lambda: jsonl_taskset(str(tmp_path / "gone.jsonl")), "there is no file"),
        (lambda: folder_taskset(str(tmp_path)), "has no metadata.jsonl"),
        (lambda: folder_taskset(str(tmp_path / "gone")), "there is no file"),
        (lambda: parquet_taskset(str(tmp_path / "x.parquet")), "is no parquet file"),
        (lambda: parquet_taskset(str(tmp_path / "y.parquet")), r"has the columns 'a'; expected prompt, images"),
        (lambda: make_taskset("jsonl:", split="train", view_size=448), "expected jsonl:PATH"),
    ):
        with pytest.raises((TaskDataError, ConfigError), match=message):
            make()


def test_a_wrong_option_names_the_valid_ones(plain):
    with pytest.raises(ConfigError, match="Did you mean 'on_error'"):
        make_taskset(f"jsonl:{plain},on_errors=skip", split="train", view_size=448)
    with pytest.raises(ConfigError, match="raise, skip"):
        jsonl_taskset(plain, on_error="ignore")


def test_ids_of_other_files_and_states_are_refused(plain):
    taskset = jsonl_taskset(plain)
    for task_id in ("other.jsonl/0", "tasks.jsonl/9", "tasks.jsonl/x", "tasks.jsonl"):
        with pytest.raises(TaskIdError, match="is not of"):
            taskset.build(task_id)
    old = taskset.task_id(0)
    with Path(plain).open("a") as stream:
        stream.write('{"question": "?", "answer": "1", "image": "a.png"}\n')
    with pytest.raises(TaskIdError, match="has changed since"):
        jsonl_taskset(plain).build(old)


def test_missing_packages_are_named(monkeypatch, tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"metis-gym\[data\]"):
        parquet_taskset(str(tmp_path / "x.parquet"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"metis-gym\[data\]"):
        hub_taskset("owner/name")


@pytest.mark.skipif(not SHARED.exists(), reason="real benchmark data is not there")
def test_a_real_parquet_file():
    taskset = make_taskset(f"parquet:{SHARED / 'mmsearch_r1_mini.parquet'}", split="train", view_size=448)
    task = taskset.build(taskset.task_id(0))
    assert task.question == "What is the country of origin of this food?"
    assert "Kingdom of Spain" in task.gold.candidates
    assert max(task.images[0].view.shape) == 448


@pytest.mark.skipif(not SHARED.exists(), reason="real benchmark data is not there")
def test_a_real_folder_as_jsonl(tmp_path):
    seeds = json.loads((SHARED / "dynamath/dataset.json").read_text())
    rows = [{"question": row["question"], "answer": row["answer"], "image": row["image"]} for row in seeds.values()]
    path = write_jsonl(tmp_path / "dynamath.jsonl", rows)
    taskset = make_taskset(f"jsonl:{path},image_root={SHARED / 'dynamath'},on_error=skip", split="train", view_size=448)
    assert len(taskset) + len(taskset.skipped) == 501
    assert len(taskset.skipped) == 0
