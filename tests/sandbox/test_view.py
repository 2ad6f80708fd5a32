"""The allow-list: what is shown and what is not, worked out on made-up trees and on this machine."""

import os
import sysconfig
from pathlib import Path

import numpy
import pytest

import metis_gym
from metis_gym.errors import MissingDependencyError
from metis_gym.sandbox import view as module
from metis_gym.sandbox.inside.namespaces import kept_names
from metis_gym.sandbox.view import View, build_view


@pytest.fixture(scope="module")
def view():
    return build_view()


def tree(root, *files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)


def test_the_nearest_rule_decides():
    view = View(rules={"/a": True, "/a/b": False, "/a/b/c": True})
    shown = ("/a", "/a/x", "/a/b/c", "/a/b/c/y")
    hidden = ("/", "/x", "/a/b", "/a/b/z", "/ab")
    assert all(view.shows(path) for path in shown)
    assert not any(view.shows(path) for path in hidden)


def test_binds_and_covers_leave_out_what_changes_nothing():
    view = View(rules={"/a": True, "/a/b": True, "/a/c": False, "/a/c/d": True, "/x": False, "/x/y": True})
    assert view.binds() == ("/a", "/a/c/d", "/x/y")
    assert view.covers() == ("/a/c",)


def test_readable_spells_a_view_out(tmp_path):
    tree(tmp_path, "lib/a.py", "lib/pkg/m.py", "lib/site/secret.py", "lib/site/numpy/n.py", "lib/site/x/y.py")
    (tmp_path / "lib/link").symlink_to(tmp_path / "lib/site")
    base = str(tmp_path)
    view = View(rules={f"{base}/lib": True, f"{base}/lib/site": False, f"{base}/lib/site/numpy": True})
    assert [path.removeprefix(base) for path in view.readable()] == ["/lib/a.py", "/lib/pkg", "/lib/site/numpy"]
    assert view.listable() == (f"{base}/lib",)


def test_links_on_the_way_are_followed_and_kept(tmp_path):
    tree(tmp_path, "real/deep/file")
    (tmp_path / "first").symlink_to("real")
    (tmp_path / "second").symlink_to(tmp_path / "first" / "deep")
    rules, links = {}, {}
    real = os.path.realpath(tmp_path)
    assert module._show(f"{real}/second/file", rules, links) == f"{real}/real/deep/file"
    assert rules == {f"{real}/real/deep/file": True}
    assert links == {f"{real}/second": f"{tmp_path}/first/deep", f"{real}/first": "real"}


def test_required_libraries_are_shown(view):
    for path in (os.__file__, numpy.__file__, sysconfig.get_path("stdlib") + "/lib-dynload"):
        assert view.shows(os.path.realpath(path))


def test_the_project_and_its_neighbours_are_not(view):
    assert not view.shows(os.path.dirname(os.path.realpath(metis_gym.__file__)))
    for name in ("purelib", "platlib"):
        site = os.path.realpath(sysconfig.get_path(name))
        assert not view.shows(site)
        for other in ("pip", "pytest", "gymnasium", "metis_gym", "requests"):
            assert not view.shows(f"{site}/{other}")


def test_photographs_of_the_tasks_are_not_shown_but_their_code_is(view):
    skimage = pytest.importorskip("skimage")
    data = Path(os.path.realpath(skimage.__file__)).parent / "data"
    assert not view.shows(str(data / "astronaut.png"))
    assert view.shows(str(data / "__init__.py"))
    assert view.shows(str(data.parent / "filters"))
    for path in view.readable():
        assert not path.endswith((".png", ".jpg"))
        assert not str(data / "astronaut.png").startswith(path + "/")


def test_a_missing_library_names_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(module, "_locate", lambda _: None)
    with pytest.raises(MissingDependencyError, match="pip install numpy"):
        build_view()


def test_what_lies_in_a_covered_folder_is_kept():
    kept = kept_names(("/tmp/v/lib/a", "/tmp/v/lib/b", "/tmp/w", "/sandboxes/x", "/usr/lib"))
    assert kept == {"/sandbox": [], "/tmp": ["v", "w"]}
