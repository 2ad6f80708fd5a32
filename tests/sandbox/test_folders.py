"""Folders that hostile code has filled."""

import itertools
import os
import time
from types import SimpleNamespace

import pytest

from metis_gym.errors import SandboxError
from metis_gym.sandbox import folders
from metis_gym.sandbox.folders import (
    MountedFolders,
    SessionFolders,
    clock_tick_ns,
    last_change_ns,
    measure,
    remove_tree,
)


def test_remove_tree_goes_as_deep_as_folders_go(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):  # far deeper than a path may be long, or than Python may recurse
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(str(top))
    assert not top.exists()


def test_remove_tree_follows_no_link_and_minds_no_mode(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    top = tmp_path / "top"
    (top / "inner").mkdir(parents=True)
    (top / "link").symlink_to(outside)
    (top / "inner" / "link").symlink_to(outside)
    (top / "closed").mkdir()
    (top / "closed" / "file").write_text("x")
    (top / "closed").chmod(0)
    remove_tree(str(top))
    remove_tree(str(top))
    assert not top.exists()
    assert (outside / "kept").read_text() == "x"


def test_measure_counts_bytes_on_disk_and_entries(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b").write_bytes(b"x" * 5_000)
    (tmp_path / "link").symlink_to("/usr")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    usage = measure(str(tmp_path))
    assert (usage.entries, usage.files, usage.depth) == (5, 4, 2)
    assert 15_000 <= usage.bytes < 40_000


def test_measure_stops_at_a_depth(tmp_path):
    os.makedirs(tmp_path.joinpath(*["d"] * 100))
    assert measure(str(tmp_path)).depth == folders.DEEPEST + 1


def test_leftovers_of_dead_hosts_are_removed_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    dead, living = SessionFolders(), SessionFolders()
    dead.forget()  # as when its process ends: the lock is gone, the folder is not
    third = SessionFolders()
    assert not os.path.exists(dead.path)
    assert os.path.exists(living.path)
    living.close()
    third.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["link", "foreign"])
def test_leftovers_that_are_not_ours_are_left_alone(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    trap = tmp_path / "metis-sandbox-trap"
    if kind == "link":
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "lock").write_text("")
        trap.symlink_to(tmp_path / "real")
    elif os.geteuid() == 0:
        trap.mkdir()
        (trap / "lock").write_text("")
        os.chown(trap, 12345, 12345)
    else:
        pytest.skip("only root can make a folder of another user")
    SessionFolders().close()
    assert trap.exists()


def test_a_mounted_place_belongs_to_one_session_at_a_time(tmp_path):
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    places = MountedFolders(str(tmp_path))
    first, second = places.take(), places.take()
    assert {os.path.dirname(path) for path in (first, second)} == {str(tmp_path / "1"), str(tmp_path / "2")}
    with pytest.raises(SandboxError, match="all file systems of this container are in use"):
        places.take()
    os.mkdir(first)
    places.give_back(first)
    places.give_back(first)  # as a session does that ends and is closed then
    assert not os.path.exists(first)
    third = places.take()
    assert (os.path.dirname(third), third != first) == (os.path.dirname(first), True)
    with pytest.raises(SandboxError):
        places.take()


def test_measure_knows_when_a_name_was_last_added_or_removed(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    before = measure(str(tmp_path)).changed_ns
    (tmp_path / "d" / "f").write_text("longer")
    assert measure(str(tmp_path)).changed_ns == before
    until = time.time_ns() + clock_tick_ns(str(tmp_path))
    while time.time_ns() <= until:
        pass
    (tmp_path / "d" / "f").unlink()
    assert measure(str(tmp_path)).changed_ns > before


def test_a_coarse_clock_of_files_is_noticed(tmp_path, monkeypatch):
    looked = os.stat

    def with_coarse_clock(path, **options):
        state = looked(path, **options)
        return SimpleNamespace(st_ctime_ns=state.st_ctime_ns // 10**10 * 10**10)

    monkeypatch.setattr(os, "stat", with_coarse_clock)
    assert clock_tick_ns(str(tmp_path)) > 10_000_000
    ticks = itertools.count()
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_ctime_ns=next(ticks)))
    assert clock_tick_ns(str(tmp_path)) == 0
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_gone_or_is_a_link_or_a_file_has_no_last_change(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to(tmp_path / "d")
    assert last_change_ns([str(tmp_path / "d")]) == (tmp_path / "d").stat().st_ctime_ns
    assert [last_change_ns([str(tmp_path / "d"), str(tmp_path / name)]) for name in "flx"] == [-1, -1, -1]
