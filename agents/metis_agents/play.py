"""The one player: an agent or a policy × tasks → outcomes.

Which tasks are played, and what is random in each episode, depends on the seed and the episode's number only: neither
on the number of workers, nor on what is played beside it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metis_agents.agent import Agent, BatchAgent, ModelAgent, RolloutRequest
from metis_agents.episodes import EnvFactory, Played, in_batches, in_processes, in_threads, one_by_one
from metis_gym.backstage import backstage, stream_task_id
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["play", "play_together", "played_by", "requests_of"]

_EPISODES = 1  # tells the random numbers of episodes from those that draw tasks


def play(
    agent: Agent | BatchAgent,
    env_id: str,
    *,
    tasks: int | Sequence[str] = 100,
    episodes_per_task: int = 1,
    seed: int = 0,
    workers: int = 1,
    advance: Callable[[int], object] = lambda _: None,
    **make_kwargs: Any,
) -> tuple[Outcome, ...]:
    """Let an agent play episodes.

    Args:
        agent: An agent, or a batch agent, which plays in this process whatever `workers` says.
        env_id: One of this package's ids.
        tasks: How many tasks are drawn, or the ids of the tasks.
        episodes_per_task: Episodes of each.
        seed: The same seed gives the same tasks and the same outcomes, whatever the number of workers.
        workers: Processes. With more than one, the calling script needs the usual `if __name__ == "__main__":`.
        advance: Called with a number of episodes when these are over.
        **make_kwargs: For `gymnasium.make`; the split is "test" unless they say otherwise.

    Returns:
        The outcomes, those of a task one after the other.

    Raises:
        ConfigError: A number is not positive, or the environment is not one of this package.
        TypeError: The agent has neither `act` nor `play`.
    """
    return _play([agent], env_id, tasks, episodes_per_task, seed, workers, advance, make_kwargs)[0]


def play_together(
    agents: Sequence[Agent | BatchAgent],
    env_id: str,
    *,
    tasks: int | Sequence[str] = 100,
    episodes_per_task: int = 1,
    seed: int = 0,
    workers: int = 1,
    advance: Callable[[int], object] = lambda _: None,
    **make_kwargs: Any,
) -> list[tuple[Outcome, ...]]:
    """`play` of several agents on the same tasks, side by side, so that each task is drawn once.

    Returns:
        For each agent what `play` returns.
    """
    return _play(agents, env_id, tasks, episodes_per_task, seed, workers, advance, make_kwargs)


def _play(
    agents: Sequence[Agent | BatchAgent],
    env_id: str,
    tasks: int | Sequence[str],
    episodes_per_task: int,
    seed: int,
    workers: int,
    advance: Callable[[int], object],
    make_kwargs: Mapping[str, Any],
) -> list[tuple[Outcome, ...]]:
    count = tasks if isinstance(tasks, int) else len(tasks)
    if min(count, episodes_per_task, workers) < 1:
        raise ConfigError(
            "Expect tasks, episodes_per_task and workers to be at least 1, "
            f"actually: {count}, {episodes_per_task}, {workers}"
        )
    make_env = EnvFactory(env_id, {"split": "test", **make_kwargs})
    requests = requests_of(make_env, tasks, episodes_per_task, seed)
    played: list[dict[int, Outcome]] = [{} for _ in agents]
    with contextlib.ExitStack() as stack:
        numbered = list(enumerate(requests))
        running = dict(enumerate(played_by(agent, make_env, numbered, workers=workers) for agent in agents))
        for outcomes in running.values():
            if hasattr(outcomes, "close"):
                stack.callback(outcomes.close)  # ends what it still plays when another agent fails
        while running:
            for number, outcomes in list(running.items()):
                found = next(outcomes, None)
                if found is None:
                    del running[number]
                else:
                    played[number][found.number] = found.outcome
                    advance(1)
    return [tuple(outcomes[number] for number in range(len(requests))) for outcomes in played]


def _task_ids(make_env: EnvFactory, tasks: int | Sequence[str], seed: int) -> list[str]:
    if not isinstance(tasks, int):
        return list(tasks)
    with contextlib.closing(make_env()) as env:
        taskset = backstage(env).taskset
        return [stream_task_id(taskset, seed, number) for number in range(tasks)]


def _requests(task_ids: Sequence[str], episodes_per_task: int, seed: int) -> list[RolloutRequest]:
    pairs = [(task_id, member) for task_id in task_ids for member in range(episodes_per_task)]
    return [
        RolloutRequest(task_id=task_id, member=member, seed=_episode_seed(seed, number))
        for number, (task_id, member) in enumerate(pairs)
    ]


def _episode_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, _EPISODES, number]).generate_state(1, np.uint64)[0])


def played_by(
    agent: Agent | BatchAgent,
    make_env: EnvFactory,
    requests: Sequence[tuple[int, RolloutRequest]],
    *,
    workers: int = 1,
    parallel: int = 1,
    halt: threading.Event | None = None,
) -> Iterator[Played]:
    """An agent's episodes, in the order in which they end.

    Args:
        agent: The agent.
        make_env: Makes environments.
        requests: The episodes, each with its number.
        workers: Processes, for agents that compute themselves.
        parallel: Threads, for agents that wait for somebody else.
        halt: When it is set, a `ModelAgent` begins no further episode.

    Raises:
        TypeError: The agent has neither `act` nor `play`.
    """
    if isinstance(agent, BatchAgent):
        return in_batches(agent, make_env, requests)
    if not hasattr(agent, "act"):
        raise TypeError(f"an agent has `reset` and `act`, or `play`; {type(agent).__name__} has neither act nor play")
    if isinstance(agent, ModelAgent) or parallel > 1:
        return in_threads(agent, make_env, requests, parallel, halt)
    return one_by_one(agent, make_env, requests) if workers == 1 else in_processes(agent, make_env, requests, workers)


def requests_of(
    make_env: EnvFactory, tasks: int | Sequence[str], episodes_per_task: int, seed: int
) -> list[RolloutRequest]:
    """The episodes of an evaluation: which tasks, and the seed of each; they depend on these arguments only."""
    return _requests(_task_ids(make_env, tasks, seed), episodes_per_task, seed)
