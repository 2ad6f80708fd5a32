"""A tool with a parameter of its own: `tools=("zoom:factor=4",)`."""

from collections.abc import Mapping
from typing import Any

from metis_gym.records import Task, ToolResult
from metis_gym.tools import SimpleTool


class Zoom(SimpleTool):
    """Cuts the surroundings of a point out of the first image, enlarged."""

    name = "zoom"
    description = "Returns the surroundings of a point of image_1, enlarged. x and y go from 0 to 1."
    schema = {
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
        "required": ["x", "y"],
    }

    def __init__(self, *, factor: int = 2, price: float = 1.0) -> None:
        super().__init__(price=price)
        self.factor = factor

    def run(self, task: Task, arguments: Mapping[str, Any]) -> ToolResult:
        """Cut one `factor`-th of each side around the point."""
        if not 0 <= arguments["x"] <= 1 or not 0 <= arguments["y"] <= 1:
            return self.error("x and y go from 0 to 1.")
        source = task.images[0].source
        height, width = source.shape[0] // self.factor, source.shape[1] // self.factor
        top = int(arguments["y"] * (source.shape[0] - height))
        left = int(arguments["x"] * (source.shape[1] - width))
        return self.result(images=[source[top : top + height, left : left + width]])
