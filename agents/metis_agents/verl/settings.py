"""What of verl's configuration is ours: `data.metis`, which every process of a run sees."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from metis_agents.qwen3vl.rollouts.rollout import Budget
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.parameters import check_parameters, whole
from metis_gym.registration import register_all

__all__ = ["VerlSettings"]


@dataclass(frozen=True, kw_only=True)
class VerlSettings:
    """What is played, and what is learned from it.

    Attributes:
        env_id: Id of the environment.
        env: Arguments of the environment.
        design: Name or spec of the reward design.
        tasks: Tasks of an epoch.
        test_tasks: Tasks of a validation.
        seed: Of the tasks.
        turn_tokens: Longest turn of the model; none for as long as the response.
        observation_tokens: Longest observation.
        threads: Threads in which the environments of one worker take their turns.
        episodes: Most episodes that one worker plays at a time; each may hold a sandbox session open.
    """

    env_id: str = "MetisVQA-v0"
    env: Mapping[str, Any] = field(default_factory=dict)
    design: str = "hdpo"
    tasks: int = whole(25_600, low=1)
    test_tasks: int = whole(256, low=1)
    seed: int = whole(0, low=0)
    turn_tokens: int | None = whole(None, low=1, optional=True)
    observation_tokens: int = whole(Budget.observation, low=1)
    threads: int = whole(8, low=1)
    episodes: int = whole(64, low=1)

    def __post_init__(self) -> None:
        check_parameters(self)
        rewards.make(self.design)

    def as_text(self) -> str:
        """JSON, as it stands in verl's configuration."""
        return json.dumps({**vars(self), "env": dict(self.env)}, sort_keys=True)

    @classmethod
    def of(cls, config: Any) -> "VerlSettings":
        """Read the settings from verl's `data` configuration.

        Raises:
            ConfigError: They are not there, or not valid.
        """
        text = config.get("metis", None)
        if not isinstance(text, str):
            raise ConfigError(
                "Expect data.metis in verl's configuration, as `metis-gym verl` writes it, actually: none"
            )
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"cannot read data.metis: {error}") from error

    def make_env(self, split: str) -> gym.Env[Any, Any]:
        """An environment of a split."""
        register_all()
        return gym.make(self.env_id, disable_env_checker=True, **{"noise_key": self.seed, **self.env, "split": split})

    def budget(self, prompt: int, response: int) -> Budget:
        """How many tokens the parts of an episode may have, with verl's lengths of prompt and response."""
        turn = response if self.turn_tokens is None else min(self.turn_tokens, response)
        return Budget(prompt=prompt, response=response, turn=turn, observation=min(self.observation_tokens, response))
