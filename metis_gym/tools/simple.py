"""A tool without a memory: one function of the task and of the call's arguments."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from metis_gym.images.transforms import fit
from metis_gym.records import ImageArray, Task, ToolResult, ToolStatus
from metis_gym.tools.contract import Tool, ToolSession

__all__ = ["SimpleTool"]


class SimpleTool(Tool):
    """The shortest way to a tool of your own: `name`, `description`, `schema` and `run`.

    Args:
        price: Price of one call.
    """

    @abstractmethod
    def run(self, task: Task, arguments: Mapping[str, Any]) -> ToolResult:
        """Run one call whose arguments fit the schema; return `self.result(…)` or `self.error(…)`.

        Raises:
            InfrastructureError: The tool broke, not the call: the episode will be unscored.
        """

    def result(
        self, output: str = "", *, images: Sequence[ImageArray] = (), captions: Sequence[str] = ()
    ) -> ToolResult:
        """What a call gave: text, and images of shape (height, width, 3), uint8, reduced if they are too large."""
        fitted = tuple(fit(image) for image in images)
        return ToolResult(name=self.name, status=ToolStatus.OK, output=output, images=fitted, captions=tuple(captions))

    def error(self, text: str) -> ToolResult:
        """The result of a call that failed by its own doing; `text` tells the model what was wrong."""
        return ToolResult(name=self.name, status=ToolStatus.ERROR, errors=text)

    def open(self, task: Task, *, seed: int) -> ToolSession:  # noqa: ARG002 — nothing here is random
        """A session that holds nothing but the task."""
        return _Calls(self, task)


class _Calls(ToolSession):
    def __init__(self, tool: SimpleTool, task: Task) -> None:
        self._tool, self._task = tool, task

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        return self._tool.run(self._task, arguments)
