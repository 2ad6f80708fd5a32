"""A stable-baselines3 policy as an agent that plays many episodes at a time."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from metis_agents.agent import MakeEnv, RolloutRequest
from metis_agents.sb3.rollouts import Seen, action_logprobs, draw
from metis_agents.sub_envs import LocalSubEnvs, Observations
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["PolicyAgent", "load_agent"]

_BATCH = 128


class PolicyAgent:
    """Plays with a policy of stable-baselines3.

    Args:
        policy: Any of the library. One with a categorical distribution is sampled from, as in training; any other gives
            its best action.
        name: Names its rows in tables.
        answers_only: Switch the tools off: actions are drawn among the answers.

    Raises:
        ConfigError: `answers_only` with a policy that has no distribution over actions.
    """

    env_id = "MetisVQA-Discrete-v0"

    def __init__(self, policy: BasePolicy, *, name: str = "policy", answers_only: bool = False) -> None:
        self.policy, self.name, self.answers_only = policy, name, answers_only
        if answers_only and not isinstance(policy, ActorCriticPolicy):
            raise ConfigError(
                f"Expect a policy with a distribution over actions for answers_only, actually: {type(policy).__name__}"
            )

    def play(self, make_env: MakeEnv, requests: Sequence[RolloutRequest]) -> Iterator[tuple[int, Outcome]]:
        """Play episodes; what is drawn in one depends on its own seed only.

        Args:
            make_env: Makes an environment of the numeric view.
            requests: The episodes.

        Yields:
            The place of a request and its outcome.
        """
        with contextlib.closing(LocalSubEnvs(make_env, min(len(requests), _BATCH))) as envs:
            choices = int(envs.call([0], "get", "choices")[0])
            for start in range(0, len(requests), _BATCH):
                batch = requests[start : start + _BATCH]
                for place, outcome in self._play_batch(envs, batch, choices).items():
                    yield start + place, outcome

    def _play_batch(self, envs: LocalSubEnvs, requests: Sequence[RolloutRequest], choices: int) -> dict[int, Outcome]:
        random = [np.random.default_rng(request.seed) for request in requests]
        active = np.arange(len(requests))
        observations = envs.reset(active.tolist(), [request.pin.options for request in requests]).observations
        outcomes: dict[int, Outcome] = {}
        while len(active):
            uniforms = np.array([random[place].random() for place in active])
            actions = self._act(observations, uniforms, choices)
            returned = envs.step(active.tolist(), actions.tolist())
            is_over = returned.terminated | returned.truncated
            for position in np.flatnonzero(is_over):
                outcomes[int(active[position])] = Outcome.from_info(returned.infos[position])
            active = active[~is_over]
            observations = {key: values[~is_over] for key, values in returned.observations.items()}
        return dict(sorted(outcomes.items()))

    @torch.no_grad()
    def _act(self, observations: Observations, uniforms_B: NDArray[np.float64], choices: int) -> NDArray[np.int64]:
        self.policy.set_training_mode(False)
        if not isinstance(self.policy, ActorCriticPolicy):
            actions: Any = self.policy.predict(observations, deterministic=True)[0]
            return np.asarray(actions, dtype=np.int64)
        seen = Seen()
        rows = seen.add(observations)
        different, where = np.unique(rows, return_inverse=True)
        logprobs_BA = action_logprobs(self.policy, seen.of(different)).cpu().numpy()[where]
        return draw(logprobs_BA[:, :choices] if self.answers_only else logprobs_BA, uniforms_B)


def load_agent(path: str, *, answers_only: bool = False) -> PolicyAgent:
    """The policy of a model that `metis_agents.sb3.HDPO` saved.

    Args:
        path: The zip file.
        answers_only: Switch the tools off: actions are drawn among the answers.

    Raises:
        ConfigError: There is no such file.
    """
    from metis_agents.sb3.algorithm import HDPO

    if not Path(path).is_file():
        raise ConfigError(f"there is no file {path!r}")
    return PolicyAgent(HDPO.load(path, device="cpu").policy, name=Path(path).stem, answers_only=answers_only)
