"""From a blueprint to the parts of a task: its image, its answers by name, its plans."""

from collections import Counter

from metis_envs.families.blueprint import Blueprint, Brief
from metis_envs.scenes.view import box_view
from metis_gym.grading.choice import LETTERS
from metis_gym.records import Box, ImageArray, Plan, TaskImage, ToolCall
from metis_gym.tools.crop_code import crop_call

__all__ = ["answer_names", "image_of", "look_at", "plans_of", "short_side"]

_CROP_SIDE = 640


def answer_names(blueprint: Blueprint, brief: Brief) -> tuple[str, ...]:
    """The possible answers as gold answers name them: letters for a choice."""
    return tuple(LETTERS[: len(blueprint.answers)]) if brief.choices else blueprint.answers


def plans_of(blueprint: Blueprint, solution: tuple[ToolCall, ...], blind_accuracy: float) -> tuple[Plan, ...]:
    """The ways to play: to answer at once, and those of the blueprint or its solution, which may be broken off.

    A chain that is broken off has shown a key at most, which tells nothing about the answer.
    """
    at_once = Plan(calls={}, accuracy=blind_accuracy)
    if not solution:
        return (at_once,)
    names = [call.name for call in solution]
    begun = [Plan(calls=Counter(names[:count]), accuracy=blind_accuracy) for count in range(1, len(names))]
    return (at_once, *(blueprint.plans or (*begun, Plan(calls=Counter(names), accuracy=1.0))))


def image_of(blueprint: Blueprint, brief: Brief, state: int, *, is_alone: bool = False) -> TaskImage:
    """The image of a state, and the view that a model is shown of it; the only one that is asked for, or not."""
    # A family of one's own may draw in a `render` of its own.
    is_own = type(blueprint).render is not Blueprint.render
    source = blueprint.render_alone(state) if is_alone and not is_own else blueprint.render(state)
    return TaskImage(source=_frozen(source), view=_frozen(box_view(source, brief.canvas.factor)))


def _frozen(image: ImageArray) -> ImageArray:
    image.flags.writeable = False
    return image


def short_side(long_side: int, aspect: float) -> int:
    """The shorter side of a view: in steps of 32 pixels, as vision models take them, where the view is large enough."""
    step = 32 if long_side >= 160 else 1
    exact = long_side / aspect if aspect > 1 else long_side * aspect
    return max(step, step * round(exact / step))


def look_at(region: Box) -> ToolCall:
    """The call that shows a region, with a little around it, at a size that is easy to read."""
    left, top, right, bottom = region
    scale = max(1, round(_CROP_SIDE / max(right - left, bottom - top)))
    size = ((right - left) * scale, (bottom - top) * scale)
    return crop_call(region, size)
