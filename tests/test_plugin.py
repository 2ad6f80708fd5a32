"""The example package, installed from wheels in an environment of its own: all commands and gym.make know its names."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = {
    "agents": "guesser",
    "dialects": "json",
    "graders": "contained",
    "rewards": "halved",
    "search_engines": "notes",
    "tasksets": "dots",
    "tools": "zoom",
}


def wheel(folder, out):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with both wheels; what they depend on is lent by the one that runs the tests."""
    folder, dist = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("dist")
    wheel(ROOT, dist)
    wheel(ROOT / "examples" / "plugin", dist)
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    # A path in a .pth file lends packages, but not what their own .pth files add: no checkout comes along.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet"]
    wheels = [str(path) for path in dist.glob("*.whl")]
    subprocess.run(
        [*install, "--no-deps", "--no-index", "--ignore-installed", *wheels], check=True, capture_output=True
    )
    return folder


@pytest.fixture
def run(environment, tmp_path):
    def run(*words):
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MPLBACKEND": "agg"}
        command = [str(environment / "bin" / words[0]), *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_packages_are_the_installed_ones(run, environment):
    code = "import metis_gym, metis_dots; print(metis_gym.__file__); print(metis_dots.__file__)"
    assert all(path.startswith(str(environment)) for path in run("python", "-c", code).split())


@pytest.mark.parametrize("kind", NAMES)
def test_its_names_are_listed_with_their_package(run, kind):
    rows = [line.split(maxsplit=3) for line in run("metis-gym", "list", kind).splitlines()]
    row = next(row for row in rows if row[:1] == [NAMES[kind]])
    assert row[1:3] == ["metis-dots", "0.1.0"]
    assert row[3]


MAKE = """
import gymnasium as gym
env = gym.make("metis_gym:MetisVQA-v0", taskset="dots+signs", tools=("zoom:factor=4", "text_search"), dialect="json",
               reward="halved:base=4", grader="contained", text_engine="notes", prices={"zoom": 3})
env.reset(seed=1, options={"task_id": gym.make("metis_gym:MetisVQA-v0", taskset="dots").reset(seed=2)[1]["task_id"]})
observation, *_, info = env.step({"name": "zoom", "arguments": {"x": 0.5, "y": 0.5}})
assert info["tool_cost"] == 3.0 and len(observation["images"]) == 1, info
observation, *_ = env.step({"name": "text_search", "arguments": {"query": "dot"}})
assert "dots.example" in observation["text"]
gold = env.unwrapped.episode.task.gold.value
observation, reward, *_, info = env.step({"answer": f"It is {gold}, I think"})
assert info["correct"] and reward == 4.0**-2, (reward, info)

from metis_gym.tasksets import load_task
assert load_task(info["task_id"]).family == "dots"

from metis_gym.testing import *
check_taskset("dots:choices=3")
check_tool("zoom:factor=4", calls=[{"x": 0.5, "y": 0.5}])
check_dialect("json")
check_design("halved:base=3")
check_grader("contained")
check_search_engine("notes")
check_agent("guesser")

import metis_gym
if __name__ == "__main__":
    wanted = {"taskset": "dots", "tools": ("zoom",), "reward": "halved"}
    envs = metis_gym.make_vec("MetisVQA-v0", 2, mode="async", context="spawn", **wanted)
    envs.reset(seed=0)
    envs.close()
    print("works")
"""


def test_gym_make_knows_them_and_they_keep_their_contracts(run, tmp_path):
    (tmp_path / "use.py").write_text(MAKE)
    assert run("python", "use.py").strip() == "works"


def test_eval_knows_them_in_several_processes(run):
    words = ("--agent", "oracle", "guesser", "--taskset", "dots:answers=choice", "--episodes", "9", "--workers", "2")
    table = run("metis-gym", "eval", *words, "--quiet")
    assert "guesser" in table
    assert "dots" in table


def test_gallery_and_index_know_them(run, tmp_path):
    run("metis-gym", "gallery", "dots", "--out", "sheets", "--each", "1")
    assert (tmp_path / "sheets" / "dots.png").exists()
    assert "dots.example" in run("metis-gym", "index", "search", "dot", "--engine", "notes")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compare_knows_them_in_several_processes(run):
    small = ("--seeds", "1", "--batches", "1", "--tasks", "2", "--group-size", "2", "--workers", "2", "--quiet")
    page = run("metis-gym", "compare", "--designs", "halved:base=3", "--env.taskset", "dots", *small, "--out", "out")
    assert "halved:base=3" in page


@pytest.mark.slow
def test_train_knows_them(run):
    small = (
        "--batches",
        "1",
        "--tasks",
        "1",
        "--group-size",
        "2",
        "--threads",
        "1",
        "--cold-start",
        "0",
        "--grounding",
        "0",
    )
    small += ("--episodes", "2", "--samples", "0", "--turn-tokens", "24", "--response-tokens", "96", "--workers", "2")
    run("metis-gym", "train", "--model", "tiny", "--taskset", "dots", "--design", "halved", "--out", "run", *small)
