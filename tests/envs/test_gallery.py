"""Contact sheets."""

import numpy as np
import pytest
from PIL import Image

from metis_envs.gallery import contact_sheet, examples
from metis_gym.cli import main
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity


def test_examples_are_of_each_necessity():
    tasks = examples("patches:max_source=1792", each=2)
    assert [task.necessity for task in tasks] == [Necessity.NONE] * 2 + [Necessity.REQUIRED] * 2
    assert {task.necessity for task in examples("sums:required_share=0")} == {Necessity.NONE}
    with pytest.raises(ConfigError, match="at least 1"):
        examples("sums", each=0)


def test_a_sheet_shows_view_and_crop():
    task = examples("patches:max_source=1792")[0]
    sheet = contact_sheet([task], columns=1)
    view = task.images[0].view
    windows = [sheet[y : y + view.shape[0], 16 : 16 + view.shape[1]] for y in range(30, 45)]
    assert any(np.array_equal(window, view) for window in windows), "the view is there, pixel by pixel"
    assert contact_sheet([task] * 3, columns=2).shape == (2 * sheet.shape[0], 2 * sheet.shape[1], 3)


def test_the_command(tmp_path, capsys):
    signs = "signs:max_source=1792,required_share=0"
    assert main(["gallery", signs, "--out", str(tmp_path / "new"), "--each", "1"]) == 0
    path = capsys.readouterr().out.strip()
    with Image.open(path) as sheet:
        assert sheet.width > 900
    assert main(["gallery", "sigms", "--out", str(tmp_path)]) == 2
    assert "Did you mean 'signs'" in capsys.readouterr().err


def test_every_spec_has_a_sheet_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("metis_envs.gallery.contact_sheet", lambda tasks: np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr("metis_envs.gallery.examples", lambda *_, **__: [])
    specs = ["sums", "sums:answers=open", "sums:answers=choice", "my_pkg.tasks:One", "my_pkg.tasks:Two", 'x:path="a/b"']
    assert main(["gallery", *specs, "--out", str(tmp_path)]) == 0
    written = capsys.readouterr().out.split()
    assert len(set(written)) == len(specs)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.rpartition("/")[2] for path in written)
    assert (tmp_path / "sums.png").exists()
