"""Playing episodes: environments, a renderer and an engine, many episodes at a time.

Tools run in threads while the engine writes for the other episodes. What a turn samples depends on its own seed, so
that neither the order in which tools return nor what else is in the batch decides what is drawn.

A sample that does not fit is never cut in silence. A prompt over its budget, or with an image that the model cannot
take, makes the episode unscored, and is counted. What tools return is mostly the model's own doing: an observation over
its budget is cut, with a note to the model, is counted, and the episode stays scored. An episode whose own writing
exceeds the response budget ends truncated, unanswered.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import gymnasium as gym

from metis_agents.qwen3vl.chat.renderer import Renderer
from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.rollouts.engine import Engine
from metis_agents.qwen3vl.rollouts.rollout import ActiveRollout, Budget, RolloutPlan
from metis_agents.qwen3vl.rollouts.tool_sharing import ResultCache, SharingToolbox
from metis_agents.rl import Rollout
from metis_gym.backstage import Backstage, backstage
from metis_gym.errors import ConfigError
from metis_gym.spaces import Unicode

__all__ = ["RolloutWorker"]


class RolloutWorker:
    """Plays episodes.

    Args:
        engine: Writes the model's turns.
        renderer: Turns conversations into tokens.
        make_env: Makes an environment; called as often as episodes are played at a time.
        budget: Most tokens of an episode's parts.
        workers: Threads in which environments take their turns.
        overlap: Let the engine write on while tools run. Without it every turn waits for the slowest tool, and a run is
            the same to the last bit each time.
        share_results: Run the same first calls on the same task once; `tool_sharing` beside this file says when that is
            right.

    Raises:
        ConfigError: The environment is not one of text.
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
        share_results: bool = False,
    ) -> None:
        self.engine, self.renderer, self.budget = engine, renderer, budget or Budget()
        self.overlap = overlap
        self._results = ResultCache() if share_results else None
        self.counts: Counter[str] = Counter()
        self.cut_observations = 0
        self._make_env = make_env
        self._idle: list[gym.Env[Any, Any]] = [make_env()]
        if not isinstance(self._idle[0].action_space, Unicode):
            raise ConfigError(f"Expect an environment whose actions are text, such as MetisVQA-v0: {self._idle[0]}")
        self.taskset = backstage(self._idle[0]).taskset
        self._equip(backstage(self._idle[0]))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="environment")
        self._playing: dict[int, ActiveRollout] = {}
        self._acting: dict[Future[None], ActiveRollout] = {}

    def play(self, jobs: Sequence[RolloutPlan]) -> list[Rollout[Tokens]]:
        """Play episodes; their rollouts in the order of the jobs.

        `counts` then holds how many episodes' prompts exceeded which budget, or failed by which error, and
        `cut_observations` how many observations were cut.

        Raises:
            SandboxUnavailableError: Code is to run, and this machine cannot isolate it.
        """
        done = dict(self.rollouts(jobs))
        return [done[index] for index in range(len(jobs))]

    def rollouts(self, jobs: Sequence[RolloutPlan]) -> Iterator[tuple[int, Rollout[Tokens]]]:
        """Play episodes; the place of a job and its rollout, as soon as the episode is over."""
        waiting = deque(_groups(jobs, self.engine.capacity))
        names = set() if self.taskset.is_elsewhere else {job.task_id for job in jobs}
        loaded = {name: self._threads.submit(self.taskset.load, name) for name in names}
        left = len(jobs)
        try:
            while left:
                over = []
                while waiting and len(self._playing) + len(waiting[0]) <= self.engine.capacity:
                    if waiting[0][0][1].task_id in loaded:
                        loaded[waiting[0][0][1].task_id].result()
                    over += self._begin(waiting.popleft())
                for live in over or self._advance():
                    left -= 1
                    yield live.index, self._finish(live)
        finally:
            self._give_up()

    def close(self) -> None:
        """End the threads and the environments."""
        self._threads.shutdown()
        for env in self._idle:
            env.close()
        self._idle = []

    def _begin(self, group: Sequence[tuple[int, RolloutPlan]]) -> list[ActiveRollout]:
        """Start the episodes of one task, which share their prompt; those that are over at once."""
        prompt: Tokens | None = None
        begun = []
        for index, job in group:
            live = ActiveRollout(index, job, self._idle.pop() if self._idle else self._new_env(), self.budget)
            self._playing[index] = live
            prompt = live.begin(self.renderer, prompt)
            begun.append(live)
        return self._go_on(begun)

    def _advance(self) -> list[ActiveRollout]:
        """Let the engine and the environments go on; the episodes that are over."""
        self._write()
        return self._go_on([self._acting.pop(future) for future in self._answers()])

    def _go_on(self, episodes: Sequence[ActiveRollout]) -> list[ActiveRollout]:
        """Ask for the next turns of those that are not over, and return the others."""
        self.engine.submit([live.request() for live in episodes if live.outcome is None])
        return [live for live in episodes if live.outcome is not None]

    def _write(self) -> None:
        """Let the engine write, and hand finished turns to the environments."""
        while not self.engine.is_idle:
            for turn in self.engine.step():
                live = self._playing[turn.episode]
                self._acting[self._threads.submit(live.act, turn, self.renderer)] = live
            if self.overlap:
                break

    def _answers(self) -> list[Future[None]]:
        """Environments that have answered, in the order in which they were asked."""
        if not self.overlap:
            wait(self._acting)
        elif self._acting:
            wait(self._acting, timeout=None if self.engine.is_idle else 0.0, return_when=FIRST_COMPLETED)
        return [future for future in self._acting if future.done() and future.result() is None]

    def _finish(self, live: ActiveRollout) -> Rollout[Tokens]:
        """Take an episode out of play; its environment is free for another."""
        self.engine.forget([live.index])
        del self._playing[live.index]
        if live.env is not live.base:
            live.env.close()
        self._idle.append(live.base)
        self.cut_observations += live.cuts
        failure = backstage(live.base).failure
        if live.overran:
            self.counts[live.overran] += 1
        elif failure is not None:
            self.counts[type(failure).__name__] += 1
        return live.rollout()

    def _give_up(self) -> None:
        """After an error: let the environments come to rest, and forget what was being played."""
        wait(self._acting)
        self.engine.forget(list(self._playing))
        self._idle += [live.base for live in self._playing.values()]
        self._acting, self._playing = {}, {}

    def _new_env(self) -> gym.Env[Any, Any]:
        """Another environment, on the same taskset, so that tasks are drawn and kept once."""
        env = self._make_env()
        self._equip(backstage(env))
        return env

    def _equip(self, inside: Backstage) -> None:
        inside.use_taskset(self.taskset)
        if self._results is not None:
            inside.use_toolbox(SharingToolbox(inside.toolbox, self._results))


def _groups(jobs: Sequence[RolloutPlan], most: int) -> list[list[tuple[int, RolloutPlan]]]:
    """Jobs of one task that stand beside each other, at most so many together, each with its place."""
    groups: list[list[tuple[int, RolloutPlan]]] = []
    for index, job in enumerate(jobs):
        if groups and groups[-1][-1][1].task_id == job.task_id and len(groups[-1]) < most:
            groups[-1].append((index, job))
        else:
            groups.append([(index, job)])
    return groups
