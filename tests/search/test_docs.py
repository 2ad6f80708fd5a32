"""docs/search.md is true: its Python runs, its commands exist, its engines are all that there are."""

import re
from pathlib import Path

import pytest

from metis_envs.world.collection import DefaultCollection
from metis_envs.world.corpus import DefaultCorpus
from metis_gym.cli import main
from metis_gym.search import COLLECTIONS, CORPORA, IMAGE_ENGINES, TEXT_ENGINES

TEXT = (Path(__file__).parents[2] / "docs/search.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def small_defaults(tmp_path, monkeypatch):
    monkeypatch.setattr(CORPORA, "_entries", {"default": lambda: DefaultCorpus(things=2_000)})
    monkeypatch.setattr(COLLECTIONS, "_entries", {"default": lambda: DefaultCollection(landmarks=5, pieces=1)})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_the_first_search_works(small_defaults, capsys):
    from metis_gym.search.registry import _text_engine

    _text_engine.cache_clear()  # the default engine of another test keeps another folder
    exec(compile(BLOCKS[0], "docs/search.md, first block", "exec"), {"__name__": "first"})
    _text_engine.cache_clear()
    assert capsys.readouterr().out.startswith("A search for 'bridges of Oravik' found 10 results")


def test_the_engine_of_ones_own_works(small_defaults, tmp_path):
    scope = {"__name__": "own"}
    exec(compile(BLOCKS[1], "docs/search.md, second block", "exec"), scope)
    with pytest.raises(scope["SearchError"], match="glossary"):
        scope["engine"].search("mill", limit=3)
    (tmp_path / "words.tsv").write_text("mill\tgrinds flour\ntower\tis high\n")
    assert [hit.snippet for hit in scope["engine"].search("What does a mill do?", limit=3)] == ["grinds flour"]


def ships(engines, name):
    """Other tests register engines of their own."""
    return engines.get(name).__module__.startswith("metis_gym.")


def test_every_engine_is_in_the_table():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    named = {re.split(r'[:"]', cell.group(1))[0] for row in rows if (cell := re.match(r'\| `\w*=?"([^`]*)`', row))}
    assert named == {
        name for engines in (TEXT_ENGINES, IMAGE_ENGINES) for name in engines.names() if ships(engines, name)
    }


def test_its_commands_are_understood(capsys):
    for command in set(re.findall(r"metis-gym index (\w+)", TEXT)):
        with pytest.raises(SystemExit, match="0"):
            main(["index", command, "--help"])
    options = set(re.findall(r" (--[a-z-]+)", TEXT))
    assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
