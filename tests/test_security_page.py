"""docs/security.md promises only what a test shows: every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def test_every_test_that_the_page_names_is_there():
    assert len(NAMED) > 30
    for path, name in NAMED:
        functions = {
            node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert not name or name in functions, f"{path} has no {name}"


def test_every_section_names_a_test():
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    lacking = [section.splitlines()[0] for section in sections if "`tests/" not in section]
    assert lacking == ["What is not promised"]
