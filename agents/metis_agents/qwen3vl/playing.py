"""Playing episodes: environments, a renderer and an engine, many episodes at a time.

Tools run in threads while the engine writes for the other episodes. What a turn samples depends on its own seed, so
that neither the order in which tools return nor what else is in the batch decides what is drawn.

A sample that does not fit is never cut in silence: a prompt, a picture or an observation over its budget makes the
episode unscored, and is counted; an episode whose own writing exceeds the response budget ends as truncated, unanswered.
"""

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from metis_agents.hdpo import Rollout
from metis_agents.qwen3vl.engine import Engine, SampledTurn, TurnRequest
from metis_agents.qwen3vl.renderer import Renderer
from metis_agents.qwen3vl.tokens import Tokens
from metis_gym.env import ToolUseEnv
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.parameters import check_parameters, whole

__all__ = ["Budget", "Job", "Player"]

_SEEDS = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Most tokens of an episode's parts. The defaults are the published settings of arXiv 2604.08545.

    Attributes:
        prompt: System turn and first user turn, pictures included.
        response: Everything after the prompt.
        turn: One turn of the model.
        observation: One observation, pictures included.
    """

    prompt: int = whole(24_576, low=1)
    response: int = whole(16_384, low=1)
    turn: int = whole(16_384, low=1)
    observation: int = whole(8_192, low=1)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.turn > self.response:
            raise ConfigError(f"Expect turn ({self.turn}) to be at most response ({self.response})")


@dataclass(frozen=True, kw_only=True)
class Job:
    """An episode to be played.

    Attributes:
        task_id: The task. Jobs of one task that stand beside each other share the encoding of its prompt.
        member: Which episode of the task's group.
        episode: Tells apart the times that a task comes up: grader noise is keyed by it.
        seed: Everything random in the episode comes from here.
        is_greedy: Take the likeliest tokens.
        watch: Wraps the environment for this episode, to record it; None plays in the plain one.
    """

    task_id: str
    member: int = 0
    episode: int = 0
    seed: int = 0
    is_greedy: bool = False
    watch: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None


@dataclass(eq=False)
class _Live:
    """An episode that is being played."""

    index: int
    job: Job
    env: gym.Env[Any, Any]
    tokens: Tokens
    seeds: np.random.Generator
    prompt: int = 0
    outcome: Outcome | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


class Player:
    """Plays episodes.

    Args:
        engine: Writes the model's turns.
        renderer: Turns conversations into tokens.
        make_env: Makes an environment; called as often as episodes are played at a time.
        budget: Most tokens of an episode's parts.
        workers: Threads in which environments take their turns.
        overlap: Let the engine write on while tools run. Without it every turn waits for the slowest tool, and a run is
            the same to the last bit each time.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        make_env: Callable[[], gym.Env[Any, Any]],
        *,
        budget: Budget | None = None,
        workers: int = 8,
        overlap: bool = True,
    ) -> None:
        self.engine, self.renderer, self.budget = engine, renderer, budget or Budget()
        self.overlap = overlap
        self._make_env = make_env
        self._idle: list[gym.Env[Any, Any]] = [make_env()]
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="environment")
        self.counts: Counter[str] = Counter()
        inner = self._idle[0].unwrapped
        assert isinstance(inner, ToolUseEnv)
        self.taskset = inner.taskset

    def play(self, jobs: Sequence[Job]) -> list[Rollout[Tokens]]:
        """Play episodes; their rollouts in the order of the jobs.

        Raises:
            SandboxUnavailableError: Code is to run, and this machine cannot isolate it.
        """
        waiting = deque(_groups(jobs))
        loaded = {task_id: self._threads.submit(self.taskset.load, task_id) for task_id in {job.task_id for job in jobs}}
        done: list[Rollout[Tokens] | None] = [None] * len(jobs)
        playing: dict[int, _Live] = {}
        acting: dict[Future[Tokens | None], _Live] = {}
        while waiting or playing:
            while waiting and len(playing) + len(waiting[0]) <= max(self.engine.capacity, 1):
                self._begin(waiting.popleft(), loaded, playing)
            for live in self._advance(playing, acting):
                done[live.index] = self._finish(live)
                del playing[live.index]
        return [rollout for rollout in done if rollout is not None]

    def close(self) -> None:
        """End the threads and the environments."""
        self._threads.shutdown()
        for env in self._idle:
            env.close()
        self._idle = []

    def _begin(
        self, group: Sequence[tuple[int, Job]], loaded: Mapping[str, Future[Any]], playing: dict[int, _Live]
    ) -> None:
        """Start the episodes of one task, which share their prompt."""
        loaded[group[0][1].task_id].result()
        prompt: Tokens | None = None
        for index, job in group:
            env = self._idle.pop() if self._idle else self._make_env()
            played = env if job.watch is None else job.watch(env)
            options = {"task_id": job.task_id, "member": job.member, "episode": job.episode}
            observation, info = played.reset(options=options)
            live = _Live(index, job, played, _NOTHING, np.random.default_rng(job.seed), info=info)
            playing[index] = live
            prompt = prompt or self._prompt(observation, live)
            live.tokens, live.prompt = prompt, len(prompt)
            if len(prompt) > self.budget.prompt:
                self._fail(live, "prompt")
        ready = [playing[index] for index, _ in group]
        self._request([live for live in ready if live.outcome is None])

    def _prompt(self, observation: Mapping[str, Any], live: _Live) -> Tokens:
        try:
            return self.renderer.prompt(observation["system"], observation["text"], observation["images"])
        except BudgetError:
            self._fail(live, "picture")
            return _NOTHING

    def _advance(self, playing: Mapping[int, _Live], acting: "dict[Future[Tokens | None], _Live]") -> list[_Live]:
        """Let the engine and the environments go on; the episodes that are over."""
        over = [live for live in playing.values() if live.outcome is not None and live not in acting.values()]
        if over:
            self.engine.forget([live.index for live in over])
            return over
        turns = [] if self.engine.is_idle else self.engine.step()
        while not (self.overlap or self.engine.is_idle):
            turns += self.engine.step()
        for turn in turns:
            live = playing[int(str(turn.episode))]
            acting[self._threads.submit(self._act, live, turn)] = live
        self._take_up(acting)
        return []

    def _take_up(self, acting: "dict[Future[Tokens | None], _Live]") -> None:
        """Hand the conversations whose environments have answered to the engine."""
        if not acting:
            return
        if self.overlap:
            finished, _ = wait(acting, timeout=None if self.engine.is_idle else 0.0, return_when=FIRST_COMPLETED)
        else:
            finished, _ = wait(acting)
        answered = [acting.pop(future) for future in list(acting) if future in finished and future.result() is None]
        self._request([live for live in answered if live.outcome is None])
