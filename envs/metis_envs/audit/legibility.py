"""What an OCR program, Debian's or any other build of tesseract, reads of a task's small print.

Each of some possible answers is drawn plainly and read: these are the transcripts. A reading of the view, or of the
crop, is then taken for the answer whose transcript it resembles most. So the reader knows the quirks of the fonts, and
is asked only whether the print can be told apart.
"""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from PIL import Image

from metis_envs.audit.views import block_sums
from metis_envs.families.blueprint import Blueprint
from metis_gym.records import Box, ImageArray, Task

__all__ = ["Reading", "has_tesseract", "read_task"]

_COMPARED = 4
_MARGIN = 3
_MIN_SIDE, _MAX_SIDE = 90, 1_600
_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of one task: the share of the right answer among those whose transcripts fit best.

    Attributes:
        candidates: How many answers it was read as one of; 0 where they are drawn alike.
        plain: From the answer drawn plainly, in full resolution, framed otherwise than for its transcript.
        view: From the view; where the answer is hidden, from the views of all candidates, each in turn the right one.
        crop: From the source, as a tool shows it.
    """

    candidates: int
    plain: float = 0.0
    view: float = 0.0
    crop: float = 0.0


@functools.cache
def has_tesseract() -> bool:
    """Whether the OCR program is installed."""
    return shutil.which("tesseract") is not None


def read_task(task: Task, blueprint: Blueprint, state: int, rng: np.random.Generator) -> Reading:
    """Read a task's print: plainly drawn, in its view and in its source."""
    states = [state, *_others(blueprint, state, rng)[: _COMPARED - 1]]
    drawn = _plain_drawings(blueprint, states)
    if len({image.tobytes() for image in drawn}) < len(drawn) or len(drawn) < 2:
        return Reading(candidates=0)
    box, factor = blueprint.focus or blueprint.region, blueprint.factor
    image = task.images[0]
    views = _views(task, blueprint, states)
    transcripts = [_framed(scene, box, factor * _MARGIN, 2.0) for scene in drawn]
    shown = [
        _framed(drawn[0], box, factor * (_MARGIN + 1), 2.4),
        _framed(image.source, box, factor * _MARGIN, 2.0),
        *(_framed(view, _scaled(box, factor), _MARGIN, 2.0 * factor) for view in views),
    ]
    read = _tesseract([*transcripts, *shown])
    known, (plain, crop, *seen) = read[: len(states)], read[len(states) :]
    in_views = [_fit(text, known, place) for place, text in enumerate(seen * len(states) if len(seen) == 1 else seen)]
    is_hidden = len(blueprint.block(state)) > 1
    return Reading(
        candidates=len(states),
        plain=_fit(plain, known, 0),
        view=sum(in_views) / len(in_views) if is_hidden else in_views[0],
        crop=_fit(crop, known, 0),
    )


def _views(task: Task, blueprint: Blueprint, states: Sequence[int]) -> list[ImageArray]:
    """The view; where the answer is hidden, that of each state, or one if they are the same.

    Read in turn as the view of each state, equal views come to exactly chance, not to chance give or take luck.
    """
    view = task.images[0].view
    if len(blueprint.block(states[0])) == 1:
        return [view]
    cells = (task.images[0].source.shape[0] // view.shape[0]) ** 2
    others = [block_sums(blueprint.render(state), view) // cells for state in states]
    if all(np.array_equal(other, others[0]) for other in others):
        return [view]
    return [other.astype(np.uint8) for other in others]


def _others(blueprint: Blueprint, state: int, rng: np.random.Generator) -> list[int]:
    """The other states that are drawn differently: those of its block, or where there are none the other answers."""
    count = len(blueprint.answers)
    first = state - blueprint.answer_of(state)
    drawn = blueprint.seen(state) if len(blueprint.block(state)) > 1 else range(first, first + count)
    return [int(other) for other in rng.permutation([other for other in drawn if other != state])]


def _plain_drawings(blueprint: Blueprint, states: Sequence[int]) -> list[ImageArray]:
    scene = blueprint.paint()
    drawn = []
    for state in states:
        copy = scene.copy()
        blueprint.draw_detail(copy, state)
        drawn.append(copy)
    return drawn


def _scaled(box: Box, factor: int) -> Box:
    left, top, right, bottom = box
    return left // factor, top // factor, -(-right // factor), -(-bottom // factor)


def _framed(image: ImageArray, box: Box, margin: int, scale: float) -> Image.Image:
    """The box and a little around it, enlarged, as far as its size allows."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    part = image[
        max(0, top - margin) : min(height, bottom + margin), max(0, left - margin) : min(width, right + margin)
    ]
    scale = min(scale, _MAX_SIDE / max(part.shape[:2]))
    scale = max(scale, _MIN_SIDE / min(part.shape[:2]))
    size = (round(part.shape[1] * scale), round(part.shape[0] * scale))
    return Image.fromarray(part).convert("L").resize(size, Image.Resampling.BICUBIC)


def _tesseract(images: Sequence[Image.Image]) -> list[str]:
    """The texts of some images, read by one process: letters and digits in lower case, without blanks."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, image in enumerate(images):
            names.append(str(Path(folder, f"{number}.pgm")))
            image.save(names[-1])
        listed = Path(folder, "images.txt")
        listed.write_text("\n".join(names) + "\n")
        done = subprocess.run(
            ["tesseract", str(listed), "-", "--psm", "6"],
            capture_output=True,
            check=True,
            timeout=_SECONDS,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
    pages = done.stdout.decode("utf-8", "replace").split("\f")[: len(images)]
    return ["".join(letter for letter in page.casefold() if not letter.isspace()) for page in pages]


def _fit(text: str, transcripts: Sequence[str], right: int) -> float:
    """The share of the right transcript among those that the text resembles most."""
    alike = [SequenceMatcher(None, text, other, autojunk=False).ratio() for other in transcripts]
    best = [place for place, ratio in enumerate(alike) if ratio >= max(alike) - 1e-12]
    return (right in best) / len(best)
