"""The one player: an agent or a policy × tasks → outcomes.

Which tasks are played, and what is random in each episode, depends on the seed and the episode's number only: neither
on the number of workers, nor on what is played beside it.
"""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from metis_agents.agent import Agent, BatchAgent, RolloutRequest, visible_info
from metis_agents.ideal import InformedAgent
from metis_agents.scripted import OracleAgent, ScriptedAgent
from metis_gym.backstage import backstage, stream_task_id
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.registration import register_all
from metis_gym.registries import adopt, in_process_names
from metis_gym.rules import Rules

__all__ = ["play", "play_together"]

_CHUNK = 8
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


@dataclass(frozen=True)
class _EnvFactory:
    """Makes environments; travels to workers."""

    env_id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[tuple[str, str, str], ...] = field(default_factory=in_process_names)

    def __call__(self) -> gym.Env[Any, Any]:
        register_all()
        adopt(self.names)
        return gym.make(self.env_id, disable_env_checker=True, **self.kwargs)


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
    make_env = _EnvFactory(env_id, {"split": "test", **make_kwargs})
    requests = _requests(_task_ids(make_env, tasks, seed), episodes_per_task, seed)
    played: list[dict[int, Outcome]] = [{} for _ in agents]
    with contextlib.ExitStack() as stack:
        running = dict(enumerate(_started(agent, make_env, requests, workers, stack) for agent in agents))
        while running:
            for number, outcomes in list(running.items()):
                found = next(outcomes, None)
                if found is None:
                    del running[number]
                else:
                    played[number].update([found])
                    advance(1)
    return [tuple(outcomes[number] for number in range(len(requests))) for outcomes in played]


def _task_ids(make_env: _EnvFactory, tasks: int | Sequence[str], seed: int) -> list[str]:
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


def _started(
    agent: Agent | BatchAgent,
    make_env: _EnvFactory,
    requests: Sequence[RolloutRequest],
    workers: int,
    stack: contextlib.ExitStack,
) -> Iterator[tuple[int, Outcome]]:
    """An agent's episodes, each with its number, in the order in which they end."""
    if isinstance(agent, BatchAgent):
        outcomes = iter(agent.play(make_env, requests))
    elif not hasattr(agent, "act"):
        raise TypeError(f"an agent has `reset` and `act`, or `play`; {type(agent).__name__} has neither act nor play")
    elif workers == 1:
        outcomes = _one_by_one(agent, make_env, requests)
    else:
        outcomes = _in_processes(agent, make_env, requests, workers)
    if hasattr(outcomes, "close"):
        stack.callback(outcomes.close)  # ends what it still plays when another agent fails
    return outcomes


def _one_by_one(
    agent: Agent, make_env: _EnvFactory, requests: Sequence[RolloutRequest], first: int = 0
) -> Iterator[tuple[int, Outcome]]:
    with contextlib.closing(make_env()) as env:
        for number, request in enumerate(requests, start=first):
            yield number, _play_episode(agent, env, request)


def _in_processes(
    agent: Agent, make_env: _EnvFactory, requests: Sequence[RolloutRequest], workers: int
) -> Iterator[tuple[int, Outcome]]:
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            pool.submit(_play_chunk, agent, make_env, requests[start : start + _CHUNK], start)
            for start in range(0, len(requests), _CHUNK)
        ]
        try:
            for done in as_completed(running):
                yield from done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _play_chunk(
    agent: Agent, make_env: _EnvFactory, requests: Sequence[RolloutRequest], first: int
) -> list[tuple[int, Outcome]]:
    return list(_one_by_one(agent, make_env, requests, first))


def _play_episode(agent: Agent, env: gym.Env[Any, Any], request: RolloutRequest) -> Outcome:
    observation, info = env.reset(options=request.pin.options)
    agent.reset(np.random.default_rng(request.seed))
    inside = backstage(env)
    is_scripted = isinstance(agent, ScriptedAgent | InformedAgent)
    if isinstance(agent, ScriptedAgent):
        agent.brief(inside.episode.task)
    if isinstance(agent, OracleAgent | InformedAgent):
        agent.study(Rules(env))
    is_over = False
    while not is_over:
        action = agent.act(observation, visible_info(info))
        action = inside.encode_action(action) if is_scripted else action
        observation, _, terminated, truncated, info = env.step(action)
        is_over = bool(terminated or truncated)
    return Outcome.from_info(info)
