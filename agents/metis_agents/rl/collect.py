"""What the trainer asks of others: finished episodes in groups, and log-probabilities of what was done in them.

Three small contracts. A `Rollout` is one finished episode. A `Collector` plays P tasks, G episodes each. A `Policy`
recomputes log-probabilities. The trainer knows nothing else of environments, models or tokens;
`metis_agents.rl.bandit` is the smallest example of all three.

Axes: B episodes of a micro-batch, T tokens of the longest of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["Collector", "Policy", "Rollout", "TokenLogprobs", "check_groups", "group_by_task"]

Payload = TypeVar("Payload")


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout(Generic[Payload]):
    """One finished episode.

    Attributes:
        outcome: What reward designs see of it.
        model_tokens: How many tokens (or actions) the model itself generated. Known without a forward pass, because the
            loss's denominators also count episodes that never get one.
        payload: Whatever the policy needs to recompute log-probabilities: token ids, observations and actions, ….
        length: Tokens of the whole sequence, prompt and tool output included, for the token budget of a micro-batch;
            0 stands for `model_tokens`.
    """

    outcome: Outcome
    model_tokens: int
    payload: Payload
    length: int = 0

    def __post_init__(self) -> None:
        if self.model_tokens < 0 or (self.length and self.length < self.model_tokens):
            raise ConfigError(
                f"Expect 0 ≤ model_tokens ≤ length for task {self.outcome.task_id!r}, actually: model_tokens "
                f"{self.model_tokens}, length {self.length}"
            )

    @property
    def cost(self) -> int:
        """Tokens that this episode takes in a micro-batch."""
        return self.length or self.model_tokens


class TokenLogprobs(NamedTuple):
    """What a policy says about a micro-batch of episodes; padding may hold anything.

    Attributes:
        logprobs_BT: Log-probability of every token under the current parameters.
        is_model_token_BT: True where the model generated the token, False for prompts, tool output and padding.
        entropy_BT: Entropy at every token; only with an entropy bonus.
        reference_logprobs_BT: Log-probabilities under a frozen reference; only with a KL term.
        sampled_logprobs_BT: What the engine that sampled the tokens said of them; only with an importance cap.
    """

    logprobs_BT: Tensor
    is_model_token_BT: Tensor
    entropy_BT: Tensor | None = None
    reference_logprobs_BT: Tensor | None = None
    sampled_logprobs_BT: Tensor | None = None


class Policy(Protocol[Payload]):
    """What learns. An `nn.Module` with a `logprobs` method is one."""

    def logprobs(self, rollouts: Sequence[Rollout[Payload]]) -> TokenLogprobs:
        """Log-probabilities of what was done in the episodes, differentiable in the parameters."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that the optimiser updates."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Everything needed to go on later."""
        ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> object:
        """Take up a state that `state_dict` gave."""
        ...


class Collector(Protocol[Payload]):
    """What plays. It knows the policy and the environments; the trainer does not."""

    def collect(self, tasks: int, group_size: int) -> Sequence[Sequence[Rollout[Payload]]]:
        """Play `tasks` tasks with the current policy, `group_size` episodes of each; one sequence per task."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Where it is: task order, random generators."""
        ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> object:
        """Take up a state that `state_dict` gave."""
        ...


def group_by_task(rollouts: Iterable[Rollout[Payload]], group_size: int) -> list[list[Rollout[Payload]]]:
    """Sort finished episodes into groups of one task, tasks in the order of their first episode.

    A task that was played `k·group_size` times makes k groups.

    Raises:
        ConfigError: A task with another number of episodes.
    """
    by_task: dict[str, list[Rollout[Payload]]] = {}
    for rollout in rollouts:
        by_task.setdefault(rollout.outcome.task_id, []).append(rollout)
    groups = []
    for task_id, episodes in by_task.items():
        if len(episodes) % group_size:
            raise ConfigError(
                f"Expect the episodes of a task to be a multiple of group_size ({group_size}), actually: "
                f"{len(episodes)} of task {task_id!r}"
            )
        groups += [episodes[start : start + group_size] for start in range(0, len(episodes), group_size)]
    return groups


def check_groups(groups: Sequence[Sequence[Rollout[Any]]], tasks: int, group_size: int) -> None:
    """Check that a collector gave what it was asked for.

    Raises:
        ConfigError: Another number of groups, a group of another size, or one of several tasks.
    """
    if len(groups) != tasks:
        raise ConfigError(f"Expect {tasks} groups from the collector, actually: {len(groups)}")
    for index, group in enumerate(groups):
        if len(group) != group_size:
            raise ConfigError(f"Expect group_size ({group_size}) episodes in group {index}, actually: {len(group)}")
        for rollout in group:
            if rollout.outcome.task_id != group[0].outcome.task_id:
                raise ConfigError(
                    f"Expect one task in group {index}, actually: {group[0].outcome.task_id!r} and "
                    f"{rollout.outcome.task_id!r}"
                )
