"""Code runs again: failures and inconsistencies are told apart, and what only looks different stays."""

import base64
import shutil

import numpy as np
import pytest
from PIL import Image

from metis_agents.curate.command import curate_command
from metis_agents.curate.stages.recorded import image_difference, text_difference
from metis_gym import sandbox
from metis_gym.dialects import DIALECTS
from metis_gym.images import decode
from tests.curate.corpus import Row, clean, crop, encoded, lines, picture, read_rows, write_jsonl
from tests.curate.players import judge, said
from tests.curate.test_cheap_stages import curate
from tests.curate.test_formats import thyme_sft_row
from tests.curate.test_going_on import written

pytestmark = pytest.mark.usefixtures("sandbox_kwargs")


def resized(image, share):
    height, width = image.shape[:2]
    return np.asarray(Image.fromarray(image).resize((int(width * share), int(height * share))))


def brighter(image, share):
    return np.clip(image.astype(float) * share, 0, 255).astype(np.uint8)


SHOWN = crop(picture(50))
KEPT = {
    "as it is": Row(50),
    "JPEG 30": Row(50, shown=[encoded(SHOWN, "JPEG", quality=30)]),
    "half size": Row(50, shown=[resized(SHOWN, 0.5)]),
    "brighter": Row(50, shown=[brighter(SHOWN, 1.1)]),
    "darker": Row(50, shown=[brighter(SHOWN, 0.9)]),
    "number": Row(50, code="print(1/3)", output="0.33333"),
    "address": Row(50, code="print(object())", output="<object object at 0x7fab01234567>"),
    "path": Row(50, code="print('/tmp/here/a.png')", output="/mnt/data/there/b.png"),
    "time": Row(50, code="print('2024-01-02 03:04:05')", output="2025-11-12 13:14:15"),
    "cut off": Row(50, code="print(*range(40))", output="0 1 2 3 4 5 ..."),
    "a search": Row(50, calls=[{"text_search": {"query": "red"}}]),
}
DROPPED = {
    "images_differ": Row(60, shown=[encoded(np.ascontiguousarray(picture(60)[46:160, 46:174]))]),
    "count_differs": Row(60, shown=[]),
    "stdout_differs": Row(60, code="print(17)", output="18"),
    "not_reproducible": Row(60, code="import os\nprint(int.from_bytes(os.urandom(4), 'big'))", output="17"),
    "code_error": Row(60, code="print(1 / 0)", output="1"),
    "timeout": Row(60, code="while True: pass", output="1"),
    "killed": Row(60, code="import os\nos._exit(3)", output="1"),
    "recorded_error": Row(
        60, code="print(1 / 0)", output="Traceback (most recent call last):\nZeroDivisionError: division by zero"
    ),
}
UNDECIDED = {"unavailable:torchvision": Row(70, code="import torchvision\nprint(1)", output="1")}


def as_rows(rows):
    from metis_gym.records import ToolCall

    made = []
    for number, (name, given) in enumerate(rows.items()):
        row = given
        if isinstance(row.calls, list):
            row = row.but(
                calls=[ToolCall(name=n, arguments=a) for call in row.calls for n, a in call.items()], shown=[]
            )
        made.append(row.but(question=f"Question {number} about {name} {row.seed}?").chat())
    return made


def test_each_difference_has_its_reason_and_sources_may_have_resized(tmp_path):
    rows = {**KEPT, **DROPPED, **UNDECIDED}
    source = write_jsonl(tmp_path / "data.jsonl", as_rows(rows))
    assert curate("sft", source, tmp_path / "out", "--seconds", 1) == 3
    names = list(rows)
    found = {names[line["row"]]: line["reason"] for line in lines(tmp_path / "out/dropped.jsonl")}
    assert found == {reason: reason for reason in DROPPED}
    assert [line["reason"] for line in lines(tmp_path / "out/undecided.jsonl")] == list(UNDECIDED)
    assert {row["row"] for row in read_rows(tmp_path / "out")} == set(range(len(KEPT)))
    assert "search_not_verified" in (tmp_path / "out/report.md").read_text()


