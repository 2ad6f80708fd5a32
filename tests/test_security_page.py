"""docs/security.md promises only what a test shows: every test that it names is there.

`tests/a.py::test_b` is a test, `tests/a::test_b` one in some file of a folder, `::test_c` where the one before it is.
"""

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()


def named(page):
    """Place and name of all tests that a page names; the name is empty where a whole file is meant."""
    place, found = "", []
    for path, name in re.findall(r"`(tests/[\w/]+(?:\.py)?)?(?:::(\w+))?`", page):
        place = path or place
        if place and (path or name):
            found.append((place, name))
    return found


@functools.cache
def functions(place):
    """The functions of a file, or of the files of a folder."""
    files = [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))
    trees = [ast.parse(file.read_text()) for file in files]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_names_are_found_in_every_form():
    page = "(`tests/a.py::test_b`, `::test_c`) `x::y` ``, `tests/d::test_e`, `::test_f`, `tests/g.py`"
    places = ["tests/a.py", "tests/a.py", "tests/d", "tests/d", "tests/g.py"]
    assert named(page) == list(zip(places, ["test_b", "test_c", "test_e", "test_f", ""], strict=True))
    assert "test_security_page" not in functions("tests/http")


def test_every_test_that_the_page_names_is_there():
    tests = named(PAGE)
    assert len(tests) > 30
    for place, name in tests:
        assert functions(place), f"there is no {place}"
        assert not name or name in functions(place), f"{place} has no {name}"


def test_every_section_names_a_test():
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    lacking = [section.splitlines()[0] for section in sections if "`tests/" not in section]
    assert lacking == ["What is not promised"]
