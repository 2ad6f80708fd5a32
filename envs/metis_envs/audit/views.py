"""An own reading of the views of all answers, which shares no code with what draws them and resizes nothing."""

import numpy as np
from numpy.typing import NDArray

from metis_envs.families.blueprint import Blueprint
from metis_gym.records import ImageArray, Task

__all__ = ["block_sums", "views_hold"]

_INSIDE, _OUTSIDE = 4, 3
"""Answers that the right one is compared with, in its block and in others."""


def block_sums(source: ImageArray, view: ImageArray) -> NDArray[np.int64]:
    """The sum of the source's pixels behind each pixel of the view, added up one by one; shape as the view's."""
    side = source.shape[0] // view.shape[0]
    if (view.shape[0] * side, view.shape[1] * side) != source.shape[:2]:
        raise ValueError(f"a source of shape {source.shape} is no whole multiple of a view of shape {view.shape}")
    total = np.zeros(view.shape, dtype=np.int64)
    for down in range(side):
        for across in range(side):
            total += source[down::side, across::side]
    return total


def views_hold(task: Task, blueprint: Blueprint, gold: int, rng: np.random.Generator) -> str:
    """Are the views of a task's answers identical inside its block, and different from those outside it?

    Args:
        task: The task, as it is shown.
        blueprint: What it was drawn from.
        gold: Index of its answer.
        rng: Chooses the answers that are compared, where there are many.

    Returns:
        What is wrong; empty if nothing is.
    """
    block = blueprint.block(gold)
    shown = task.images[0]
    try:
        sums = block_sums(shown.source, shown.view)
    except ValueError as error:
        return str(error)
    cells = (shown.source.shape[0] // shown.view.shape[0]) ** 2
    if (np.abs(2 * (shown.view.astype(np.int64) * cells - sums)) > cells).any():
        return "the view is not the mean of the source's cells"
    order = [int(index) for index in rng.permutation(len(blueprint.answers)) if index != gold]
    inside = [index for index in order if index in block][:_INSIDE]
    outside = [index for index in order if index not in block][:_OUTSIDE]
    for index in (*inside, *outside):
        same = np.array_equal(sums, block_sums(blueprint.render(index), shown.view))
        if same is not (index in block):
            answers = f"{blueprint.answers[gold]!r} and {blueprint.answers[index]!r}"
            return f"the views of {answers} are {'the same' if same else 'different'}"
    return ""
