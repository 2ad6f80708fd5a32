"""Samples played by an agent: through the environment, the player and the grading of every evaluation.

A batch of samples becomes a small parquet file for as long as it is played, and so a taskset. The seed of a rollout
depends on the sample and on its number only.
"""

import hashlib
import inspect
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metis_agents.agent import Agent, BatchAgent, RolloutRequest
from metis_agents.agents import AGENTS, make_agent
from metis_agents.curate.formats.runs import tool_images
from metis_agents.curate.records import Sample
from metis_agents.curate.tables import task_schema, write_tables
from metis_agents.episodes import EnvFactory, Played
from metis_agents.play import played_by
from metis_gym.errors import UnknownNameError
from metis_gym.specs import format_spec, parse_spec
from metis_gym.tasksets import make_taskset

__all__ = ["Player", "Rollouts", "who"]

_ENV = "MetisVQA-v0"
_OWN = ("dialect", "view_size", "max_turns", "calls_per_turn", "tools")
"""Arguments of the environment that a policy brings from its training."""
_WHERE = ("base_url", "api_key_env", "attempts", "timeout", "max_request_bytes", "label", "device", "workers")


@dataclass
class Rollouts:
    """What came of playing a sample several times.

    Attributes:
        right: Rollouts that ended in the right answer.
        scored: Rollouts that count: those where nothing around the model failed.
        tool_calls: Calls in all scored rollouts.
        wrong: Wrong answers, each with how often it was given.
        failures: Why rollouts do not count.
        used: Requests, tokens and whatever else the model says that it used.
    """

    right: int = 0
    scored: int = 0
    tool_calls: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)

    def add(self, played: Played) -> None:
        """Count an episode."""
        self.used.update({name: int(value) for name, value in played.usage.items()})
        if not played.outcome.scored:
            self.failures.append(played.failure or "unscored")
            return
        self.scored += 1
        self.right += played.outcome.truly_correct
        self.tool_calls += played.outcome.tool_calls
        if not played.outcome.truly_correct and played.answer and played.answer.strip():
            self.wrong[" ".join(played.answer.split()).casefold()] += 1


@dataclass(frozen=True)
class Player:
    """An agent and how it plays.

    Attributes:
        agent: The agent's spec. A model samples at temperature 1, unless the spec says otherwise.
        tools: What it may call; None for the environment's own choice.
        dialect: What it writes and reads; empty for its own, or the environment's.
        grader: What compares answers.
        sandbox: Where code runs.
    """

    agent: str
    tools: tuple[str, ...] | None = None
    dialect: str = ""
    grader: str = "cascade"
    sandbox: str = "auto"

    @property
    def settings(self) -> dict[str, Any]:
        """What the rollouts depend on."""
        tools = None if self.tools is None else list(self.tools)
        return {"agent": who(self.agent), "tools": tools, "dialect": self.dialect, "grader": self.grader}

    def play(self, samples: Sequence[Sample], members: range, parallel: int) -> list[Rollouts]:
        """Play each sample once for each member.

        Raises:
            ConfigError: The agent cannot be made, or its endpoint refuses it for good.
        """
        agent: Any = make_agent(_sampling(self.agent))
        found = [Rollouts() for _ in samples]
        with tempfile.TemporaryDirectory(prefix="metis-curate-") as folder:
            path = _written(samples, Path(folder), sees_all=self.tools != ())
            spec = f'parquet:path="{path}"'
            ids = make_taskset([spec], split="test", view_size=448).task_ids() or ()
            pairs = [(place, member) for place in range(len(samples)) for member in members]
            requests = [
                (number, RolloutRequest(task_id=ids[place], member=member, seed=_seed(samples[place].id, member)))
                for number, (place, member) in enumerate(pairs)
            ]
            for played in played_by(agent, self._factory(agent, spec), requests, parallel=parallel):
                found[pairs[played.number][0]].add(played)
        return found

    def _factory(self, agent: Agent | BatchAgent, taskset: str) -> EnvFactory:
        own: Mapping[str, Any] = getattr(agent, "env_kwargs", {})
        kwargs: dict[str, Any] = {"taskset": [taskset], "split": "test", "grader": self.grader, "sandbox": self.sandbox}
        kwargs |= {name: own[name] for name in _OWN if own.get(name) is not None}
        kwargs |= {"dialect": self.dialect} if self.dialect else {}
        kwargs |= {} if self.tools is None else {"tools": self.tools}
        return EnvFactory(_ENV, kwargs)


def _sampling(spec: str) -> str:
    """The agent's spec at temperature 1, where it has a temperature that would else be 0."""
    try:
        name, parameters = parse_spec(spec)
        factory = AGENTS.get(name)
    except UnknownNameError:
        return spec
    known = inspect.signature(factory).parameters.get("temperature")
    if known is None or known.default != 0.0 or "temperature" in parameters:
        return spec
    return format_spec(name, {**parameters, "temperature": 1.0})


def who(spec: str) -> str:
    """An agent's spec without what says where and how patiently it is asked: answers do not depend on that.

    >>> who('openai:model=m,base_url="http://127.0.0.1:8000/v1",attempts=2')
    'openai:model=m'
    """
    name, parameters = parse_spec(spec)
    return format_spec(name, {key: value for key, value in parameters.items() if key not in _WHERE})


def _written(samples: Sequence[Sample], folder: Path, *, sees_all: bool) -> Path:
    """The samples as a file of tasks.

    Args:
        samples: What is played.
        folder: Where the file is written.
        sees_all: Give the images that tools work on; else those that the prompt shows.
    """
    rows = [
        {
            "question": sample.question,
            "answer": sample.gold or sample.answer,
            "options": list(sample.options),
            "candidates": list(sample.candidates),
            "images": [
                {"bytes": image.data, "path": None} for image in (tool_images(sample) if sees_all else sample.images)
            ],
        }
        for sample in samples
    ]
    (name,) = write_tables(folder, [(task_schema(), rows)])
    return folder / name


def _seed(name: str, member: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{name}:{member}".encode()).digest()[:8], "big") >> 1
