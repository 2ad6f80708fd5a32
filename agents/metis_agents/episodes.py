"""Episodes, played one after the other, in threads, or in processes.

Failed is not wrong: where a tool or the agent's own surroundings fail, the episode ends unscored and the others go on.
"""

import contextlib
import copy
import dataclasses
import multiprocessing
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import gymnasium as gym
import numpy as np

from metis_agents.agent import Agent, BatchAgent, ModelAgent, NoAnswerError, RolloutRequest, visible_info
from metis_agents.ideal import InformedAgent
from metis_agents.scripted import OracleAgent, ScriptedAgent
from metis_gym.backstage import backstage
from metis_gym.errors import InfrastructureError, RecordingError, TaskDataError
from metis_gym.recording.files import EVENTS
from metis_gym.records import Outcome
from metis_gym.registration import register_all
from metis_gym.registries import adopt, in_process_names
from metis_gym.rules import Rules
from metis_gym.wrappers import Recorder

__all__ = [
    "EnvFactory",
    "Played",
    "in_batches",
    "in_processes",
    "in_threads",
    "one_by_one",
    "remove_empty_recordings",
]

_CHUNK = 8
_PATIENCE = 10.0
_GLANCE = 0.2

Numbered = tuple[int, RolloutRequest]


@dataclass(frozen=True, kw_only=True)
class Played:
    """An episode that is over.

    Attributes:
        number: Which one.
        outcome: How it went.
        usage: What the model used, by name; empty for agents that do not say.
        failure: What failed, where the episode is not scored.
        ended: Why the model gave no answer, where it was the model that ended the episode.
        answer: The final answer; None if there was none, or if nobody kept it.
        step: What decided its grade.
        labels: What the figures of a benchmark are split by.
        measures: What else they are made of.
    """

    number: int
    outcome: Outcome
    usage: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""
    ended: str = ""
    answer: str | None = None
    step: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvFactory:
    """Makes environments; travels to workers.

    Attributes:
        env_id: Which.
        kwargs: For `gymnasium.make`.
        record: The folder in which each environment records into one of its own; None to record nothing.
        notes: Written into each recording.
    """

    env_id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    record: Path | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[tuple[str, str, str], ...] = field(default_factory=in_process_names)

    def __call__(self) -> gym.Env[Any, Any]:
        """Make one."""
        register_all()
        adopt(self.names)
        env: gym.Env[Any, Any] = gym.make(self.env_id, disable_env_checker=True, **self.kwargs)
        return env if self.record is None else Recorder(env, _own_folder(self.record), notes=self.notes)


def one_by_one(
    agent: Agent, make_env: EnvFactory, requests: Sequence[Numbered], is_over: Callable[[], bool] = lambda: False
) -> Iterator[Played]:
    """Play in this thread."""
    with contextlib.closing(make_env()) as env:
        _prepare(agent, env)
        for number, request in requests:
            if is_over():
                return
            played = _play_episode(agent, env, number, request, is_over)
            if played is not None:
                yield played


