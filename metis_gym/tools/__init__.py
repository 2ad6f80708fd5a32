"""Tools: a contract and the tools that are shipped."""

from metis_gym.registries import Registry
from metis_gym.tools.base import Tool, ToolSession

__all__ = ["TOOLS", "Tool", "ToolSession"]

TOOLS: Registry[Tool] = Registry(
    "tool",
    {
        "python": "metis_gym.tools.python:PythonTool",
    },
)
"""Tools by name; add one with `@TOOLS.register("name")`."""
