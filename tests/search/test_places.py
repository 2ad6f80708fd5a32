"""Files that are built once: by one of many processes, whole or not at all."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metis_gym.errors import ConfigError, SearchIndexError
from metis_gym.search.index.files import build_once, cache_folder

PROCESSES = 4


def write(path):
    """Leave a mark for each build, then write a file."""
    mark(path.parent / "builds")
    path.write_text("whole file")


def write_slowly(path):
    """Leave a mark for each build, then write a file in two halves: the second when all processes have come for it."""
    mark(path.parent / "builds")
    with path.open("w") as stream:
        stream.write("whole")
        stream.flush()
        deadline = time.monotonic() + 60
        while len(list((path.parent / "arrivals").iterdir())) < PROCESSES and time.monotonic() < deadline:
            time.sleep(0.001)
        stream.write(" file")


def mark(folder):
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()


def arrive_build_and_read(path):
    mark(path.parent / "arrivals")
    return build_once(path, write_slowly).read_text()


def test_of_many_processes_one_builds_and_all_find_a_whole_file(tmp_path):
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.map(arrive_build_and_read, [tmp_path / "index"] * 8, chunksize=1)
    assert found == ["whole file"] * 8
    assert len(list((tmp_path / "builds").iterdir())) == 1


def test_a_builder_that_is_killed_leaves_nothing_that_is_taken_for_an_index(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from metis_gym.search.index.files import build_once\n"
        "def build(path):\n    path.write_text('half'); os.kill(os.getpid(), 9)\n"
        "build_once(Path(sys.argv[1]), build)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    target = tmp_path / "index"
    killed = subprocess.run([sys.executable, "-c", code, str(target)], env=environment, check=False)
    assert killed.returncode == -9 and not target.exists()
    assert list(tmp_path.glob("index.*.part")) != []
    assert build_once(target, write).read_text() == "whole file"
    assert list(tmp_path.glob("index.*.part")) == []


def test_a_failed_build_is_told_and_leaves_nothing(tmp_path):
    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(SearchIndexError, match=r"disk full.*Another folder can be named"):
        build_once(tmp_path / "index", fail)
    assert not (tmp_path / "index").exists() and list(tmp_path.glob("*.part")) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SearchIndexError, match="cannot build"):
        build_once(tmp_path / "file" / "index", write)


def test_the_cache_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "metis-gym"
    assert cache_folder("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/metis-gym"


def test_a_user_without_a_home_is_told_what_to_do(monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="fts5:folder="):
        cache_folder()
