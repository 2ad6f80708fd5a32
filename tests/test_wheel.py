"""The built wheel holds the three packages and nothing else, and works from another folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import gymnasium, metis_gym, metis_envs, metis_agents.scripted
from pathlib import Path
assert Path(metis_gym.__file__).is_relative_to({target!r}), metis_gym.__file__
env = gymnasium.make("MetisVQA-Discrete-v0")
env.reset(seed=0)
env.step(0)
print("works")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_its_contents(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"metis_gym", "metis_envs", "metis_agents"}
    for package in ("metis_gym", "metis_envs", "metis_agents"):
        assert f"{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    sources = [path for folder in ("metis_gym", "envs", "agents") for path in (ROOT / folder).rglob("*.py")]
    assert len([name for name in names if name.endswith(".py")]) == len(sources)


def test_it_works_where_it_is_installed(wheel, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    environment = {"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", USE.format(target=str(target))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "works", done.stderr
