"""What comes out is what others read: training of this project, and verl's data sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from metis_agents.curate.reading import curated_conversations, is_curated
from metis_agents.qwen3vl.sft.cold_start import _conversations
from metis_gym.errors import TaskDataError
from metis_gym.records import Role
from tests.curate.corpus import clean, crop, lines, picture, read_rows, text_edit, write_jsonl
from tests.curate.test_cheap_stages import curate
from tests.curate.test_formats import as_parquet, verl_row

DATA = next((parent / "shared/data" for parent in Path(__file__).parents if (parent / "shared/data").is_dir()), None)


def test_training_imitates_what_was_kept(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(3)])
    out = tmp_path / "out"
    curate("sft", source, out, "--no-execute")
    assert is_curated(out)
    assert not is_curated(source)
    for path in (out, out / "data-00000.parquet"):
        conversations = list(_conversations(str(path)))
        assert len(conversations) == 3
        roles = [message.role for message in conversations[0]]
        assert roles == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER, Role.ASSISTANT]
        assert np.array_equal(conversations[0][1].images[0], picture(0))
        assert np.array_equal(conversations[0][3].images[0], crop(picture(0)))


def test_rows_that_are_no_trajectories_are_named(tmp_path):
    rows = [{"messages": [{"role": "user", "content": "<image>"}], "images": []}]
    with pytest.raises(TaskDataError, match=r"row 0 of .* more <image>"):
        list(curated_conversations(as_parquet(tmp_path / "a.parquet", rows)))
    with pytest.raises(TaskDataError, match="messages and images"):
        list(curated_conversations(as_parquet(tmp_path / "b.parquet", [{"question": "?"}])))


def test_trajectories_have_the_columns_of_verls_sft(tmp_path):
    """`MultiTurnSFTDataset` takes `messages` as a list of role and content, and `images` as bytes in mark order."""
    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(2)])
    curate("sft", source, tmp_path / "out", "--no-execute")
    for row in read_rows(tmp_path / "out"):
        assert all(message.keys() == {"role", "content"} for message in row["messages"])
        assert sum(message["content"].count("<image>") for message in row["messages"]) == len(row["images"])
        assert all(image["bytes"].startswith(b"\x89PNG") for image in row["images"])


@pytest.mark.parametrize("mark", ["<image>", "<video>", "<audio>"])
@pytest.mark.parametrize("dialect", ["metis", "qwen", "source"])
def test_marks_that_stand_for_no_image_are_not_written(tmp_path, mark, dialect):
    """Training takes an image for each mark, whoever wrote it: such a row would end a whole training."""
    stray = [text_edit(place, lambda text: text.replace("small", f"small {mark}")) for place in (0, 2)]
    stray[0] = text_edit(0, lambda text: f"{text} {mark}")
    rows = [row.but(edit=edit).chat() for row, edit in zip(clean(2), stray, strict=True)] + [
        clean(1, start=2)[0].chat()
    ]
    out = tmp_path / "out"
    curate("sft", write_jsonl(tmp_path / "data.jsonl", rows), out, "--no-execute", "--dialect", dialect)
    found = {line["row"]: line["reason"] for line in lines(out / "dropped.jsonl")}
    assert found[1] == "not_translatable"
    conversations = list(_conversations(str(out)))
    assert len(conversations) == 3 - len(found) > 0
    texts = [message.text for conversation in conversations for message in conversation]
    assert sum(text.count("<image>") for text in texts) == 2 * len(conversations)
    assert not any(mark in text for text in texts for mark in ("<video>", "<audio>"))


def test_prompts_have_as_many_marks_as_images(tmp_path):
    from tests.curate.test_asking import prompts

    odd = "Which <video>one <im<audio>age>?"
    source = write_jsonl(tmp_path / "rows.jsonl", prompts([odd], options=["red", "<image>blue"]))
    assert curate("rl", source, tmp_path / "out") == 0
    (row,) = read_rows(tmp_path / "out")
    assert row["prompt"][0]["content"] == "<image>\nWhich one ?\nA. red\nB. blue"


@pytest.mark.parametrize("model", ["tiny", "Qwen/Qwen3-VL-8B-Instruct"])
def test_training_plays_the_prompts_that_were_kept(tmp_path, model):
    """With the defaults of every size: files hold their tasks as they are, and have no parameters of a family."""
    from metis_agents.qwen3vl.train.command import read_config
    from metis_agents.qwen3vl.train.parts import make_env
    from tests.curate.test_asking import prompts

    source = write_jsonl(tmp_path / "rows.jsonl", prompts(["Which one?"], options=["red", "blue"]))
    assert curate("rl", source, tmp_path / "out") == 0
    kept = f"parquet:{tmp_path}/out/data-00000.parquet"
    config = read_config(["--model", model, "--taskset", kept, "--sft-data", "x", "--out", str(tmp_path / "run")])
    for split in ("train", "test"):
        env = make_env(config, split)
        observation, _ = env.reset(seed=0)
        assert "Which one?" in observation["text"]
        env.close()
    assert read_config(["--taskset", "patches", "--out", "x"]).env["answers"] == "open"


def test_prompts_are_written_back_as_they_were(tmp_path):
    rows = [verl_row(n, question=f"Which colour is number {n}?") for n in range(3)]
    source = as_parquet(tmp_path / "train.parquet", rows)
    assert curate("rl", source, tmp_path / "out") == 0
    found = read_rows(tmp_path / "out")
    for row in found:
        noted = row["extra_info"].pop("metis_gym")
        assert set(json.loads(noted["stage_versions"])) >= {"read", "images", "duplicates", "ambiguous"}
    assert found == parquet.read_table(source).to_pylist()


@pytest.mark.skipif(DATA is None, reason="needs shared/data beside the checkout")
def test_real_rows_are_written_back_as_they_were(tmp_path):
    source = DATA / "mmsearch_r1_mini.parquet"
    assert curate("rl", source, tmp_path / "out") == 0
    dropped = {line["row"]: line["stage"] for line in lines(tmp_path / "out/dropped.jsonl")}
    assert not set(dropped.values()) & {"read", "images"}
    found = read_rows(tmp_path / "out")
    for row in found:
        row["extra_info"].pop("metis_gym")
    rows = parquet.read_table(source).to_pylist()
    expected = [row for number, row in enumerate(rows) if number not in dropped]
    assert len(found) > 0
    assert found == [{**row, "extra_info": row.get("extra_info") or {}} for row in expected]


def test_other_prompts_get_verls_columns(tmp_path):
    from tests.curate.test_asking import prompts

    source = write_jsonl(tmp_path / "rows.jsonl", prompts(["Which one?"], options=["red", "blue"]))
    assert curate("rl", source, tmp_path / "out") == 0
    (row,) = read_rows(tmp_path / "out")
    assert set(row) == {"data_source", "prompt", "images", "ability", "reward_model", "extra_info"}
    assert row["prompt"][0]["content"] == "<image>\nWhich one?\nA. red\nB. blue"
    assert row["reward_model"]["ground_truth"] == "red"
