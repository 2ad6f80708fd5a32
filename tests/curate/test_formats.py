"""Every form of rows is found by its columns and read; the fixtures have the columns of the published data sets."""

import base64
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from metis_agents.curate.formats.sources import Reading, SourceRows, find_sources
from metis_agents.curate.records import RowError
from metis_gym.errors import ConfigError, TaskDataError
from tests.curate.corpus import clean, crop, encoded, lines, picture, read_rows, write_jsonl
from tests.curate.test_cheap_stages import curate

PNG = encoded(picture(1))


def verl_row(index=0, answer="red", question="Which colour is it?"):
    return {
        "data_source": "made_up",
        "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": f"<image>{question}"}],
        "images": [{"bytes": encoded(picture(index + 1)), "path": None}],
        "ability": "perception",
        "reward_model": {"ground_truth": answer, "style": "model", "candidate_answers": '["Red"]'},
        "extra_info": {"answer": answer, "index": str(index), "pass8": 0.0, "question": f"<image>{question}"},
    }


def thyme_sft_row(seed=1):
    image = picture(seed)
    code = "from PIL import Image\nimage_path = '/mnt/data/images/street.jpg'\nimage = Image.open(image_path)\n"
    code += "image.crop((20, 20, 148, 148)).save('/mnt/data/temp_processed_images/a.jpg')\n"
    code += "print('/mnt/data/temp_processed_images/a.jpg')"
    response = f"<think>Look closer.\n<code>\n```python\n{code}\n```\n</code>\n"
    response += "<sandbox_output><image></sandbox_output>\nIt is red.</think>\n<answer>red</answer>"
    images = [base64.b64encode(encoded(one)).decode() for one in (image, crop(image))]
    return {
        "image": images,
        "question": f'<image>\nWhich colour has thing {seed}?\n### User Image Path: "street.jpg"',
        "response": response,
    }