def test_a_library_that_is_missing_may_drop_instead(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", as_rows(UNDECIDED))
    assert curate("sft", source, tmp_path / "out", "--missing", "drop") == 0
    assert [line["reason"] for line in lines(tmp_path / "out/dropped.jsonl")] == list(UNDECIDED)


REPAIRABLE = ("images_differ", "count_differs", "stdout_differs")


def test_repair_records_anew_what_differs_and_nothing_else(tmp_path):
    rows = {name: DROPPED[name] for name in (*REPAIRABLE, "not_reproducible", "code_error")}
    source = write_jsonl(tmp_path / "data.jsonl", [*as_rows(rows), Row(80).chat()])
    out = tmp_path / "out"
    assert curate("sft", source, out, "--repair") == 0
    assert [line["reason"] for line in lines(out / "dropped.jsonl")] == ["not_reproducible", "code_error"]
    found = {row["row"]: row for row in read_rows(out)}
    assert {place: row["repaired"] for place, row in found.items()} == {0: True, 1: True, 2: True, 5: False}
    for place in (0, 1):  # the crop of the corpus, as the sandbox shows it
        (shown,) = found[place]["images"][1:]
        assert np.array_equal(decode(shown["bytes"]), crop(picture(60)))
    assert "17" in found[2]["messages"][3]["content"]
    assert "18" not in found[2]["messages"][3]["content"]
    again = tmp_path / "again"  # what was kept is a source of which nothing differs any more
    assert curate("sft", out / "data-00000.parquet", again) == 0
    assert lines(again / "dropped.jsonl") == []


def test_what_is_recorded_anew_is_the_same_in_shards_and_after_a_stop(tmp_path):
    rows = [DROPPED[name].but(question=f"Again {name} {n}?").chat() for n in range(3) for name in REPAIRABLE]
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    outs = [tmp_path / name for name in ("whole", "shard1", "shard2", "merged", "stopped")]
    whole, *shards, merged, stopped = outs
    assert curate("sft", source, whole, "--repair") == 0
    for number, shard in enumerate(shards, start=1):
        assert curate("sft", source, shard, "--repair", "--shard", f"{number}/2") == 0
    assert curate_command(["merge", *map(str, shards), str(merged), "--workers", "1"]) == 0
    shutil.copytree(whole / "ledger", stopped / "ledger")
    ledger = stopped / "ledger/execute.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-2_000])  # the last verdicts, and a part of a line
    assert curate("sft", source, stopped, "--repair") == 0
    assert len(read_rows(whole)) == len(rows)
    assert written(merged) == written(stopped) == written(whole)


def test_a_repaired_sample_keeps_its_id_and_is_judged_as_it_is_now(tmp_path, capsys):
    row = DROPPED["stdout_differs"].but(question="Is it 17?").chat()
    source = write_jsonl(tmp_path / "data.jsonl", [row, row])
    out = tmp_path / "out"
    with judge() as stub:
        asked = ("--judge", f'openai:model=m,base_url="{stub.url}"', "--repair")
        assert curate("sft", source, out, "--no-execute", *asked) == 0
        assert curate("sft", source, out, *asked) == 0
        assert ["18" in said(body) for body in stub.requests] == [True, False]
        assert curate("sft", source, out, *asked) == 0
        assert len(stub.requests) == 2
    (kept,) = read_rows(out)
    assert kept["repaired"]
    report = (out / "report.md").read_text()
    assert "| execute | repaired (counted) | 1 |" in report
    assert curate_command(["explain", str(out), kept["id"]]) == 0
    told = capsys.readouterr().out
    assert "execute: kept, repaired" in told
    assert "write: kept" in told


def test_a_repaired_trajectory_of_one_text_shows_the_new_image(tmp_path):
    row = thyme_sft_row() | {"image": [base64.b64encode(encoded(picture(seed))).decode() for seed in (1, 2)]}
    source = write_jsonl(tmp_path / "data.jsonl", [row])
    assert curate("sft", source, tmp_path / "out", "--repair", "--dialect", "source") == 0
    (kept,) = read_rows(tmp_path / "out")
    assert kept["messages"][2]["content"] == "<image>"
    assert image_difference([decode(kept["images"][1]["bytes"])], [crop(picture(1))]) == ("", "")


def test_variables_live_from_call_to_call(tmp_path):
    dialect = DIALECTS.make("metis")

    def two_calls(messages, images):
        first, second = (
            [
                {"role": "assistant", "content": dialect.write_calls([_python(code)], "So.")},
                {"role": "user", "content": f"Code execution result:\nstdout:\n```\n{out}\n```"},
            ]
            for code, out in (("x = 20\nprint('ok')", "ok"), ("print(x + 1)", "21"))
        )
        return [*messages[:2], *first, *second, messages[-1]], images

    source = write_jsonl(tmp_path / "data.jsonl", [Row(1, code="1", edit=two_calls).chat()])
    assert curate("sft", source, tmp_path / "out") == 0
    assert len(read_rows(tmp_path / "out")) == 1


def _python(code):
    from metis_gym.records import ToolCall

    return ToolCall(name="python", arguments={"code": code})


def test_a_sandbox_that_is_not_there_drops_nothing(tmp_path):
    @sandbox.register("never_there")
    def never_there():
        from metis_gym.errors import SandboxUnavailableError

        raise SandboxUnavailableError("no isolation here")

    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(3)])
    assert curate("sft", source, tmp_path / "out", "--sandbox", "never_there") == 3
    assert lines(tmp_path / "out/dropped.jsonl") == []
    assert len(lines(tmp_path / "out/undecided.jsonl")) == 3
    assert curate("sft", source, tmp_path / "out") == 0
    assert len(read_rows(tmp_path / "out")) == 3


def test_code_that_attacks_ends_as_a_reason(tmp_path):
    attacks = [
        "import socket\nsocket.create_connection(('1.1.1.1', 80), 1)",
        "print(open('/etc/shadow').read())",
        "x = 'a' * (1 << 40)",
    ]
    rows = [Row(n, code=code, output="fine").chat() for n, code in enumerate(attacks)]
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    assert curate("sft", source, tmp_path / "out", "--seconds", 3) == 0
    assert {line["reason"] for line in lines(tmp_path / "out/dropped.jsonl")} == {"code_error"}


@pytest.mark.parametrize(("one", "other"), [("17", "18"), ("a b", "a c"), ("1 2", "1 2 3"), ("x", ""), ("1.01", "1.0")])
def test_texts_that_differ(one, other):
    assert text_difference(one, other)
    assert text_difference(other, one)


def test_images_that_differ():
    one, other = picture(1), picture(2)
    assert image_difference([one], [one]) == ("", "")
    assert image_difference([one], [other])[0] == "images_differ"
    assert image_difference([one], [])[0] == "count_differs"
    assert image_difference([one[:, :100]], [one])[0] == "images_differ"
