"""CONTRIBUTING.md is true: its worked examples run, and each is as short as promised."""

import ast
import re
import sys
import types
from pathlib import Path

import pytest

from metis_gym import testing

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
PLUGIN = ROOT / "examples/plugin/metis_dots"


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_its_examples_run(number, monkeypatch):
    from metis_gym.tools import TOOLS

    monkeypatch.setattr(TOOLS, "_entries", dict(TOOLS._entries))
    module = types.ModuleType(f"contributing_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # so that the example can be named by its module
    exec(compile(BLOCKS[number], f"CONTRIBUTING.md, block {number + 1}", "exec"), module.__dict__)


def test_there_is_an_example_of_each_kind():
    for check in testing.__all__:
        if check.startswith("check_"):
            assert any(f"\n{check}(" in block for block in BLOCKS), check


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("http") or (ROOT / target).exists(), target


def body_lines(text, kind):
    """Lines of a class, without its docstrings and blank lines."""
    found = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == kind)
    for node in ast.walk(found):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return len(ast.unparse(found).splitlines())


@pytest.mark.parametrize(("kind", "lines"), [("Shades", 20), ("Brightness", 10), ("Taxed", 10), ("FirstWord", 10)])
def test_its_examples_are_short(kind, lines):
    block = next(block for block in BLOCKS if f"class {kind}" in block)
    assert body_lines(block, kind) <= lines


@pytest.mark.parametrize(
    ("name", "kind", "lines"), [("tasks", "Dots", 20), ("rewards", "Halved", 10), ("graders", "Contained", 10)]
)
def test_the_example_package_is_short(name, kind, lines):
    assert body_lines((PLUGIN / f"{name}.py").read_text(), kind) <= lines
