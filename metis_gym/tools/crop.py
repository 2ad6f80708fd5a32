"""The numeric view's tool: a crop by trusted host code, charged as a `python` call.

Policies with a discrete action space write no code, so none needs a sandbox.
"""

import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

from metis_gym.records import Box, ImageArray, Task, TaskImage, ToolResult, ToolStatus
from metis_gym.tools.contract import Tool, ToolSession

__all__ = ["CropTool"]


class CropTool(Tool):
    """Cuts a box out of the first source image. Its name is `python`: it stands for that call and has its price."""

    name: ClassVar[str] = "python"
    description: ClassVar[str] = "Returns the box (left, top, right, bottom) of image_1, in pixels of the full image."
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"box": {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}},
        "required": ["box"],
    }

    def open(self, task: Task, *, seed: int) -> "CropSession":  # noqa: ARG002
        """A session on the task's first image."""
        return CropSession(task)


_crops: weakref.WeakKeyDictionary[TaskImage, dict[Box, ImageArray]] = weakref.WeakKeyDictionary()
"""What was cut out of images that are still in use: the episodes of a group mostly crop the same cells."""


class CropSession(ToolSession):
    """One episode's crops. The same box of the same image is the same array, which cannot be written."""

    def __init__(self, task: Task) -> None:
        self._image = task.images[0]

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Cut the box; one that misses the image is the caller's error."""
        if len(arguments["box"]) != 4:
            problem = f"A box is (left, top, right, bottom), not {len(arguments['box'])} numbers."
            return ToolResult(name="python", status=ToolStatus.ERROR, errors=problem)
        left, top, right, bottom = arguments["box"]
        box = max(left, 0), max(top, 0), max(right, 0), max(bottom, 0)
        crop = self._cut(box)
        if crop.size == 0:
            height, width = self._image.source.shape[:2]
            problem = f"The box {arguments['box']} holds no pixel of the {width} x {height} image."
            return ToolResult(name="python", status=ToolStatus.ERROR, errors=problem)
        return ToolResult(name="python", status=ToolStatus.OK, images=(crop,))

    def _cut(self, box: Box) -> ImageArray:
        known = _crops.setdefault(self._image, {})
        if box not in known:
            left, top, right, bottom = box
            known[box] = self._image.source[top:bottom, left:right].copy()
            known[box].setflags(write=False)
        return known[box]
