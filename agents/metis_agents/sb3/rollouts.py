"""Between stable-baselines3's policies and the trainer: who plays a round, and what was the log-probability of it.

What is random in a round depends on the run's seed and the round's number only. So there is no generator to be saved,
and a resumed run plays as it would have.

Axes: M actions of B episodes end to end, T the most actions of an episode, A possible actions.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from metis_agents.rl import Rollout, TokenLogprobs
from metis_agents.sb3.group_env import GroupVecEnv
from metis_agents.sub_envs import Observations, Returned
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = [
    "ActionSampler",
    "GroupCollector",
    "Played",
    "PolicyAdapter",
    "Seen",
    "action_logprobs",
    "draw",
    "play_round",
]

OnStep = Callable[[Returned], None]
ActionSampler = Callable[["Seen", NDArray[np.intp], np.random.Generator], NDArray[np.int64]]


class Seen:
    """The different observations of a round, each kept once.

    The members of a group see the same thing until they act differently, so a round of 256 episodes holds some forty
    different observations: what a policy says of them is computed once and gathered.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._kept: list[Observations] = []

    def add(self, observations: Observations) -> NDArray[np.intp]:
        """Take in n observations; for each of them, its row among the different ones."""
        columns = [
            np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8) for values in observations.values()
        ]
        flat = np.concatenate(columns, axis=1)
        rows = np.empty(len(flat), dtype=np.intp)
        for index, row in enumerate(flat):
            known = self._rows.setdefault(row.tobytes(), len(self._kept))
            if known == len(self._kept):
                self._kept.append({key: values[index] for key, values in observations.items()})
            rows[index] = known
        return rows

    def of(self, rows: NDArray[np.intp]) -> Observations:
        """The observations of these rows."""
        return {key: np.stack([self._kept[row][key] for row in rows]) for key in self._kept[0]}


@dataclass(frozen=True, eq=False)
class Played:
    """What was seen and done in one episode.

    Attributes:
        seen: The observations of the whole round.
        rows: Which of them this episode saw, one before each action, among the different ones.
        actions: The actions.
    """

    seen: Seen
    rows: list[int] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)


def play_round(
    env: GroupVecEnv, round_number: int, sample: ActionSampler, rng: np.random.Generator, on_step: OnStep
) -> list[list[Rollout[Played]]]:
    """Play one round: every sub-environment one episode.

    Args:
        env: The sub-environments.
        round_number: Which round of the run's stream of tasks.
        sample: Chooses actions.
        rng: What `sample` draws from.
        on_step: Called after every step with what the sub-environments that took it returned.

    Returns:
        One list of rollouts for each group.
    """
    observations, seen = env.begin(round_number), Seen()
    played = [Played(seen) for _ in range(env.num_envs)]
    outcomes: dict[int, Outcome] = {}
    active = np.arange(env.num_envs)
    while len(active):
        rows = seen.add(observations)
        actions = sample(seen, rows, rng)
        for sub_env, row, action in zip(active.tolist(), rows.tolist(), actions.tolist(), strict=True):
            played[sub_env].rows.append(row)
            played[sub_env].actions.append(action)
        returned = env.play(active, actions)
        is_over = returned.terminated | returned.truncated
        for position in np.flatnonzero(is_over):
            outcomes[int(active[position])] = Outcome.from_info(returned.infos[position])
        on_step(returned)
        active = active[~is_over]
        observations = {key: values[~is_over] for key, values in returned.observations.items()}
    rollouts = [
        Rollout(outcome=outcomes[sub_env], model_tokens=len(episode.actions), payload=episode)
        for sub_env, episode in enumerate(played)
    ]
    return [rollouts[start : start + env.group_size] for start in range(0, len(rollouts), env.group_size)]


