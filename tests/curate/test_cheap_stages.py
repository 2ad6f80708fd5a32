"""The cheap stages: every planted fault is dropped for exactly its reason, and no clean sample is."""

import json
import os

import pytest

from metis_agents.curate.command import curate_command
from tests.curate.corpus import Row, cheap_faults, clean, encoded, lines, picture, read_rows, write_jsonl

CHEAP = ("--workers", "1")


def curate(*words):
    return curate_command([*map(str, words), *CHEAP])


@pytest.fixture
def faults(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    return cheap_faults()


def test_every_planted_fault_is_dropped_for_its_reason_and_clean_samples_stay(tmp_path, faults):
    rows = [row.chat() for row in clean(12)]
    planted = {}
    for number, (_, _, fault) in enumerate(faults):
        rows.insert(2 * number % len(rows), fault)
    for place, row in enumerate(rows):
        for stage, reason, fault in faults:
            if row is fault:
                planted[place] = (stage, reason)
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    assert curate("sft", source, tmp_path / "out", "--dialect", "metis") == 0
    found = {line["row"]: (line["stage"], line["reason"]) for line in lines(tmp_path / "out/dropped.jsonl")}
    assert found == planted
    assert len(read_rows(tmp_path / "out")) == 12
    assert lines(tmp_path / "out/undecided.jsonl") == []


def test_the_report_counts_every_row_and_shows_examples(tmp_path, faults):
    rows = [row.chat() for row in clean(3)] + [row for _, _, row in faults]
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    curate("sft", source, tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["rows"], report["kept"], report["dropped"]) == (len(rows), 3, len(faults))
    counted = {(stage["name"], reason): n for stage in report["stages"] for reason, n in stage["dropped"].items()}
    for stage, reason, _ in faults:
        assert counted[stage, reason] == sum((s, r) == (stage, reason) for s, r, _ in faults)
    text = (tmp_path / "out/report.md").read_text()
    for link in [part.split(")")[0] for part in text.split("](")[1:]]:
        assert (tmp_path / "out" / link).exists()


@pytest.mark.parametrize(
    "kind",
    [("GIF", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("JPEG", {"quality": 95})],
    ids=lambda kind: kind[0],
)
def test_images_of_all_kinds_are_kept(tmp_path, kind):
    source = write_jsonl(tmp_path / "data.jsonl", [Row(1, images=[encoded(picture(1), kind[0], **kind[1])]).chat()])
    assert curate("sft", source, tmp_path / "out") == 0
    assert len(read_rows(tmp_path / "out")) == 1


def test_another_dialect_says_the_same_calls_and_answers(tmp_path):
    rows = [row.chat() for row in clean(2, dialect="deepeyes_v2")] + [row.chat() for row in clean(2, start=5)]
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    assert curate("sft", source, tmp_path / "out") == 0
    texts = ["".join(m["content"] for m in row["messages"]) for row in read_rows(tmp_path / "out")]
    assert len(texts) == 4
    assert all("<tool_call>" in text and "<code>" not in text and "The detail is small." in text for text in texts)


def test_an_unknown_form_names_the_columns(tmp_path):
    from metis_gym.errors import TaskDataError

    source = write_jsonl(tmp_path / "data.jsonl", [{"colour": 1, "shape": 2}])
    with pytest.raises(TaskDataError, match="'colour', 'shape'"):
        curate("sft", source, tmp_path / "out")
