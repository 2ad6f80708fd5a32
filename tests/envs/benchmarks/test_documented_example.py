"""The benchmark that docs/benchmarks.md adds in one file works as it stands there, by its name and from the file."""

import re
import sys
import types
from pathlib import Path

import pytest
from benchmark_rows import stored

from metis_agents.command import eval_command
from metis_envs.benchmarks import BENCHMARKS
from metis_gym.errors import TaskDataError
from metis_gym.tasksets import make_taskset

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
pa = pytest.importorskip("pyarrow")

PAGE = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text()
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def clocks(tmp_path, monkeypatch):
    """The file of the page, and rows for it."""
    monkeypatch.setattr(BENCHMARKS, "_entries", dict(BENCHMARKS._entries))
    (tmp_path / "my_clocks.py").write_text(EXAMPLE)
    kinds = ("wall", "tower", "wall")
    rows = [
        {"question": "What time is it?", "time": f"{number + 1}:30", "kind": kind, "image": stored(number)}
        for number, kind in enumerate(kinds)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "clocks.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "clocks.parquet"
    sys.modules.pop("my_clocks", None)


def test_registered_in_a_script_it_goes_where_a_name_goes(clocks, monkeypatch):
    module = types.ModuleType("documented_clocks")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(EXAMPLE, "docs/benchmarks.md", "exec"), module.__dict__)
    bench = make_taskset(f"benchmark:clocks,path={clocks}", split="test", view_size=448)
    found = bench.score(dict(zip(bench.task_ids(), (1.0, 0.0, 1.0), strict=True)))
    assert {name: figure.mean for name, figure in found.figures.items()} == {
        "overall": pytest.approx(2 / 3),
        "tower": 0.0,
        "wall": 1.0,
    }
    parquet.write_table(pa.Table.from_pylist([{"question": "?", "image": b""}]), clocks)
    with pytest.raises(TaskDataError, match="lacks columns of clocks: 'time' or 'answer'"):
        make_taskset(f"benchmark:clocks,path={clocks}", split="test", view_size=448)


def test_the_command_of_the_page_takes_it_from_its_file(clocks, capsys):
    (said,) = re.findall(r"--benchmark (my_clocks:Clocks --data \S+)", PAGE)
    words = ["--agent", "oracle", "--workers", "1", "--quiet", "--benchmark", *said.split()]
    assert eval_command(words) == 0
    out = capsys.readouterr().out
    assert "clocks: 3 of 3 rows scored" in out
    assert "tower" in out


def test_every_name_of_the_page_is_a_benchmark():
    named = set(re.findall(r"^\| (`[^|]*`) \|", PAGE, flags=re.MULTILINE))
    found = {name for cell in named for name in re.findall(r"`(\w+)`", cell)}
    assert found == set(BENCHMARKS.names())
