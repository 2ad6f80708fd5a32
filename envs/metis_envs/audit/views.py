"""An own reading of the views of all answers, which shares no code with what draws them and resizes nothing."""

import numpy as np
from numpy.typing import NDArray

from metis_envs.families.blueprint import Blueprint
from metis_gym.records import ImageArray, Necessity, Task

__all__ = ["block_sums", "views_hold"]

_INSIDE, _OUTSIDE = 4, 3
"""Answers that the right one is compared with, in its block and in others."""


def block_sums(source: ImageArray, view: ImageArray) -> NDArray[np.int64]:
    """The sum of the source's pixels behind each pixel of the view, added up one by one; shape as the view's."""
    side = source.shape[0] // view.shape[0]
    if (view.shape[0] * side, view.shape[1] * side) != source.shape[:2]:
        raise ValueError(f"a source of shape {source.shape} is no whole multiple of a view of shape {view.shape}")
    rows = np.add.reduceat(source, np.arange(0, source.shape[0], side), axis=0, dtype=np.int32)
    return np.add.reduceat(rows, np.arange(0, source.shape[1], side), axis=1, dtype=np.int64)


def views_hold(task: Task, blueprint: Blueprint, state: int, rng: np.random.Generator) -> str:
    """Whether the views of a task's states are identical inside its block and differ from those of other answers.

    Args:
        task: The task, as it is shown.
        blueprint: What it was drawn from.
        state: Its answer, with its key if it has keys.
        rng: Chooses the states that are compared, where there are many.

    Returns:
        What is wrong; empty if nothing is.
    """
    count, left = len(blueprint.answers), blueprint.left(state)
    wanted = {Necessity.NONE: 1, Necessity.REQUIRED: count}.get(task.necessity)
    if wanted is not None and len(left) != wanted:
        return f"a task whose necessity is {task.necessity.value} leaves {len(left)} of {count} answers"
    shown = task.images[0]
    try:
        sums = block_sums(shown.source, shown.view)
    except ValueError as error:
        return str(error)
    if not _is_mean(shown.view, sums, (shown.source.shape[0] // shown.view.shape[0]) ** 2):
        return "the view is not the mean of the source's cells"
    block = set(blueprint.block(state))
    order = [int(other) for other in rng.permutation(count * blueprint.keys) if other != state]
    inside = [other for other in order if other in block][:_INSIDE]
    outside = [other for other in order if blueprint.answer_of(other) not in left][:_OUTSIDE]
    for other in (*inside, *outside):
        same = np.array_equal(sums, block_sums(blueprint.render(other), shown.view))
        if same is not (other in block):
            answers = " and ".join(repr(blueprint.answers[blueprint.answer_of(one)]) for one in (state, other))
            return f"the views of {answers} are {'the same' if same else 'different'}"
    return ""


def _is_mean(view: ImageArray, sums: NDArray[np.int64], cells: int) -> bool:
    """Whether each pixel is within a grey level of its cell's mean, and the same wherever the sum is."""
    if (np.abs(view.astype(np.int64) * cells - sums) >= cells).any():
        return False
    shown = np.zeros(255 * cells + 1, dtype=view.dtype)
    shown[sums] = view  # of pixels with the same sum, one stays
    return bool((shown[sums] == view).all())
