"""Tools: a contract and the tools that are shipped."""

from metis_gym.registries import Registry
from metis_gym.tools.base import Tool, ToolSession, ToolSettings

__all__ = ["TOOLS", "Tool", "ToolSession", "ToolSettings"]

TOOLS: Registry[Tool] = Registry(
    "tool",
    {
        "image_search": "metis_gym.tools.image_search:ImageSearchTool",
        "python": "metis_gym.tools.python:PythonTool",
        "text_search": "metis_gym.tools.text_search:TextSearchTool",
    },
)
"""Tools by name; add one with `@TOOLS.register("name")`."""
