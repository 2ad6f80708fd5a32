"""Killed and going on, more workers, shards, changed settings: the same verdicts, and the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metis_agents.curate.command import curate_command
from metis_agents.curate.ledger import Ledger, alone, lines_of
from metis_agents.curate.records import dropped, kept, undecided
from metis_gym.errors import ConfigError, StorageError
from tests.curate.corpus import cheap_faults, clean, encoded, lines, picture, write_jsonl
from tests.curate.test_cheap_stages import curate


@pytest.fixture
def corpus(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    rows = [row.chat() for row in clean(12)] + [fault for _, _, fault in cheap_faults()]
    near = clean(2)[1].but(images=[encoded(picture(1), "JPEG", quality=40)]).chat()
    rows += [rows[3], rows[3], near]
    return write_jsonl(tmp_path / "data.jsonl", rows)


def written(out):
    """All that a curation leaves, but for how the run went."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and "ledger" not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_again_and_again_it_leaves_the_same_bytes(tmp_path, corpus, kills):
    folders = [str(tmp_path / name) for name in ("whole", "killed")]
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(corpus), *folders]
    done = subprocess.run(
        [*command, str(kills), "0.5" if kills < 5 else "0.8"],
        check=False,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0
    assert written(tmp_path / "killed") == written(tmp_path / "whole")


@pytest.mark.parametrize(("workers", "count"), [(1, 2), pytest.param(8, 4, marks=pytest.mark.slow)])
def test_workers_and_shards_change_nothing(tmp_path, corpus, workers, count):
    curate("sft", corpus, tmp_path / "one", "--no-execute")
    for number in range(1, count + 1):
        curate("sft", corpus, tmp_path / f"shard{number}", "--no-execute", "--shard", f"{number}/{count}")
    shards = [str(tmp_path / f"shard{number}") for number in range(count, 0, -1)]
    assert curate_command(["merge", *shards, str(tmp_path / "merged"), "--workers", "1"]) == 0
    words = ["sft", str(corpus), str(tmp_path / "more"), "--no-execute", "--workers", str(workers)]
    assert curate_command(words) == 0
    expected = written(tmp_path / "one")
    assert written(tmp_path / "merged") == expected
    assert written(tmp_path / "more") == expected
    reasons = [line["reason"] for line in lines(tmp_path / "one/dropped.jsonl")][-3:]
    assert reasons == ["exact", "exact", "near"]


def test_shards_of_another_curation_are_refused(tmp_path, corpus):
    curate("sft", corpus, tmp_path / "a", "--no-execute", "--shard", "1/2")
    with pytest.raises(ConfigError, match="each of 2 shards"):
        curate_command(["merge", str(tmp_path / "a"), str(tmp_path / "out")])
    with pytest.raises(StorageError, match="no curation"):
        curate_command(["merge", str(tmp_path), str(tmp_path / "out")])


def test_only_stages_whose_settings_changed_run_again(tmp_path, corpus):
    out = tmp_path / "out"
    curate("sft", corpus, out, "--no-execute")
    before = {path.name: path.read_bytes() for path in (out / "ledger").glob("*.jsonl")}
    curate("sft", corpus, out, "--no-execute")
    assert {path.name: path.read_bytes() for path in (out / "ledger").glob("*.jsonl")} == before
    curate("sft", corpus, out, "--no-execute", "--dialect", "qwen")
    changed = {path.name for path in (out / "ledger").glob("*.jsonl") if path.read_bytes() != before[path.name]}
    assert changed == {"write.jsonl"}


def test_a_torn_last_line_is_cut_off_and_undecided_verdicts_count_once(tmp_path):
    path = tmp_path / "stage.jsonl"
    ledger = Ledger(path, "key")
    ledger.add("a", kept(), 0.1)
    ledger.add("b", dropped("bad", "why"), 0.1)
    ledger.add("c", undecided("later"), 0.1)
    assert ledger.get("c").kept is None
    ledger.close()
    with path.open("ab") as stream:
        stream.write(b'{"id":"d","key":"key","ke')
    again = Ledger(path, "key")
    assert (again.get("a").kept, again.get("b").reason, again.get("c"), again.get("d")) == (True, "bad", None, None)
    again.add("d", kept(), 0.0)
    again.close()
    assert [line["id"] for line in lines_of(path)] == ["a", "b", "c", "d"]
    other = Ledger(path, "other")
    assert other.get("a") is None
    other.close()


def test_two_processes_do_not_write_one_folder(tmp_path, corpus):
    with alone(tmp_path / "out/ledger"), pytest.raises(StorageError, match="another curation"):
        curate("sft", corpus, tmp_path / "out", "--no-execute")


def test_explain_tells_every_verdict(tmp_path, corpus, capsys):
    out = tmp_path / "out"
    curate("sft", corpus, out, "--no-execute")
    name = next(line["id"] for line in lines(out / "dropped.jsonl") if line["reason"] == "second_answer")
    capsys.readouterr()
    assert curate_command(["explain", str(out), name[:12]]) == 0
    said = capsys.readouterr().out
    assert "structure: dropped, second_answer" in said
    assert "duplicates: it did not get there" in said
    with pytest.raises(ConfigError, match="no sample"):
        curate_command(["explain", str(out), "zzz"])


def test_a_dry_run_says_what_all_would_take_and_writes_nothing(tmp_path, corpus, capsys):
    assert curate("sft", corpus, tmp_path / "out", "--no-execute", "--dry-run", 10) == 0
    said = capsys.readouterr().out
    assert "10 of 43 rows were tried" in said
    assert not (tmp_path / "out").exists()


def test_results_may_not_be_their_own_input(tmp_path, corpus):
    with pytest.raises(ConfigError, match="lies in the output folder"):
        curate("sft", corpus, tmp_path)
    assert json.loads(corpus.read_text().splitlines()[0])