class PolicyAdapter:
    """A stable-baselines3 policy as the trainer's `Policy`, and as what samples actions.

    Args:
        policy: With a categorical distribution over actions.
        entropy: Whether `logprobs` gives the entropy at every action.
        anchored: Whether it gives the log-probabilities under `reference`.

    Attributes:
        reference: A copy of the policy that a KL penalty holds on to; see `anchor`.
    """

    def __init__(self, policy: ActorCriticPolicy, *, entropy: bool = False, anchored: bool = False) -> None:
        self.policy = policy
        self.reference: ActorCriticPolicy | None = None
        self._entropy, self._anchored = entropy, anchored

    def anchor(self) -> None:
        """Keep the policy as it is now as the reference, if one is needed and there is none yet."""
        if self._anchored and self.reference is None:
            kept: Any = self.policy.action_dist  # holds what was computed last, gradients and all
            self.reference = copy.deepcopy(self.policy, {id(kept): copy.copy(kept)})
            self.reference.requires_grad_(False)

    def logprobs(self, rollouts: Sequence[Rollout[Played]]) -> TokenLogprobs:
        """Log-probability of every action, from one forward pass over all observations; shape (B, T)."""
        episodes = [rollout.payload for rollout in rollouts]
        is_action_BT = torch.from_numpy(_mask([len(episode.actions) for episode in episodes])).to(self._device)
        rows_M = np.concatenate([np.asarray(episode.rows, dtype=np.intp) for episode in episodes])
        actions_M = torch.tensor([action for episode in episodes for action in episode.actions], device=self._device)
        self.policy.set_training_mode(True)

        def laid_out(values_M: Tensor) -> Tensor:
            return values_M.new_zeros(is_action_BT.shape).masked_scatter(is_action_BT, values_M)

        def taken(logprobs_MA: Tensor) -> Tensor:
            return laid_out(logprobs_MA.gather(1, actions_M[:, None]).squeeze(1))

        seen = episodes[0].seen
        logprobs_MA = self._log_softmax(self.policy, seen, rows_M)
        entropy_BT = laid_out(-(logprobs_MA.exp() * logprobs_MA).sum(1)) if self._entropy else None
        reference_BT = None
        if self._anchored:
            self.anchor()
            assert self.reference is not None
            with torch.no_grad():
                reference_BT = taken(self._log_softmax(self.reference, seen, rows_M))
        return TokenLogprobs(taken(logprobs_MA), is_action_BT, entropy_BT, reference_BT)

    @torch.no_grad()
    def sample(self, seen: Seen, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw one action for each of these rows of what was seen."""
        self.policy.set_training_mode(False)
        return draw(self._log_softmax(self.policy, seen, rows).cpu().numpy(), rng.random(len(rows)))

    def parameters(self) -> Iterable[nn.Parameter]:
        """The parameters of the policy."""
        return self.policy.parameters()

    def state_dict(self) -> Mapping[str, Any]:
        """The state of the policy, for checkpoints."""
        return self.policy.state_dict()

    def load_state_dict(self, state: Mapping[str, Any], /) -> object:
        """Load the policy's weights."""
        return self.policy.load_state_dict(state)

    @property
    def _device(self) -> torch.device:
        return self.policy.device

    def _log_softmax(self, policy: ActorCriticPolicy, seen: Seen, rows_M: NDArray[np.intp]) -> Tensor:
        """Log-probabilities of all actions, shape (M, A), from one forward pass over the different observations."""
        different, where_M = np.unique(rows_M, return_inverse=True)
        return action_logprobs(policy, seen.of(different))[torch.from_numpy(where_M).to(self._device)]


class GroupCollector:
    """Plays rounds with a policy, as the trainer's `Collector`.

    Args:
        policy: Who plays.
        seed: Of the actions, with the round's number.

    Attributes:
        env: Where; to be set before anything is collected.
        on_step: Called after every step.
        round: The number of the next round.
    """

    def __init__(self, policy: PolicyAdapter, seed: int) -> None:
        self.env: GroupVecEnv | None = None
        self.on_step: OnStep = lambda _: None
        self.round = 0
        self._policy, self._seed = policy, seed

    def collect(self, tasks: int, group_size: int) -> list[list[Rollout[Played]]]:
        """Play the next round.

        Raises:
            ConfigError: There is no environment, or it has other groups.
        """
        if self.env is None or (self.env.tasks, self.env.group_size) != (tasks, group_size):
            actually = f"{self.env.tasks} × {self.env.group_size}" if self.env else "none"
            raise ConfigError(f"Expect an environment of {tasks} tasks × {group_size} members, actually: {actually}")
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, self.round]))
        groups = play_round(self.env, self.round, self._policy.sample, rng, self.on_step)
        self.round += 1
        return groups

    def state_dict(self) -> dict[str, Any]:
        """The number of the next round."""
        return {"round": self.round}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Continue with the tasks of the round that the state names."""
        self.round = state["round"]


def action_logprobs(policy: ActorCriticPolicy, observations: Observations) -> Tensor:
    """Log-probabilities of all actions, one row for each observation; images may have either order of axes."""
    distribution: Any = policy.get_distribution(policy.obs_to_tensor(observations)[0])
    logprobs: Tensor = distribution.distribution.logits  # torch's Categorical has normalised them
    return logprobs


def draw(logprobs_BA: NDArray[np.float32], uniforms_B: NDArray[np.float64]) -> NDArray[np.int64]:
    """One action for each row of log-probabilities, by the inverse of the cumulative distribution.

    Args:
        logprobs_BA: Log-probabilities, normalised or not.
        uniforms_B: One number from [0, 1) for each row.

    >>> draw(np.log(np.array([[0.1, 0.9], [0.9, 0.1]], dtype=np.float32)), np.array([0.5, 0.5])).tolist()
    [1, 0]
    """
    cumulative_BA = np.exp(logprobs_BA.astype(np.float64)).cumsum(axis=1)
    drawn_B1 = uniforms_B[:, None] * cumulative_BA[:, -1:]
    actions: NDArray[np.int64] = (cumulative_BA <= drawn_B1).sum(axis=1).clip(max=logprobs_BA.shape[1] - 1)
    return actions


def _mask(lengths: Sequence[int]) -> NDArray[np.bool_]:
    is_action_BT: NDArray[np.bool_] = np.arange(max(lengths))[None, :] < np.asarray(lengths)[:, None]
    return is_action_BT
