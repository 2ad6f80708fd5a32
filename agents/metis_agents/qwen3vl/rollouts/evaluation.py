"""Evaluation while training: the policy plays tasks of the test split; the first few episodes are recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from metis_agents.qwen3vl.rollouts.collector import episode_seed
from metis_agents.qwen3vl.rollouts.rollout import RolloutPlan
from metis_agents.qwen3vl.rollouts.worker import RolloutWorker
from metis_agents.rl import Ranks
from metis_gym.records import Outcome
from metis_gym.wrappers import Recorder

__all__ = ["play_tasks"]

_TASKS, _EPISODES = 1, 2


def play_tasks(
    player: RolloutWorker,
    *,
    episodes: int,
    seed: int,
    is_greedy: bool = False,
    ranks: Ranks | None = None,
    samples: Path | None = None,
    sampled: int = 4,
    heard: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Play one episode of each of so many tasks; the same seed, the same tasks.

    Args:
        player: Plays them.
        episodes: How many, over all ranks.
        seed: Of the tasks and of the episodes.
        is_greedy: Take the likeliest tokens instead of sampling.
        ranks: Who shares the work.
        samples: Where the first episodes are recorded, each in a folder of its own, images included.
        sampled: How many are.
        heard: Called with 1 whenever an episode of this rank is over.

    Returns:
        The outcomes in the order of tasks, on every rank.
    """
    ranks = ranks or Ranks()
    rng = np.random.default_rng([seed, _TASKS])
    task_ids = [player.taskset.draw(rng) for _ in range(episodes)]
    mine = range(ranks.rank, episodes, ranks.size)
    jobs = [
        RolloutPlan(
            task_id=task_ids[number],
            seed=episode_seed(seed, _EPISODES, number),
            is_greedy=is_greedy,
            watch=_recorder(samples / f"{number:03d}") if samples is not None and number < sampled else None,
        )
        for number in mine
    ]
    player.engine.refresh()
    played = {}
    for place, rollout in player.rollouts(jobs):
        played[mine[place]] = rollout.outcome
        heard(1)
    everyone = {number: outcome for part in ranks.gather(played) for number, outcome in part.items()}
    return [everyone[number] for number in range(episodes)]


def _recorder(folder: Path) -> Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]:
    return lambda env: Recorder(env, folder)
