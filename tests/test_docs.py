"""The pages are true: blocks of Python run and print what stands below them, commands are read by their command lines.

`make docs` builds the site, with warnings as errors; here nothing of Sphinx is needed.
"""

import argparse
import json
import re
import shlex
import sys
import types
from pathlib import Path

import pytest

from metis_agents.settings.words import read_environment, take_environment
from metis_gym.cli import COMMANDS, main
from metis_gym.registration import FAMILY_IDS
from tests.docs_examples import Block, blocks_of, commands_of, matches, run_python

ROOT = Path(__file__).parents[1]
PAGES = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text("utf-8")
PYTHON_ELSEWHERE = {
    "docs/dialects.md": "tests/dialects/test_page.py",
    "docs/search.md": "tests/search/test_docs.py",
}
"""Pages whose Python other tests run."""
COMMANDS_ELSEWHERE = {"docs/systems.md": "tests/agents/chat/test_systems.py"}
"""Pages whose commands other tests play."""
STANDING_FOR = {"…": "openai:model=NAME,base_url=http://127.0.0.1:1/v1"}
"""Words that stand for what the reader fills in."""


class Understood(BaseException):
    """Raised where a command would begin to work."""


def blocks(page, language):
    return [block for block in blocks_of(PAGES[page]) if block.language == language]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page not in PYTHON_ELSEWHERE]
COMMAND_LINES = [
    pytest.param(words, id=f"{page}:{block.line} {' '.join(words)[:50]}")
    for page in PAGES
    for block in blocks(page, "bash")
    for words in commands_of(block)
]
COMMAND_LINES += [
    pytest.param(shlex.split(words), id=f"Makefile {words[:50]}")
    for words in re.findall(r"(?m)^\t\$\(BIN\)/metis-gym (.+)$", (ROOT / "Makefile").read_text("utf-8"))
]
RUN = [
    pytest.param(commands_of(block), id=f"{page}:{block.line}")
    for page in PAGES
    for block in blocks(page, "bash")
    if block.is_run
]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_blocks_run_and_print_what_is_shown(page, sandbox_kwargs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = [block for block in blocks(page, "python") if not block.why_not]
    for block, printed in zip(examples, run_python(examples, f"page_{Path(page).stem}"), strict=True):
        if block.output is not None:
            assert matches(block.output, printed), f"{page}, line {block.line}: python tests/docs_examples.py {page}"


@pytest.mark.parametrize(("page", "test"), [*PYTHON_ELSEWHERE.items(), *COMMANDS_ELSEWHERE.items()])
def test_what_is_tested_elsewhere_is(page, test):
    text = (ROOT / test).read_text("utf-8")
    assert Path(page).name in text


@pytest.mark.parametrize("words", COMMAND_LINES)
def test_every_command_is_understood_by_its_command_line(words, monkeypatch):
    """Each is read by the real parser; it stops where the work would begin."""
    parse_args = argparse.ArgumentParser.parse_args

    def parsed(self, args=None, namespace=None):
        parse_args(self, args, namespace)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    for module in ("metis_agents.compare.command", "metis_agents.qwen3vl.train.command"):
        stop_after_reading(monkeypatch, module)
    words = [STANDING_FOR.get(word, word) for word in words]
    if words[0] == "eval":
        env_id = words[words.index("--env") + 1] if "--env" in words else "MetisVQA-v0"
        read_environment(env_id, take_environment(words)[1])
    with pytest.raises(Understood):
        main(words)


def stop_after_reading(monkeypatch, module):
    import importlib

    place = importlib.import_module(module)
    parse = place.parse

    def parsed(*args, **kwargs):
        parse(*args, **kwargs)
        raise Understood

    monkeypatch.setattr(place, "parse", parsed)


@pytest.mark.slow
@pytest.mark.parametrize("commands", RUN)
def test_commands_that_are_marked_run(commands, tmp_path, monkeypatch, capfd, sandbox_kwargs):
    monkeypatch.chdir(tmp_path)
    for words in commands:
        assert main(words) == 0, capfd.readouterr().err


@pytest.mark.parametrize("page", PAGES)
def test_other_commands_say_why_they_are_not_run(page):
    if page in COMMANDS_ELSEWHERE:
        return
    silent = [
        block.line for block in blocks(page, "bash") if not (block.is_run or block.why_not) and commands_of(block)
    ]
    assert not silent, f"{page}, lines {silent}: put `<!-- run -->` or `<!-- not run: why -->` before the block"


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_exist(page):
    for command in re.findall(r"`metis-gym ([a-z]+)\b", PAGES[page]):
        assert command in COMMANDS


def test_links_between_pages_lead_somewhere():
    generated = {"environments", "api", "add"}
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not target.startswith(("http", "mailto")) and target.partition("/")[0] not in generated:
                assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_every_page_is_on_the_site():
    listed = re.findall(r"(?m)^([\w/-]+)$", PAGES["docs/index.md"])
    renamed = {"search": "search-tools"}
    for page in PAGES:
        name = Path(page).stem
        if page.startswith("docs/") and name != "index":
            assert renamed.get(name, name) in listed, f"{page} stands in no toctree of docs/index.md"


def test_every_family_has_baselines():
    found = json.loads((ROOT / "docs/site/baselines.json").read_text("utf-8"))["metrics"]
    assert set(found) == set(FAMILY_IDS), "run: python docs/site/baselines.py"
    for agents in found.values():
        assert agents["oracle"]["accuracy"][0] >= agents["never-tool"]["accuracy"][0]
        assert agents["never-tool"]["tool_calls"][0] == 0


def test_output_that_differs_is_found():
    assert matches("a … c\n", "a b c") and matches("x", "x\n")
    assert not matches("a … c", "a b d")
    page = "```python\nprint(1)\n```\n\n<!-- output -->\n````text\n1\n```\n````\n\n"
    page += "<!-- not run: why -->\n```bash\nmetis-gym x\n```\n"
    python, _, bash = blocks_of(page)
    assert python.output == "1\n```\n" and bash.why_not == "why" and commands_of(bash) == [["x"]]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples/notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_run_and_hold_no_outputs(path, sandbox_kwargs, monkeypatch):
    """`make docs` executes them in a kernel; here their cells run one after the other."""
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    image = types.SimpleNamespace(Image=lambda filename: Path(filename).read_bytes())
    stand_in = types.ModuleType("IPython")
    stand_in.version_info = (9, 0)  # matplotlib asks
    monkeypatch.setitem(sys.modules, "IPython", stand_in)
    monkeypatch.setitem(sys.modules, "IPython.display", image)
    run_python([Block("python", "".join(cell["source"]), number) for number, cell in enumerate(cells)], path.stem)
