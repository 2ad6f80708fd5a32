"""The committed page is what the designs say; the package stays light; the examples in the docstrings run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import metis_gym.rewards
from metis_gym import rewards
from metis_gym.rewards.table import DIAGNOSTIC_GROUPS, compare_table, episode, main, total_advantages

PAGE = Path(__file__).parents[2] / "docs" / "rewards.md"
MODULES = [f"metis_gym.rewards.{module.name}" for module in pkgutil.iter_modules(metis_gym.rewards.__path__)]


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == compare_table(), "run: python -m metis_gym.rewards.table docs/rewards.md"


def test_the_page_shows_every_design():
    for name in rewards.available():
        assert compare_table().count(f"| `{name}` |") == 3


def test_the_command_writes_the_page(tmp_path):
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == compare_table()
    with pytest.raises(SystemExit, match="usage"):
        main([])


def test_hdpo_passes_the_diagnostic_groups():
    for case in DIAGNOSTIC_GROUPS:
        group = [episode(word[0] == "C", int(word[1:])) for word in case.group.split()]
        value = case.measure(total_advantages(rewards.make("hdpo"), group))
        assert value == 0.0 if case.name in ("cheap mistake", "all wrong") else value > 0.0


def test_importing_is_light():
    code = (
        "import sys, metis_gym.rewards as r; [r.make(n) for n in r.available()]; "
        "heavy = {'torch', 'transformers', 'matplotlib', 'stable_baselines3'} & set(sys.modules)"
        "; assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_exact_public_names():
    assert sorted(rewards.__all__) == list(dict.fromkeys(sorted(rewards.__all__)))
    assert all(hasattr(rewards, name) for name in rewards.__all__)
