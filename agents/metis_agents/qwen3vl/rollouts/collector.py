"""The collector of the shared trainer: draws tasks, plays their groups, and remembers where it is.

All ranks draw the same tasks in the same order, and each plays its own part of them: two ranks with P tasks each play
what one rank with 2P would. Everything random in an episode follows from the run's seed, the batch, the group and the
member.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.rollouts.rollout import RolloutPlan
from metis_agents.qwen3vl.rollouts.worker import RolloutWorker
from metis_agents.rl import Ranks, Rollout
from metis_gym.curriculum import PassRateCurriculum
from metis_gym.errors import ConfigError
from metis_gym.tasksets import Taskset

__all__ = ["EpisodeCollector", "check_resumable", "episode_seed"]


class EpisodeCollector:
    """Collects groups.

    Args:
        player: Plays episodes with the policy that learns.
        seed: Of the tasks and of everything random in the episodes.
        ranks: Who shares the batch.

    Raises:
        ConfigError: The tasks follow a curriculum, which remembers pass rates that no state of ours holds.
    """

    def __init__(self, player: RolloutWorker, *, seed: int, ranks: Ranks | None = None) -> None:
        check_resumable(player.taskset)
        self.player, self._seed, self._ranks = player, seed, ranks or Ranks()
        self._rng = np.random.default_rng([seed, 0])
        self._batches = 0

    def collect(self, tasks: int, group_size: int) -> Sequence[Sequence[Rollout[Tokens]]]:
        """Play `tasks` tasks with the current policy, `group_size` episodes of each."""
        self.player.engine.refresh()
        everyone = [self.player.taskset.draw(self._rng) for _ in range(tasks * self._ranks.size)]
        first = tasks * self._ranks.rank
        jobs = [
            RolloutPlan(
                task_id=everyone[group],
                member=member,
                episode=self._batches,
                seed=episode_seed(self._seed, self._batches, group, member),
            )
            for group in range(first, first + tasks)
            for member in range(group_size)
        ]
        self._batches += 1
        rollouts = self.player.play(jobs)
        return [rollouts[start : start + group_size] for start in range(0, len(rollouts), group_size)]

    def state_dict(self) -> Mapping[str, Any]:
        """Where it is in the order of tasks."""
        return {"seed": self._seed, "batches": self._batches, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take up a state that `state_dict` gave."""
        self._seed, self._batches = state["seed"], state["batches"]
        self._rng.bit_generator.state = state["rng"]


def check_resumable(taskset: Taskset) -> None:
    """Check that what a taskset draws follows from the state of a collector.

    Raises:
        ConfigError: The tasks follow a curriculum, which remembers pass rates that no state of ours holds.
    """
    if isinstance(taskset, PassRateCurriculum):
        raise ConfigError("Expect an environment with curriculum=0: its pass rates are not part of a checkpoint")


def episode_seed(*path: int) -> int:
    """A seed that follows from a path of numbers.

    >>> episode_seed(1, 2, 3) == episode_seed(1, 2, 3) != episode_seed(1, 3, 2)
    True
    """
    low, high = np.random.SeedSequence(path).generate_state(2)
    return int(low) << 31 | int(high) >> 1
