"""What a comparison consists of: designs × seeds, all from the same start and on the same tasks.

A run is named by a fingerprint of everything that its numbers depend on, the code included. So a result that lies in
the folder is the result of exactly this run, and a comparison that is started again does only what is missing.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metis_agents.compare.fingerprint import design_source, fingerprint
from metis_agents.sb3 import SFTConfig
from metis_agents.settings.fields import frozen
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.parameters import check_parameters, number, whole
from metis_gym.registries import format_spec, parse_spec

__all__ = ["Plan", "Run", "Settings", "Start", "batches_of", "canonical", "without_weight"]

_NOT_OF_THE_START = ("grader_noise", "noise_key", "reward", "prices", "show_prices", "split")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all runs of a comparison share.

    Attributes:
        env_id: Id of the numeric environment.
        env: Arguments for `gymnasium.make`, such as `{"grader_noise": 0.3, "choices": 4}`.
        batches: Batches of every run.
        tasks: P, tasks in a batch.
        group_size: G, episodes of each task.
        learning_rate: Learning rate of Adam for the first half of the batches; it then falls to 0 along a line.
        eval_tasks: Tasks of the test split that are played at the end.
        eval_episodes: Episodes of each task of the test split.
        checkpoint_every: Batches between checkpoints. Changes no number.
        start: The cold start; its seed is replaced by the run's.
    """

    env_id: str = "MetisVQA-Discrete-v0"
    env: Mapping[str, Any] = field(default_factory=dict)
    batches: int = whole(200, low=1)
    tasks: int = whole(8, low=1)
    group_size: int = whole(32, low=2)
    learning_rate: float = number(5e-4, above=0)
    eval_tasks: int = whole(256, low=1)
    eval_episodes: int = whole(4, low=1)
    checkpoint_every: int = whole(10, low=1)
    start: SFTConfig = field(default_factory=SFTConfig)

    def __post_init__(self) -> None:
        check_parameters(self)
        object.__setattr__(self, "env", frozen(self.env))

    def learning_rate_at(self, batch: int) -> float:
        """The learning rate of a batch, counted from 0.

        >>> [Settings(batches=4, learning_rate=0.1).learning_rate_at(batch) for batch in range(4)]
        [0.1, 0.1, 0.1, 0.05]
        """
        return self.learning_rate * min(1.0, 2 * (self.batches - batch) / self.batches)


@dataclass(frozen=True, kw_only=True)
class Start:
    """A cold start. All designs of a seed share it, whatever the grader's noise.

    Tools are right in its demonstrations. Where its policy and those trained from it are played, they are wrong as
    often as in training (`tool_noise`).

    Attributes:
        seed: The run's.
        settings: The comparison's.
    """

    seed: int
    settings: Settings

    @property
    def env(self) -> dict[str, Any]:
        """The part of the environment's arguments that a cold start depends on."""
        return {key: value for key, value in self.settings.env.items() if key not in _NOT_OF_THE_START}

    @property
    def config(self) -> SFTConfig:
        """The supervised fine-tuning that this cold start is made by, with its own seed."""
        return dataclasses.replace(self.settings.start, seed=self.seed)

    @property
    def key(self) -> str:
        """Fingerprint of everything that it depends on."""
        played = (self.settings.eval_tasks, self.settings.eval_episodes)
        return fingerprint([self.settings.env_id, self.env, dataclasses.asdict(self.config), played])


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training.

    Attributes:
        design: Spec of the reward design.
        seed: Of weights, tasks, actions and grader noise.
        settings: The comparison's.
    """

    design: str
    seed: int
    settings: Settings

    @property
    def start(self) -> Start:
        """The cold start that this run continues from; runs of one seed share it."""
        return Start(seed=self.seed, settings=self.settings)

    @property
    def key(self) -> str:
        """A readable name that ends in the fingerprint of everything that its numbers depend on."""
        settings = dataclasses.asdict(self.settings)
        del settings["checkpoint_every"]
        readable = re.sub(r"[^A-Za-z0-9.=-]+", "_", self.design)[:80]
        return (
            f"{readable}-seed{self.seed}-{fingerprint([self.design, design_source(self.design), self.seed, settings])}"
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Designs × seeds.

    Attributes:
        designs: Reward designs, such as accuracy, hdpo:w_tool=0.15, coupled:alpha=0.1 or, of one's own,
            my_pkg.rewards:Halved.
        seeds: The seeds of weights, tasks, actions and grader noise.
        settings: What all runs share.

    Raises:
        ConfigError: An unknown design, one that is given twice, or no design or seed at all.
    """

    designs: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not self.designs or not self.seeds:
            raise ConfigError(f"Expect at least one design and one seed, actually: {self.designs}, {self.seeds}")
        object.__setattr__(self, "designs", tuple(canonical(design) for design in self.designs))
        _check_once("design", self.designs)
        _check_once("seed", self.seeds)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, seed by seed, so that the first results already compare all designs."""
        return tuple(
            Run(design=design, seed=seed, settings=self.settings) for seed in self.seeds for design in self.designs
        )


def batches_of(timesteps: int, tasks: int, group_size: int) -> int:
    """Batches that so many environment steps are enough for, at the cold start's two steps an episode.

    All designs play the same number of episodes: those that call fewer tools end with fewer steps.

    >>> batches_of(30_000, tasks=16, group_size=16)
    59
    """
    return max(1, math.ceil(timesteps / (2 * tasks * group_size)))


def canonical(spec: str) -> str:
    """A design's spec with the parameters that are not the default, sorted.

    >>> canonical("coupled:gated=true,alpha=0.3")
    'coupled:alpha=0.3'
    """
    return rewards.spec_of(rewards.make(spec))


def without_weight(design: str) -> str:
    """A spec without its numbers.

    >>> without_weight("coupled:alpha=1,gated=false")
    'coupled:gated=false'
    """
    name, parameters = parse_spec(design)
    return format_spec(name, {key: value for key, value in parameters.items() if isinstance(value, bool | str)})


def _check_once(what: str, values: Iterable[Any]) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{what} {value!r} is given twice")
        seen.add(value)
