"""Agents by name: who plays the episodes of an evaluation. What an agent is says `metis_agents.agent`.

The names stand in the core, so that commands list and find them without importing torch.
"""

from typing import Any

from metis_gym.registries import Registry, lacking

__all__ = ["AGENTS"]

AGENTS: Registry[Any] = Registry(
    "agent",
    {
        "always-tool": "metis_agents.scripted:AlwaysToolAgent",
        "hf": "metis_agents.chat.hf:HubAgent",
        "last-result": "metis_agents.ideal:LastResultAgent",
        "never-tool": "metis_agents.scripted:NeverToolAgent",
        "opaque": "metis_agents.chat.opaque:OpaqueAgent",
        "openai": "metis_agents.chat.endpoint:EndpointAgent",
        "optimal": "metis_agents.ideal:OptimalAgent",
        "oracle": "metis_agents.scripted:OracleAgent",
        "qwen3vl": "metis_agents.qwen3vl.agent:Qwen3VLAgent",
        "random": "metis_agents.scripted:RandomAgent",
        "sb3": "metis_agents.sb3.agent:load_agent",
    },
    group="agents",
    problems=lambda made: lacking(made, ("play",) if hasattr(made, "play") else ("reset", "act"), ("name",)),
)
"""Agents by name; add one with `@AGENTS.register("name")`."""
