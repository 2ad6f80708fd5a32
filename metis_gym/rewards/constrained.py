"""Constrained designs: the price of a call is learned, so that a budget is kept on average."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch, check_outcome
from metis_gym.rewards.contract import Channel, Groups
from metis_gym.rewards.design import Card, CountsCalls, Design, Evidence, everyones_channel, scores_apart
from metis_gym.rewards.estimators import dr_grpo, grpo
from metis_gym.rewards.statistics import mean

__all__ = ["Lagrangian"]


@dataclass(kw_only=True, eq=False)
class Lagrangian(CountsCalls, Design):
    """`max E[c]` such that `E[T] ≤ d`: PPO-Lagrangian (Ray et al. 2019, safety-starter-agents) on groups.

    `A = (A_R − λ·A_C)/(1 + λ)`, A_R the group-normalised c, A_C the centred but not rescaled T (as the released code
    treats costs). λ = softplus(θ); every call of `channels` is one step `θ ← θ + η·(mean T − d)`, taken before the
    advantages, so it must see the whole batch, all ranks together. In ordinary RL nobody calls `channels`: the scalar
    is `(c − λ·T)/(1 + λ)` with λ as it stands, and `update` moves it.

    Args:
        limit: d, the mean number of calls allowed.
        eta: η, the step of θ.
        lambda0: λ before the first step.
    """

    name = "lagrangian"
    card: ClassVar[Card] = Card(
        kind="constrained",
        source="PPO-Lagrangian, Ray et al. 2019",
        formula="A = (GN(c) − λ·(T − mean))/(1 + λ), λ = softplus(θ), θ ← θ + η·(mean T − d)",
        evidence=Evidence.CODE,
    )

    limit: float = number(0.2, low=0)
    eta: float = number(0.05, low=0)
    lambda0: float = number(1.0, above=0)
    _theta: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        # The inverse of softplus, log(e^λ − 1), without overflow.
        self._theta = self.lambda0 + math.log(-math.expm1(-self.lambda0))

    @property
    def multiplier(self) -> float:
        """λ = softplus(θ), the current price of a call."""
        return max(self._theta, 0.0) + math.log1p(math.exp(-abs(self._theta)))

    def update(self, mean_calls: float) -> None:
        """One step of the multiplier: `θ ← θ + η·(mean T − d)`."""
        self._theta += self.eta * (mean_calls - self.limit)

    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """`reward`, the scalar at the current multiplier; `accuracy`, `format` and `cost` (T), unmixed."""
        if not outcome.scored:
            return scores_apart(outcome, 0.0, cost=0.0)
        check_outcome(outcome)
        correct, calls, price = float(outcome.correct), self.spent(outcome), self.multiplier
        return scores_apart(outcome, (correct - price * calls) / (1.0 + price), cost=calls)

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """Step the multiplier by the batch's mean calls, then give the joined advantages."""
        batch = Batch.of(groups)
        calls_N = batch.each(self.spent)
        if batch.scored_N.any():
            self.update(mean(calls_N[batch.scored_N]))
        reward_N = grpo(batch.correct_N.astype(np.float64), batch.scored_N, batch, self.scale)
        cost_N = dr_grpo(calls_N, batch.scored_N, batch, self.scale)
        return (everyones_channel("reward", (reward_N - self.multiplier * cost_N) / (1.0 + self.multiplier), batch),)

    def state_dict(self) -> dict[str, Any]:
        """The multiplier's parameter θ, for checkpoints."""
        return {"theta": self._theta}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            ConfigError: Not such a state.
        """
        super().load_state_dict(state)
        if not isinstance(state["theta"], float) or not math.isfinite(state["theta"]):
            raise ConfigError(f"Expect `theta` to be a finite number, actually: {state['theta']!r}")
        self._theta = state["theta"]
