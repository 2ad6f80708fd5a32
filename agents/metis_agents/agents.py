"""Agents by name: scripted ones, policies and models from files, and everybody's own."""

from pathlib import Path

from metis_agents.agent import Agent, BatchAgent
from metis_gym.registries import Registry, parse_spec

__all__ = ["AGENTS", "make_agent"]

AGENTS: "Registry[Agent | BatchAgent]" = Registry(
    "agent",
    {
        "always-tool": "metis_agents.scripted:AlwaysToolAgent",
        "never-tool": "metis_agents.scripted:NeverToolAgent",
        "oracle": "metis_agents.scripted:OracleAgent",
        "qwen3vl": "metis_agents.qwen3vl.agent:Qwen3VLAgent",
        "random": "metis_agents.scripted:RandomAgent",
        "sb3": "metis_agents.sb3.agent:load_agent",
    },
)
"""Agents by name; add one with `@AGENTS.register("name")`."""


def make_agent(spec: str) -> Agent | BatchAgent:
    """Make an agent.

    Args:
        spec: A name with parameters (`"random:call_probability=0.2"`, `"qwen3vl:model=runs/tiny"`), or the path of a
            finished run of `metis-gym train` or of a `policy.zip`.

    Raises:
        UnknownNameError: No such name; the message suggests the nearest.
        ConfigError: The agent cannot be made.
    """
    if spec.endswith(".zip"):
        return AGENTS.create("sb3", path=spec)
    if Path(spec).is_dir():
        return AGENTS.create("qwen3vl", model=spec)
    name, parameters = parse_spec(spec)
    return AGENTS.create(name, **parameters)
