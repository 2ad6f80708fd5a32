"""The contract of agents. An agent is known by what it can do: `reset` and `act`, or `play` for many at a time."""

import contextlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from metis_gym.agents import AGENTS
from metis_gym.backstage import Pin, backstage, visible_info
from metis_gym.errors import InvalidActionError
from metis_gym.records import Outcome
from metis_gym.registration import find_spec
from metis_gym.rules import Rules
from metis_gym.testing.contract import Contract

__all__ = ["check_agent"]

_TASKS = "metis_gym.testing.examples:ExampleTasks"
_RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_MAX_STEPS = 100


@dataclass(frozen=True)
class _Request:
    """An episode to be played, as a batch agent is asked for it."""

    task_id: str
    seed: int
    member: int = 0
    episode: int = 0

    @property
    def pin(self) -> Pin:
        """What of it the environment is told."""
        return Pin(self.task_id, self.member, self.episode)


def check_agent(agent: Any, env_id: str = "MetisVQA-v0", *, episodes: int = 3, **make_kwargs: Any) -> None:
    """Check that an agent keeps its contract.

    Args:
        agent: A spec such as "my_pkg.agents:Guesser", or an agent.
        env_id: The environment that it plays in.
        episodes: How many episodes.
        **make_kwargs: For `gymnasium.make`; by default small example tasks without tools.

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
    """
    find_spec(env_id)
    contract = Contract(f"the agent {agent!r}" if isinstance(agent, str) else f"the {type(agent).__name__}")
    made = contract.made(agent, AGENTS.make)
    is_batch = hasattr(made, "play")
    methods = ("play",) if is_batch else ("reset", "act")
    lacks = [name for name in methods if not callable(getattr(made, name, None))]
    lacks += [] if isinstance(getattr(made, "name", None), str) and made.name else ["name"]
    contract.rule(not lacks, "it has a name, and reset() and act(), or play()", f"it lacks {', '.join(lacks)}", "")
    kwargs = {"taskset": _TASKS, "tools": ()} | make_kwargs if env_id == "MetisVQA-v0" else make_kwargs
    with contextlib.closing(gym.make(env_id, **kwargs)) as env:
        draw = backstage(env).taskset.draw
        requests = [_Request(draw(np.random.default_rng(seed)), seed) for seed in range(episodes)]
    if is_batch:
        _check_batch(contract, made, lambda: gym.make(env_id, **kwargs), requests)
    else:
        _check_single(contract, made, lambda: gym.make(env_id, **kwargs), requests)


def _check_single(contract: Contract, made: Any, make_env: Any, requests: list[_Request]) -> None:
    mend = "It is played in several processes: make it of picklable parts, in reset() if need be."
    with contract.must_work("it can be pickled", mend, pickle.PicklingError, AttributeError, TypeError):
        copy = pickle.loads(pickle.dumps(made))
    with contextlib.closing(make_env()) as env:
        first = [_played(contract, made, env, request) for request in requests]
        # The other way round: what an earlier episode left behind must not matter.
        again = [_played(contract, copy, env, request) for request in reversed(requests)][::-1]
    contract.rule(
        first == again,
        "what it does depends on the episode and its generator only",
        f"{first} and {again}",
        "Take everything random from the generator that reset() is given, and start afresh there.",
    )


def _played(contract: Contract, agent: Any, env: gym.Env[Any, Any], request: _Request) -> list[str]:
    """Play an episode; what was done in it."""
    inside = backstage(env)
    done: list[str] = []
    observation, info = env.reset(options=request.pin.options)
    with contract.must_work("reset(rng) takes a generator", "Its signature is reset(self, rng).", *_RAISED):
        agent.reset(np.random.default_rng(request.seed))
    if hasattr(agent, "brief"):  # a scripted agent is told the task
        agent.brief(inside.episode.task)
    if hasattr(agent, "study"):  # an ideal agent is told the rules
        agent.study(Rules(env))
    while len(done) < _MAX_STEPS:
        mend = "info holds counts and costs only: no score, and not whether a tool is needed."
        with contract.must_work("act(observation, info) never raises", mend, *_RAISED):
            action = agent.act(observation, visible_info(info))
        if hasattr(agent, "brief") or hasattr(agent, "study"):
            action = inside.encode_action(action)
        done.append(repr(action))
        mend = 'Return text, {"name": …, "arguments": {…}} or {"answer": …}; of the numeric view, a number.'
        with contract.must_work("its actions are actions of the environment", mend, InvalidActionError):
            observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            return done
    contract.rule(False, "its episodes come to an end", f"{_MAX_STEPS} steps without one", "")
    return done


def _check_batch(contract: Contract, made: Any, make_env: Any, requests: list[_Request]) -> None:
    def played(asked: list[_Request]) -> dict[int, Outcome]:
        found: Iterator[tuple[int, Outcome]] = iter(made.play(make_env, asked))
        pairs = list(found)
        contract.rule(
            sorted(place for place, _ in pairs) == list(range(len(asked))),
            "play() yields each request's place once, with its outcome",
            [place for place, _ in pairs],
            "",
        )
        return dict(pairs)

    together, alone = played(requests), played(requests[-1:])
    contract.rule(
        all(isinstance(outcome, Outcome) for outcome in together.values()), "play() yields Outcomes", together, ""
    )
    contract.rule(
        together[len(requests) - 1] == alone[0],
        "an episode depends on its own seed only, not on what is played beside it",
        f"{together[len(requests) - 1]} and {alone[0]}",
        "Give each episode a generator of its own, seeded by its request.",
    )
