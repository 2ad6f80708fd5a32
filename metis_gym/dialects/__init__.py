"""What models write and read: one dialect for each system of the field."""

from metis_gym.dialects.contract import Dialect, Limits, ParsedTurn, ToolSpec, dialect_problems
from metis_gym.registries import Registry

__all__ = ["DIALECTS", "Dialect", "Limits", "ParsedTurn", "ToolSpec"]

DIALECTS: Registry[Dialect] = Registry(
    "dialect",
    {
        "metis": "metis_gym.dialects.metis:MetisDialect",
        "native": "metis_gym.dialects.native:NativeDialect",
        "plain": "metis_gym.dialects.plain:PlainDialect",
        "qwen": "metis_gym.dialects.qwen:QwenDialect",
    },
    group="dialects",
    problems=dialect_problems,
)
"""Dialects by name; add one with `@DIALECTS.register("name")`."""
