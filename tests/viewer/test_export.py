"""A recorded run as a table."""

import builtins
import json

import pytest

from metis_gym.cli import main
from metis_gym.exporting import COLUMNS, episode_row
from metis_gym.viewer import read_episodes
from tests.viewer.toys import four_cells, hostile, record


def test_a_row_for_each_episode(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run = record(tmp_path / "run", [*four_cells(), *hostile()])
    assert main(["export", "parquet", str(run)]) == 0
    table = parquet.read_table(run / "episodes.parquet")
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert [row["number"] for row in rows] == list(range(18))
    first = rows[0]
    assert (first["task_id"], first["necessity"], first["gold"], first["correct"]) == ("used-0", "required", "A", False)
    assert (first["tool_calls"], first["tool_cost"], first["options"]) == (1, 1.0, ["red", "blue"])
    assert first["turns"] == ["image_1.crop((8, 8, 60, 60)).resize((640, 640))", "<answer>A</answer>"]
    assert json.loads(first["results"][0]) == {
        "name": "python",
        "status": "ok",
        "output": "done",
        "errors": "",
        "images": 1,
    }
    assert first["min_calls"] is None and first["blind_accuracy"] is None


def test_what_was_not_recorded_is_null(tmp_path):
    run = record(tmp_path / "run", four_cells()[:1])
    (run / "tasks.jsonl").unlink()
    (card,) = read_episodes(run)
    row = episode_row(card)
    assert (row["gold"], row["question"], row["correct"]) == (None, None, False)


def test_without_pyarrow_it_names_the_extra(tmp_path, monkeypatch, capsys):
    run = record(tmp_path / "run", four_cells()[:1])
    real = builtins.__import__

    def lacking(name, *rest, **more):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    assert main(["export", "parquet", str(run), "--out", str(tmp_path / "x.parquet")]) == 2
    assert "metis-gym[data]" in capsys.readouterr().err
