"""A policy plays episodes of the test split; and answers only, to see what it knows without a tool."""

from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.policies import BasePolicy

from metis_agents import play as player
from metis_agents.sb3.agent import PolicyAgent
from metis_gym.records import Outcome

__all__ = ["play", "play_with_and_without"]


def play(
    policy: BasePolicy,
    env_id: str = "MetisVQA-Discrete-v0",
    *,
    tasks: int = 256,
    episodes_per_task: int = 4,
    seed: int = 0,
    answers_only: bool = False,
    **make_kwargs: Any,
) -> tuple[Outcome, ...]:
    """Sample episodes with a policy: `metis_agents.play.play` of a `PolicyAgent`.

    Args:
        policy: Who plays. Actions are drawn from it, as in training; the likeliest is not preferred.
        env_id: The numeric environment.
        tasks: How many tasks; the same seed gives the same ones.
        episodes_per_task: Episodes of each.
        seed: Of tasks and actions.
        answers_only: Switch the tools off: actions are drawn among the answers.
        **make_kwargs: For `gymnasium.make`; the split is "test" unless they say otherwise.

    Returns:
        The outcomes, those of a task one after the other.

    Raises:
        ConfigError: There is nothing to play.
    """
    agent = PolicyAgent(policy, answers_only=answers_only)
    return player.play(agent, env_id, tasks=tasks, episodes_per_task=episodes_per_task, seed=seed, **make_kwargs)


def play_with_and_without(
    policies: Sequence[BasePolicy],
    env_id: str = "MetisVQA-Discrete-v0",
    *,
    tasks: int = 256,
    episodes_per_task: int = 4,
    seed: int = 0,
    **make_kwargs: Any,
) -> list[tuple[tuple[Outcome, ...], tuple[Outcome, ...]]]:
    """`play` and `play(answers_only=True)` of several policies on the same tasks, each drawn once.

    Returns:
        For each policy its outcomes with tools, and without.
    """
    agents = [PolicyAgent(policy, answers_only=only) for policy in policies for only in (False, True)]
    played = player.play_together(
        agents, env_id, tasks=tasks, episodes_per_task=episodes_per_task, seed=seed, **make_kwargs
    )
    return list(zip(played[::2], played[1::2], strict=True))
