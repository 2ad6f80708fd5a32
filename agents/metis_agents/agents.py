"""Agents by name: scripted ones, policies and models from files, and everybody's own."""

from pathlib import Path

from metis_agents.agent import Agent, BatchAgent
from metis_gym.agents import AGENTS
from metis_gym.errors import ConfigError
from metis_gym.specs import parse_spec

__all__ = ["AGENTS", "make_agent"]


def make_agent(spec: str) -> Agent | BatchAgent:
    """Make an agent.

    Args:
        spec: A name with parameters (`"random:call_probability=0.2"`, `"my_pkg:Agent"`), or the path of a finished run
            of `metis-gym train` or of a `policy.zip`.

    Raises:
        UnknownNameError: No such name; the message suggests the nearest.
        ConfigError: The agent cannot be made.
    """
    agent: Agent | BatchAgent
    if spec.endswith(".zip") and "=" not in spec:
        agent = AGENTS.create("sb3", path=spec)
    elif Path(spec).is_dir():
        agent = AGENTS.create("qwen3vl", model=spec)
    else:
        if "api_key" in parse_spec(spec)[1]:  # shells, process lists and logs keep what stands in a command
            raise ConfigError("a key does not stand in a spec: name its environment variable with api_key_env")
        agent = AGENTS.make(spec)
    return agent
