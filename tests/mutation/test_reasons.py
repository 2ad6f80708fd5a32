"""The reasons why mutants survive are of mutants that can still be made."""

import ast
from pathlib import Path

import pytest

from tests.mutation.run import ROOT, SUITES, reasons


def functions(body, prefix=""):
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("name", reasons())
def test_what_a_reason_is_about_is_still_there(name):
    place, _, change = name.partition(": ")
    path, _, function = place.partition("::")
    text = (ROOT / path).read_text()
    # A property and its setter share a name.
    found = [ast.get_source_segment(text, node) for known, node in functions(ast.parse(text).body) if known == function]
    before = " ".join(change.partition(" → ")[0].split())
    assert any(before in " ".join(source.split()) for source in found)


@pytest.mark.parametrize("suite", SUITES)
def test_the_files_of_a_suite_are_there(suite):
    for paths in SUITES[suite]:
        assert all((Path(ROOT) / path).exists() for path in paths)
