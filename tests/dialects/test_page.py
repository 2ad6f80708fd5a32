"""docs/dialects.md: its example runs, and its table is complete."""

import re
from pathlib import Path

from metis_gym.dialects import DIALECTS

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")


def test_the_example_runs(sandbox_kwargs, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/dialects.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Code execution result:\nstdout:\n```\n(")


def test_every_dialect_has_a_row_with_its_stops():
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE))
    assert set(rows) == set(DIALECTS.names())
    for name, stops in rows.items():
        assert tuple(re.findall(r"`([^`]+)`", stops)) == DIALECTS.create(name).stop
