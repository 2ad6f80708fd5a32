"""What models write and read: one dialect for each system of the field."""

from metis_gym.dialects.contract import Dialect, Limits, ParsedTurn, ToolSpec, dialect_problems
from metis_gym.registries import Registry

__all__ = ["DIALECTS", "Dialect", "Limits", "ParsedTurn", "ToolSpec"]

DIALECTS: Registry[Dialect] = Registry(
    "dialect",
    {
        "deepeyes_v2": "metis_gym.dialects.deepeyes_v2:DeepEyesV2Dialect",
        "metis": "metis_gym.dialects.metis:MetisDialect",
        "native": "metis_gym.dialects.native:NativeDialect",
        "plain": "metis_gym.dialects.plain:PlainDialect",
        "qwen": "metis_gym.dialects.qwen:QwenDialect",
        "skywork_r1v4": "metis_gym.dialects.skywork_r1v4:SkyworkR1V4Dialect",
        "thyme": "metis_gym.dialects.thyme:ThymeDialect",
    },
    group="dialects",
    problems=dialect_problems,
)
"""Dialects by name; add one with `@DIALECTS.register("name")`."""
