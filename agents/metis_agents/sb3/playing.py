"""A policy plays episodes of the test split; and answers only, to see what it knows without a tool."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy

from metis_agents.sb3.group_env import GroupVecEnv
from metis_agents.sb3.rollouts import ActionSampler, PolicyAdapter, Seen, action_logprobs, draw, play_round
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["play", "play_with_and_without"]

_TASKS_AT_ONCE = 32


def play(
    policy: ActorCriticPolicy,
    env_id: str = "MetisVQA-Discrete-v0",
    *,
    tasks: int = 256,
    episodes_per_task: int = 4,
    seed: int = 0,
    answers_only: bool = False,
    **make_kwargs: Any,
) -> tuple[Outcome, ...]:
    """Sample episodes with a policy.

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
    return _play([(policy, answers_only)], env_id, tasks, episodes_per_task, seed, make_kwargs)[0]


def play_with_and_without(
    policies: Sequence[ActorCriticPolicy],
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
    players = [(policy, only) for policy in policies for only in (False, True)]
    played = _play(players, env_id, tasks, episodes_per_task, seed, make_kwargs)
    return list(zip(played[::2], played[1::2], strict=True))


def _play(
    players: Sequence[tuple[ActorCriticPolicy, bool]],
    env_id: str,
    tasks: int,
    episodes_per_task: int,
    seed: int,
    make_kwargs: dict[str, Any],
) -> list[tuple[Outcome, ...]]:
    """Let each player, a policy and whether it may only answer, play the same tasks with the same random numbers."""
    if tasks < 1 or episodes_per_task < 1:
        raise ConfigError(f"tasks and episodes_per_task must be at least 1, actually: {tasks}, {episodes_per_task}")
    at_once = min(tasks, _TASKS_AT_ONCE)
    kwargs = {"split": "test", **make_kwargs}
    env = GroupVecEnv(env_id, tasks=at_once, group_size=episodes_per_task, seed=seed, **kwargs)
    choices = int(env.get_attr("choices", 0)[0])
    samplers = [_answers(policy, choices) if only else PolicyAdapter(policy).sample for policy, only in players]
    played: list[list[Outcome]] = [[] for _ in samplers]
    with contextlib.closing(env):
        for number in range(-(-tasks // at_once)):
            for sample, outcomes in zip(samplers, played, strict=True):
                rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
                groups = play_round(env, number, sample, rng, lambda _: None)
                outcomes += [rollout.outcome for group in groups for rollout in group]
    return [tuple(outcomes[: tasks * episodes_per_task]) for outcomes in played]


def _answers(policy: ActorCriticPolicy, choices: int) -> ActionSampler:
    """Draws among the answers: the actions before the crops."""

    def sample(seen: Seen, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int64]:
        policy.set_training_mode(False)
        logprobs = action_logprobs(policy, seen.of(rows)).detach().cpu().numpy()
        return draw(logprobs[:, :choices], rng)

    return sample
