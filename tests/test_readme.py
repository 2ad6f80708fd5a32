"""The README is true: its commands exist, it is short. `tests/test_docs.py` runs its Python."""

import re
from pathlib import Path

from metis_gym.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_it_is_short_and_shows_code_early():
    lines = README.splitlines()
    assert len(lines) < 150
    assert lines.index("```python") < 40


def test_its_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", README):
        assert f"\n{target}:" in makefile
    for command in re.findall(r"metis-gym ([a-z]+)\b", README):
        assert command in COMMANDS


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_photographs_under_cc_by_are_credited():
    from metis_envs.scenes.photographs import PHOTOGRAPHS

    for name in ("danielbuechele", "vultilion"):
        assert name in README
        assert any(name in entry.terms for entry in PHOTOGRAPHS)
