"""A policy plays episodes of the test split; or answers only, to see what it knows without a tool."""

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy

from metis_agents.sb3.group_env import GroupVecEnv
from metis_agents.sb3.rollouts import ActionSampler, PolicyAdapter, Seen, action_logprobs, draw, play_round
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["play"]

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
        policy: Who plays. Actions are drawn from it, as in training, not the likeliest taken.
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
    if tasks < 1 or episodes_per_task < 1:
        raise ConfigError(f"tasks and episodes_per_task must be at least 1, actually: {tasks}, {episodes_per_task}")
    kwargs = {"split": "test", **make_kwargs}
    at_once = min(tasks, _TASKS_AT_ONCE)
    env = GroupVecEnv(env_id, tasks=at_once, group_size=episodes_per_task, seed=seed, **kwargs)
    sample = _answers(policy, env) if answers_only else PolicyAdapter(policy).sample
    outcomes: list[Outcome] = []
    with contextlib.closing(env):
        for number in range(-(-tasks // at_once)):
            rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
            groups = play_round(env, number, sample, rng, lambda _: None)
            outcomes += [rollout.outcome for group in groups for rollout in group]
    return tuple(outcomes[: tasks * episodes_per_task])


def _answers(policy: ActorCriticPolicy, env: GroupVecEnv) -> ActionSampler:
    """Draws among the answers."""
    choices = int(env.get_attr("choices", 0)[0])

    def sample(seen: Seen, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int64]:
        policy.set_training_mode(False)
        logprobs = action_logprobs(policy, seen.of(rows)).detach().cpu().numpy()[:, :choices]
        return draw(logprobs, rng)

    return sample
