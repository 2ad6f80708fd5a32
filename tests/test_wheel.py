"""The built wheel holds the three packages and nothing else, and does what the README says, with and without extras."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.docs_examples import blocks_of, matches

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


class Clean:
    """A fresh environment with the wheel, some of its extras, and nothing else."""

    def __init__(self, folder, wheel, extras):
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        self._bin = folder / "venv" / "bin"
        install = [self._bin / "python", "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
        subprocess.run([*install, f"{wheel}{extras}"], check=True)

    def run(self, program, *words):
        """What a program of the environment says, and how it ended."""
        done = subprocess.run(
            [self._bin / program, *words],
            cwd=self.folder,
            env={"PATH": f"{self._bin}:/usr/bin:/bin", "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def works(self, *words):
        code, said = self.run("metis-gym", *words)
        assert code == 0, said
        return said


@pytest.fixture(scope="module", params=["", "[envs]", "[envs,agents]"], ids=["core", "envs", "agents"])
def clean(request, wheel, tmp_path_factory):
    made = Clean(tmp_path_factory.mktemp("clean"), wheel, request.param)
    made.extras = request.param
    return made


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_of_the_core_work_with_any_extras(clean):
    Image.new("RGB", (64, 64), "red").save(clean.folder / "red.png")
    row = {"question": "Which colour?", "answer": "red", "image": "red.png"}
    (clean.folder / "tasks.jsonl").write_text(json.dumps(row) + "\n")
    assert "compare" in clean.works("--help")
    assert "signs" in clean.works("list", "tasksets")
    assert "metis-gym" in clean.run("metis-gym", "doctor")[1]
    played = ["eval", "--agent", "never-tool", "--taskset", "jsonl:tasks.jsonl", "--split", "train", "--episodes", "1"]
    assert "never-tool" in clean.works(*played, "--workers", "1", "--record", "run")
    assert "1 episode:" in clean.works("view", "run", "--out", "page.html")
    assert (clean.folder / "page.html").stat().st_size > 1000
    clean.works("replay", "run/000", "--trust")  # tasks of a file are for whoever trusts it


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_lacks_an_extra_names_it(clean):
    code, said = clean.run("metis-gym", "gallery", "sums", "--out", "sheets")
    assert (code == 0) == ("envs" in clean.extras), said
    assert code == 0 or "pip install 'metis-gym[envs]'" in said
    code, said = clean.run("metis-gym", "compare", "--help")
    assert (code == 0) == ("agents" in clean.extras), said
    assert code == 0 or "pip install 'metis-gym[agents]'" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_blocks_of_the_readme_run(clean):
    if not clean.extras:
        pytest.skip("they play built-in tasks, which need the extra envs")
    told = []
    for number, block in enumerate(blocks_of((ROOT / "README.md").read_text("utf-8"))):
        if block.language == "python":
            (clean.folder / f"block_{number}.py").write_text(block.code)
            code, said = clean.run("python", "-W", "error", f"block_{number}.py")
            assert code == 0, said
            assert block.output is None or matches(block.output, said)
            told.append(said)
    assert len(told) >= 3
