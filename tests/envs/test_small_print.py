"""A real OCR program reads small print in the crop and not in the view, and large print in the view."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from metis_gym.tasksets import make_taskset

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
]

FAMILIES = ("charts", "sums", "geometry", "wordmaths")
TASKS = 20


def words(image, folder, scale):
    path = folder / "image.png"
    Image.fromarray(image).resize((image.shape[1] * scale, image.shape[0] * scale), Image.Resampling.BICUBIC).save(path)
    done = subprocess.run(["tesseract", str(path), "-", "--psm", "6"], capture_output=True, text=True, check=True)
    return re.findall(r"\w+", done.stdout.casefold())


def share_read(name, folder, *, required, crop):
    """How much of what the answer decides is read: the share of its words and numbers."""
    kind = make_taskset(name, split="train", view_size=448, options={"required_share": float(required)})
    shares = []
    for seed in range(TASKS):
        blueprint, brief = kind.blueprint(seed)
        index = kind.answer_index(seed, len(blueprint.answers))
        owner = blueprint.draw_detail.__self__
        sheet_box = (
            owner.box if hasattr(owner, "chart") else owner.sheet.cells(0, 0, owner.sheet.width, owner.sheet.height)
        )
        task = kind.build(kind.task_id(seed))
        printed = (
            owner.chart.names[index] if hasattr(owner, "chart") else [p.text for p in owner.content.varying[index]]
        )
        wanted = re.findall(r"\w+", " ".join(printed).casefold())
        image, factor = (task.images[0].source, 1) if crop else (task.images[0].view, brief.canvas.factor)
        left, top, right, bottom = (edge // factor for edge in sheet_box)
        read = words(
            np.ascontiguousarray(image[top:bottom, left:right]), folder, 3 if not crop or brief.canvas.factor < 6 else 2
        )
        shares.append(np.mean([word in read for word in wanted]))
    return float(np.mean(shares))


@pytest.mark.parametrize("name", FAMILIES)
def test_large_print_is_read_in_the_view(name, tmp_path):
    assert share_read(name, tmp_path, required=False, crop=False) >= 0.9


@pytest.mark.parametrize("name", FAMILIES)
def test_small_print_is_read_in_the_crop_and_not_in_the_view(name, tmp_path):
    assert share_read(name, tmp_path, required=True, crop=True) >= 0.9
    assert share_read(name, tmp_path, required=True, crop=False) <= 0.1
