"""Proofs of necessity, for every family, one's own included.

* *Required*: the views of all possible answers are equal to the bit (`views_differ` is empty). No model, however good,
  can then do better than guess without a tool.
* *None*: a reader that knows fonts and places, but sees a noisy, blurred and shifted view, picks the right answer
  (`read`). What survives that is comfortably legible.
* *The tool helps*: the same reader, shown the full-resolution crop of a required task, picks the right answer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from metis_envs.families.family import Blueprint, Brief
from metis_envs.scenes.view import box_view
from metis_gym.records import Box, ImageArray

__all__ = ["read", "views_differ"]

_NOISE = 24.0
_BLUR_RADIUS = 0.6
_MARGIN = 2
_SHIFTS = (-1, 0, 1)


def views_differ(blueprint: Blueprint, brief: Brief, answers: Sequence[int] | None = None) -> list[tuple[str, str]]:
    """Compare the views of a task's possible answers, bit by bit.

    Args:
        blueprint: The task before its answer is drawn.
        brief: What it was planned from.
        answers: Which answers, or states, to compare, by index; None for all answers, and all keys.

    Returns:
        The pairs (first answer, other answer) whose views differ; empty is the proof that a tool is required.
    """
    count = len(blueprint.answers)
    indices = [*range(count), *range(count, count * blueprint.keys, count)] if answers is None else list(answers)
    factor = brief.canvas.factor
    first = box_view(blueprint.render(indices[0]), factor)
    return [
        (blueprint.answers[blueprint.answer_of(indices[0])], blueprint.answers[blueprint.answer_of(other)])
        for other in indices[1:]
        if not np.array_equal(first, box_view(blueprint.render(other), factor))
    ]


def read(
    blueprint: Blueprint,
    brief: Brief,
    answer: int,
    rng: np.random.Generator,
    *,
    candidates: Sequence[int],
    full_resolution: bool = False,
) -> int:
    """Read a task's answer from a degraded image of its region.

    The image is shifted by up to one pixel, blurred and covered with noise of a standard deviation of 24 grey levels.
    The reader knows how the region would look for each candidate, and takes the nearest, over all shifts.

    Args:
        blueprint: The task before its answer is drawn.
        brief: What it was planned from.
        answer: Index of the right answer.
        rng: The degradation.
        candidates: Indices of the answers that the reader chooses from, the right one among them.
        full_resolution: Read the crop of the source instead of the view.

    Returns:
        Index of the answer that was read. Where nothing tells the candidates apart, one of them at random.
    """
    images = {
        index: _region(blueprint.render(index), blueprint.region, brief.canvas.factor, full_resolution)
        for index in candidates
    }
    shown = _degraded(images[answer], rng)
    distance = {index: _distance(shown, image) for index, image in images.items()}
    nearest = min(distance.values())
    equal = [index for index in candidates if distance[index] == nearest]
    return equal[int(rng.integers(len(equal)))]


def _region(source: ImageArray, region: Box, factor: int, full_resolution: bool) -> ImageArray:
    """The region and a little around it, in view pixels or in source pixels."""
    image, scale = (source, 1) if full_resolution else (box_view(source, factor), factor)
    left, top, right, bottom = (edge // scale for edge in region)
    return image[max(0, top - _MARGIN) : bottom + _MARGIN, max(0, left - _MARGIN) : right + _MARGIN]


def _degraded(image: ImageArray, rng: np.random.Generator) -> NDArray[np.float64]:
    shift_y, shift_x = (int(shift) for shift in rng.integers(-1, 2, size=2))
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS)), dtype=np.float64)
    shifted = np.roll(blurred, (shift_y, shift_x), axis=(0, 1))
    noisy: NDArray[np.float64] = shifted + rng.normal(0.0, _NOISE, shifted.shape)
    return noisy


def _distance(shown: NDArray[np.float64], image: ImageArray) -> float:
    """Mean squared difference at the best shift, without the edge that a shift wraps around."""
    plain = image.astype(np.float64)
    return min(
        float(np.mean((shown - np.roll(plain, (dy, dx), axis=(0, 1)))[1:-1, 1:-1] ** 2))
        for dy in _SHIFTS
        for dx in _SHIFTS
    )
