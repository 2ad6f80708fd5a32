"""The cold start: behaviour cloning of scripted agents, with a tool rate that is set and reported.

The paper's effect needs a policy that *can* answer directly and calls the tool all the same. So the demonstrations are
those of the always-tool agent and of the never-tool agent on the same tasks, and the loss is in three parts, each with
its own share of the gradient:

* the *decision* to call, against the wanted rate of the task's kind (97 % where no tool is needed, 99 % where one is);
* the *call*, given that one is made: the cell that holds the deciding detail;
* the *answer*, given that one is given: direct, and after the call.

A direct answer is thus learned as well as the network can, however rarely it will be given. Where a tool is needed the
never-tool agent guesses, and so does the clone: it learns the chances of the guess, not one draw. Draws are noise, in
which some seeds never learned to answer directly; a reward then has nothing to teach.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from metis_agents.sb3.rollouts import action_logprobs
from metis_agents.scripted import AlwaysToolAgent, NeverToolAgent
from metis_agents.sub_envs import Observations
from metis_gym.backstage import backstage
from metis_gym.parameters import check_parameters, number, whole
from metis_gym.records import Necessity

__all__ = ["Demonstrations", "SFTConfig", "clone", "cold_start", "demonstrate"]

_AFTER_CALL_RATE = 0.001
_DECISION_WEIGHT = 2.0


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """How to clone.

    Attributes:
        tasks: Tasks that are demonstrated in the cold start.
        epochs: How often the demonstrations are gone through.
        batch_size: Demonstrated tasks in one step.
        lr: Learning rate at the beginning of the cold start; it falls to 0 along a cosine.
        rate_none: Wanted tool rate of the cold start on tasks that need no tool.
        rate_required: Wanted tool rate of the cold start on tasks that need one.
        seed: Seed of tasks and order.
    """

    tasks: int = whole(1600, low=1)
    epochs: int = whole(12, low=1)
    batch_size: int = whole(32, low=1)
    lr: float = number(2e-3, above=0)
    rate_none: float = number(0.97, low=0, high=1)
    rate_required: float = number(0.99, low=0, high=1)
    seed: int = whole(0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What the scripted agents saw and did on n tasks.

    Attributes:
        before: The observations at reset, arrays of shape (n, …).
        after: The observations after the call.
        calls: The call, shape (n,).
        direct: The chance of each answer without a call, shape (n, choices): all on the right one where none is
            needed, else a guess.
        answers: The answer after the call.
        needs_tool: Whether a tool is needed.
    """

    before: Observations
    after: Observations
    calls: NDArray[np.int64]
    direct: NDArray[np.float32]
    answers: NDArray[np.int64]
    needs_tool: NDArray[np.bool_]

    def rows(self, rows: NDArray[np.intp]) -> "Demonstrations":
        """The demonstrations of some tasks only, given by their indices."""
        return Demonstrations(
            before={key: values[rows] for key, values in self.before.items()},
            after={key: values[rows] for key, values in self.after.items()},
            calls=self.calls[rows],
            direct=self.direct[rows],
            answers=self.answers[rows],
            needs_tool=self.needs_tool[rows],
        )


def demonstrate(env: gym.Env[Any, Any], tasks: int, seed: int) -> Demonstrations:
    """Let the always-tool and the never-tool agent play the same tasks, with tools that are right.

    Args:
        env: The numeric view.
        tasks: How many.
        seed: Of the tasks.
    """
    inside = backstage(env)
    inside.use_tool_noise(0.0)
    choices = env.get_wrapper_attr("choices")
    seen: list[tuple[Any, Any, int, NDArray[np.float32], int, bool]] = []
    for stream in np.random.SeedSequence([seed, tasks]).spawn(tasks):
        before, _ = env.reset(seed=int(stream.generate_state(1)[0]))
        task, rng = inside.episode.task, np.random.default_rng(stream)
        possible = [inside.encode_action({"answer": answer}) for answer in NeverToolAgent().answers(task)]
        chances = (np.bincount(possible, minlength=choices) / len(possible)).astype(np.float32)
        call, answer = (inside.encode_action(action) for action in AlwaysToolAgent().script(task, rng))
        after = env.step(call)[0]
        seen.append((before, after, call, chances, answer, task.necessity is Necessity.REQUIRED))
    before, after, calls, direct, answers, needs_tool = zip(*seen, strict=True)
    return Demonstrations(
        before=_columns(before),
        after=_columns(after),
        calls=np.array(calls),
        direct=np.stack(direct),
        answers=np.array(answers),
        needs_tool=np.array(needs_tool),
    )


def cold_start(
    policy: ActorCriticPolicy,
    env_id: str = "MetisVQA-Discrete-v0",
    config: SFTConfig | None = None,
    **make_kwargs: Any,
) -> None:
    """Demonstrate and clone, in place.

    Args:
        policy: What learns.
        env_id: The numeric environment.
        config: How.
        **make_kwargs: For `gymnasium.make`.
    """
    config = config or SFTConfig()
    with contextlib.closing(gym.make(env_id, disable_env_checker=True, **make_kwargs)) as env:
        choices = env.get_wrapper_attr("choices")
        clone(policy, demonstrate(env, config.tasks, config.seed), choices, config)


def clone(policy: ActorCriticPolicy, shown: Demonstrations, choices: int, config: SFTConfig) -> None:
    """Fit the policy to demonstrations, in place.

    Args:
        policy: What learns; its optimiser is not used.
        shown: What it is shown.
        choices: Number of answer options: actions below it are answers, all others calls.
        config: How.
    """
    steps = config.epochs * -(-len(shown.calls) // config.batch_size)
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = np.random.default_rng(config.seed)
    policy.set_training_mode(True)
    for _ in range(config.epochs):
        shuffled = order.permutation(len(shown.calls))
        for start in range(0, len(shuffled), config.batch_size):
            batch = shown.rows(shuffled[start : start + config.batch_size])
            optimizer.zero_grad()
            _loss(policy, batch, choices, config).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _loss(policy: ActorCriticPolicy, batch: Demonstrations, choices: int, config: SFTConfig) -> Tensor:
    """The three parts, for the turn before the call and the turn after it."""
    device = policy.device
    before_BA, after_BA = (action_logprobs(policy, turn) for turn in (batch.before, batch.after))
    wanted_B = torch.from_numpy(np.where(batch.needs_tool, config.rate_required, config.rate_none)).float().to(device)
    calls_B, direct_B, answers_B = (
        torch.from_numpy(actions).to(device) for actions in (batch.calls, batch.direct, batch.answers)
    )
    cross_entropy = torch.nn.functional.cross_entropy
    return (
        _DECISION_WEIGHT * _decision_loss(before_BA, wanted_B, choices)
        + cross_entropy(before_BA[:, choices:], calls_B - choices)
        + cross_entropy(before_BA[:, :choices], direct_B)
        + _decision_loss(after_BA, torch.full_like(wanted_B, _AFTER_CALL_RATE), choices)
        + cross_entropy(after_BA[:, :choices], answers_B)
    )


def _decision_loss(logits_BA: Tensor, wanted_B: Tensor, choices: int) -> Tensor:
    """Cross-entropy of calling at all: the log-odds are the difference of the two parts' log-sum-exp."""
    log_odds_B = logits_BA[:, choices:].logsumexp(1) - logits_BA[:, :choices].logsumexp(1)
    return torch.nn.functional.binary_cross_entropy_with_logits(log_odds_B, wanted_B)


def _columns(observations: Sequence[Observations]) -> Observations:
    return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
