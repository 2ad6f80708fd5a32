"""What ships keeps the contracts that plug-ins are held to. More: tests/rewards, tests/test_dialects."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from metis_gym.grading import GRADERS
from metis_gym.records import Passage
from metis_gym.registration import FAMILY_IDS
from metis_gym.search.index.text import write_text_index
from metis_gym.testing import check_agent, check_grader, check_search_engine, check_taskset, check_tool

sys.path.insert(0, str(Path(__file__).parents[1] / "grading"))
from judge_server import JudgeServer, always

PAGES = [Passage(title=f"Page {n}", text=f"An otter swims {n} miles.", link=f"https://a.example/{n}") for n in range(5)]


@pytest.mark.parametrize("name", [*FAMILY_IDS.values(), "mixture", "patches:choices=2"])
def test_tasksets(name):
    """With small sources, which are drawn quickly; what is checked does not depend on the size."""
    check_taskset(f"{name}{',' if ':' in name else ':'}max_source=1792", tasks=2)


def test_two_tasksets_joined():
    check_taskset("patches+sums", tasks=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILY_IDS.values(), "mixture", "signs+sums"])
def test_tasksets_in_full_size(name):
    check_taskset(name, tasks=3)


def test_tasks_of_a_file(tmp_path):
    path = tmp_path / "a,b=c.jsonl"
    for name in ("1", "2"):
        Image.new("RGB", (64, 64), (int(name), 0, 0)).save(tmp_path / f"{name}.png")
    rows = [
        {"question": f"{name} + {name}?", "answer": str(2 * int(name)), "image": f"{name}.png"} for name in ("1", "2")
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    check_taskset(f'jsonl:path="{path}"', splits=("train",))


@pytest.fixture(scope="module")
def text_engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "pages.sqlite"
    write_text_index(iter(PAGES), path)
    return f'fts5:path="{path}"'


def test_text_engines(text_engine):
    check_search_engine(text_engine)


def test_text_search(text_engine):
    spec = f"text_search:text_engine='{text_engine}'"
    check_tool(spec, calls=[{"query": "otter"}, {"query": ["otter", "miles"]}])


def test_python(sandbox_kwargs):
    check_tool("python", calls=[{"code": "1 + 1"}, {"code": "image_1.crop((0, 0, 32, 32))"}])


def test_the_crop():
    check_tool("metis_gym.tools.crop:CropTool", calls=[{"box": [0, 0, 64, 64]}])


@pytest.mark.parametrize("name", [name for name in GRADERS.names() if name != "judge"])
def test_graders(name):
    check_grader(name)


def test_the_judge():
    with JudgeServer(always("INCORRECT")) as server:
        check_grader(server.grader())


@pytest.mark.parametrize("name", ["oracle", "always-tool", "never-tool", "random:call_probability=0.9"])
def test_agents(name):
    check_agent(name, tools=("metis_gym.tools.crop:CropTool",))