def in_threads(
    agent: Agent, make_env: EnvFactory, requests: Sequence[Numbered], parallel: int, halt: threading.Event | None = None
) -> Iterator[Played]:
    """Play in threads, one environment and one clone of the agent each.

    When the caller stops listening, no episode begins, and those that are played end at their next turn, untold. A
    thread begins its next episode when the caller has taken the last one, so that `halt` comes in time.

    Args:
        agent: The agent.
        make_env: Makes an environment for each thread.
        requests: The episodes, each with its number.
        parallel: Threads.
        halt: When it is set, no episode begins; those that are played end as they would.
    """
    todo, done = iter(requests), SimpleQueue[tuple[Played, threading.Event] | BaseException | None]()
    lock, is_over = threading.Lock(), threading.Event()

    def remaining() -> Iterator[Numbered]:
        while not (is_over.is_set() or (halt is not None and halt.is_set())):
            with lock:
                taken = next(todo, None)
            if taken is None:
                return
            yield taken

    def work(player: Agent) -> None:
        try:
            with contextlib.closing(make_env()) as env:
                _prepare(player, env)
                for number, request in remaining():
                    played = _play_episode(player, env, number, request, is_over.is_set)
                    if played is not None:
                        taken = threading.Event()
                        done.put((played, taken))
                        while not (taken.wait(_GLANCE) or is_over.is_set()):
                            pass
            done.put(None)
        except BaseException as error:  # noqa: BLE001 — raised again by whoever listens
            done.put(error)

    count = max(1, min(parallel, len(requests)))
    if isinstance(agent, ModelAgent):
        agent.expect(count)
    threads = [threading.Thread(target=work, args=(_clone(agent),), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        left = count
        while left:
            told = done.get()
            if told is None:
                left -= 1
            elif isinstance(told, tuple):
                yield told[0]
                told[1].set()
            else:
                raise told
    finally:
        is_over.set()
        for thread in threads:
            thread.join(timeout=_PATIENCE / count)


def in_processes(agent: Agent, make_env: EnvFactory, requests: Sequence[Numbered], workers: int) -> Iterator[Played]:
    """Play in processes, some episodes at a time."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            pool.submit(_play_chunk, agent, make_env, requests[start : start + _CHUNK])
            for start in range(0, len(requests), _CHUNK)
        ]
        try:
            for done in as_completed(running):
                yield from done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_batches(agent: BatchAgent, make_env: EnvFactory, requests: Sequence[Numbered]) -> Iterator[Played]:
    """Let an agent play that plays many at a time."""
    outcomes = iter(agent.play(make_env, [request for _, request in requests]))
    try:
        for place, outcome in outcomes:
            yield Played(number=requests[place][0], outcome=outcome)
    finally:
        if hasattr(outcomes, "close"):
            outcomes.close()


def _play_chunk(agent: Agent, make_env: EnvFactory, requests: Sequence[Numbered]) -> list[Played]:
    return list(one_by_one(agent, make_env, requests))


def _play_episode(
    agent: Agent, env: gym.Env[Any, Any], number: int, request: RolloutRequest, is_over: Callable[[], bool]
) -> Played | None:
    """Play an episode; None if it was given up because nobody listens any more."""
    outcome = Outcome(task_id=request.task_id, answer_score=0.0, format_score=0.0, tool_calls=0, turns=0)
    failure = ended = step = ""
    answer, measures = None, dict[str, float]()
    try:
        for info, has_ended in _turns(agent, env, request):
            outcome = Outcome.from_info(info)
            if is_over() and not has_ended:
                return None
        measures = _measures(env, request.task_id)
        cause = backstage(env).failure
        failure = "" if cause is None else str(cause) or type(cause).__name__
        answer, step = _answer_of(env)
    except NoAnswerError as reason:
        outcome, ended = dataclasses.replace(outcome, truncated=True), str(reason)
    except TaskDataError as error:
        if not backstage(env).taskset.is_benchmark:
            raise
        outcome, failure = dataclasses.replace(outcome, truncated=True, scored=False), str(error)
    except InfrastructureError as error:
        outcome = dataclasses.replace(outcome, truncated=True, scored=False)
        failure = str(error) or type(error).__name__
    usage = {}
    if isinstance(agent, ModelAgent):
        usage = agent.usage.to_json()
        outcome = agent.finish(outcome, backstage(env).toolbox.prices)
    return Played(
        number=number,
        outcome=outcome,
        usage=usage,
        failure=failure,
        ended=ended,
        answer=answer,
        step=step,
        labels=_labels(env, request.task_id),
        measures=measures,
    )


def _answer_of(env: gym.Env[Any, Any]) -> tuple[str | None, str]:
    """The final answer, and what decided its grade."""
    inside = backstage(env)
    turns = inside.episode.turns
    return (turns[-1].answer if turns else None), inside.grade.step.value


def _labels(env: gym.Env[Any, Any], task_id: str) -> Mapping[str, str]:
    taskset = backstage(env).taskset
    return taskset.labels(task_id) if taskset.is_benchmark else {}


def _measures(env: gym.Env[Any, Any], task_id: str) -> dict[str, float]:
    """What the taskset measures on an episode that is over."""
    inside = backstage(env)
    if not inside.taskset.is_benchmark:
        return {}
    turns = inside.episode.turns
    return dict(inside.taskset.measure(task_id, [turn.text for turn in turns], turns[-1].answer if turns else None))


def _turns(agent: Agent, env: gym.Env[Any, Any], request: RolloutRequest) -> Iterator[tuple[dict[str, Any], bool]]:
    """The infos of an episode, from that of the reset on, each with whether it is the last."""
    observation, info = env.reset(options=request.pin.options)
    agent.reset(np.random.default_rng(request.seed))
    inside = backstage(env)
    if isinstance(agent, ScriptedAgent):
        agent.brief(inside.episode.task)
    if isinstance(agent, OracleAgent | InformedAgent):
        agent.study(Rules(env))
    is_over = False
    while not is_over:
        yield info, False
        action = agent.act(observation, visible_info(info))
        action = inside.encode_action(action) if isinstance(agent, ScriptedAgent | InformedAgent) else action
        observation, _, terminated, truncated, info = env.step(action)
        is_over = bool(terminated or truncated)
    yield info, True


def _prepare(agent: Agent, env: gym.Env[Any, Any]) -> None:
    if isinstance(agent, ModelAgent):
        agent.prepare(backstage(env).dialect)


def _clone(agent: Agent) -> Agent:
    return agent.clone() if isinstance(agent, ModelAgent) else copy.deepcopy(agent)


def _own_folder(record: Path) -> Path:
    """A folder of its own for one environment: the first number that is free, whoever else is looking for one."""
    number = 0
    while True:
        folder = record / f"{number:03d}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RecordingError(f"cannot record into {folder}: {error}") from error


def remove_empty_recordings(record: Path) -> None:
    """Remove the recordings of environments that were made and never played in."""
    for events in record.glob("[0-9][0-9][0-9]*/" + EVENTS):
        if events.stat().st_size == 0:
            shutil.rmtree(events.parent, ignore_errors=True)
