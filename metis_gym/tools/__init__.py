"""Tools: a contract and the tools that are shipped."""

from metis_gym.registries import Registry
from metis_gym.tools.contract import Tool, ToolSession, ToolSettings, tool_problems
from metis_gym.tools.simple import SimpleTool

__all__ = ["TOOLS", "SimpleTool", "Tool", "ToolSession", "ToolSettings"]

TOOLS: Registry[Tool] = Registry(
    "tool",
    {
        "image_search": "metis_gym.tools.image_search:ImageSearchTool",
        "python": "metis_gym.tools.python:PythonTool",
        "text_search": "metis_gym.tools.text_search:TextSearchTool",
    },
    group="tools",
    problems=tool_problems,
)
"""Tools by name; add one with `@TOOLS.register("name")`."""