def openmm_row():
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    content = [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": "Which colour is it?"}]
    said = [{"type": "text", "text": "<think>Plain.</think><answer>red</answer>"}]
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": said}]}


def sharegpt_rows(folder):
    rows = []
    for row in clean(3, dialect="deepeyes_v2"):
        messages, images = row.messages()
        names = [f"{row.seed}-{n}.png" for n in range(len(images))]
        for name, data in zip(names, images, strict=True):
            (folder / name).write_bytes(data)
        rows.append({"messages": messages, "images": names})
    return rows


def one_sample(path, **reading):
    (source,) = find_sources([str(path)], Reading(**reading))
    rows = SourceRows(source)
    return source.form, len(rows), rows.sample(0)


def as_parquet(path, rows):
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_verl(tmp_path):
    form, count, sample = one_sample(as_parquet(tmp_path / "train.parquet", [verl_row(), verl_row(1)]))
    assert (form, count, sample.gold, sample.question) == ("verl", 2, "red", "Which colour is it?")
    assert (sample.candidates, len(sample.images), sample.turns) == (("Red",), 1, ())


def test_chat_with_paths_in_a_json_list(tmp_path):
    (tmp_path / "data.json").write_text(json.dumps(sharegpt_rows(tmp_path), indent=1))
    form, count, sample = one_sample(tmp_path / "data.json")
    assert (form, count, sample.dialect) == ("chat", 3, "deepeyes_v2")
    assert [len(turn.calls) for turn in sample.turns] == [1, 0]
    assert len(sample.images) == 1
    assert len(sample.turns[0].observed.images) == 1
    assert sample.answer == "red"


def test_conversations_with_other_words(tmp_path):
    said = [
        {"from": "human", "value": "<image>\nWhich colour?"},
        {"from": "gpt", "value": "<think>so</think><answer>red</answer>"},
    ]
    (tmp_path / "a.png").write_bytes(PNG)
    path = write_jsonl(tmp_path / "data.jsonl", [{"conversations": said, "images": ["a.png"]}])
    form, _, sample = one_sample(path)
    assert (form, sample.question, sample.answer) == ("chat", "Which colour?", "red")


def test_thyme_sft(tmp_path):
    form, _, sample = one_sample(as_parquet(tmp_path / "2round.parquet", [thyme_sft_row()]))
    assert (form, sample.dialect) == ("thyme_sft", "thyme")
    first, last = sample.turns
    assert "image_path = 'image_1.png'" in first.calls[0].arguments["code"]
    assert (len(first.observed.images), last.answer, len(sample.images)) == (1, "red", 1)


def test_thyme_sft_runs_again(tmp_path, sandbox_kwargs):
    rows = [thyme_sft_row(1), thyme_sft_row(2)]
    rows[1]["image"][1] = rows[0]["image"][1]  # another image's result
    path = as_parquet(tmp_path / "2round.parquet", rows)
    assert curate("sft", path, tmp_path / "out", "--dialect", "source") == 0
    assert [line["reason"] for line in lines(tmp_path / "out/dropped.jsonl")] == ["images_differ"]
    assert curate("sft", path, tmp_path / "metis") == 0
    assert [line["reason"] for line in lines(tmp_path / "metis/dropped.jsonl")] == ["not_translatable", "images_differ"]


def test_thyme_rl(tmp_path):
    row = {
        "messages": [{"role": "user", "content": "Which colour?"}],
        "images": [PNG],
        "solution": "<answer>red</answer>",
    }
    form, _, sample = one_sample(as_parquet(tmp_path / "rl.parquet", [row]))
    assert (form, sample.gold, len(sample.images)) == ("thyme_rl", "red", 1)


def test_openmm_lists_of_files(tmp_path):
    (tmp_path / "part").mkdir()
    write_jsonl(tmp_path / "part/rows.jsonl", [openmm_row()])
    (tmp_path / "list.yaml").write_text("- path: part/rows.jsonl\n  data_folder: part\n  data_type: json\n")
    form, _, sample = one_sample(tmp_path / "list.yaml")
    assert (form, sample.answer, len(sample.images)) == ("chat", "red", 1)
    (tmp_path / "bad.yaml").write_text("- path: ../../etc/rows.jsonl\n")
    with pytest.raises(TaskDataError, match="leads out"):
        find_sources([str(tmp_path / "bad.yaml")], Reading())
    (tmp_path / "bad.yaml").write_text("a: {b: c}")
    with pytest.raises(TaskDataError, match="list of files"):
        find_sources([str(tmp_path / "bad.yaml")], Reading())


def test_plain_rows(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    row = {"question": "Which?\nA. red\nB. blue", "answer": "A", "image": "a.png"}
    form, _, sample = one_sample(write_jsonl(tmp_path / "rows.jsonl", [row]))
    assert (form, sample.options, sample.gold) == ("plain", ("red", "blue"), "A")


def test_the_same_sample_has_the_same_id_anywhere(tmp_path):
    rows = [row.chat() for row in clean(2)]
    ids = []
    for order in (rows, rows[::-1]):
        (source,) = find_sources([str(write_jsonl(tmp_path / f"{len(ids)}.jsonl", order))], Reading())
        ids.append({SourceRows(source).sample(n).id for n in range(2)})
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def test_inputs_that_are_none(tmp_path):
    for path, message in (("nowhere.jsonl", "no file"), ("empty", "neither"), ("a.txt", "no rows that are read")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises((ConfigError, TaskDataError), match=message):
            find_sources([str(tmp_path / path)], Reading())
    path = write_jsonl(tmp_path / "rows.jsonl", [clean(1)[0].chat()])
    with pytest.raises(ConfigError, match="twice"):
        find_sources([str(path)] * 2, Reading())
    with pytest.raises(ConfigError, match="no format"):
        find_sources([str(path)], Reading(format="verll"))


def hostile_json_lists():
    row = clean(1)[0].chat()
    yield '[{"messages": 1}, ' + "[" * 50_000 + "]" * 50_000 + ', "text", {"a": "\\"}]{"}, ' + json.dumps(row) + "]", 5
    yield json.dumps([row, row])[:-40], 1


def reason_of(rows, number):
    try:
        rows.sample(number)
    except RowError as error:
        return error.reason
    return ""


def test_json_lists_with_anything_in_them(tmp_path):
    for text, count in hostile_json_lists():
        (tmp_path / "data.json").write_text(text)
        (source,) = find_sources([str(tmp_path / "data.json")], Reading(format="chat"))
        rows = SourceRows(source)
        assert len(rows) == count
        assert sorted(reason_of(rows, number) for number in range(count)) == ["", *["unreadable"] * (count - 1)]


def test_recorded_runs_of_all_dialects_pass_unharmed(tmp_path, sandbox_kwargs):
    from metis_agents.evaluate import evaluate
    from metis_agents.scripted import AlwaysToolAgent

    for name in ("metis", "thyme"):
        kwargs = {"taskset": "patches", "dialect": name, "seed": 2, "progress": False, "workers": 1}
        evaluate(AlwaysToolAgent(), "MetisVQA-v0", 2, record=tmp_path / "runs" / name, **kwargs)
    assert curate("sft", tmp_path / "runs", tmp_path / "out", "--dialect", "source") == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    kept = {stage["name"]: sum(flow["kept"] for flow in stage["sources"].values()) for stage in report["stages"]}
    assert kept["execute"] == 4
    assert kept["duplicates"] == 2  # the same two tasks twice
    (row, _) = read_rows(tmp_path / "out")
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant", "user", "assistant"]
