"""HDPO that saves calls only while, on the same prompts, answers without one are as good."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.parameters import number
from metis_gym.rewards.batch import Batch
from metis_gym.rewards.contract import Channel, Groups
from metis_gym.rewards.design import Card, Evidence
from metis_gym.rewards.hdpo import Hdpo

__all__ = ["HdpoGap"]

_PRIOR = 2.0
"""Weight of a gap of 0 that is taken for granted before anything was seen."""


@dataclass(kw_only=True, eq=False)
class HdpoGap(Hdpo):
    """HDPO with a gate on its second channel: `A = A_acc + w_tool·1[d ≥ −m]·A_tool` (of metis-gym).

    d is how much better answers without a call are than those after one, measured within groups, so on the same
    prompts: `d = Σ_g w_g·(c̄_0 − c̄_1) / (Σ_g w_g + 2)` with `w_g = n_0·n_1/G`. Of a group's G episodes n_0 made no call,
    and c̄_0 of those are right; n_1 and c̄_1 with a call. These are Mantel and Haenszel's weights for a difference of
    shares over strata (Greenland & Robins 1985). Both sums decay with every batch; 2 is the weight of no difference.

    HDPO loses needed calls where a guess is often judged right: it compares calls among right answers only, and sees
    no wrong ones. The gate sees them. It closes while calls that are still made are worth more than m, and then only
    correctness is learned. A gate for all tasks at once cannot tell one kind from another; the channels do.

    A grader that flips a share f of its verdicts shrinks gaps by 1 − 2f, so m is in units of what the grader says.

    Args:
        margin: m, how much worse answers without a call may be.
        decay: What is left of the sums after a batch.
    """

    name = "hdpo_gap"
    card: ClassVar[Card] = Card(
        kind="conditional, decoupled, gated by measurement",
        source="metis-gym",
        formula="A = A_acc + w·1[d ≥ −m]·A_tool of HDPO; d = mean of c̄_0 − c̄_1 within groups, weighed n_0·n_1/G",
        evidence=Evidence.OWN,
    )

    margin: float = number(0.1, low=0, high=1)
    decay: float = number(0.97, above=0, high=1)
    _gaps: float = field(init=False, repr=False, default=0.0)
    _weights: float = field(init=False, repr=False, default=0.0)

    @property
    def gap(self) -> float:
        """d, how much better answers without a call are; from −1 to 1, 0 while nothing is known."""
        return self._gaps / (self._weights + _PRIOR)

    def observe(self, batch: Batch) -> None:
        """Take in a batch: the groups in which some episodes made a call, and some did not."""
        gaps, weights = 0.0, 0.0
        for members_n in batch.members(batch.scored_N):
            called_n = np.array([batch.outcomes[index].tool_calls > 0 for index in members_n], dtype=np.bool_)
            correct_n = batch.correct_N[members_n]
            if called_n.any() and not called_n.all():
                weight = float(called_n.sum() * (~called_n).sum()) / called_n.size
                gaps += weight * float(correct_n[~called_n].mean() - correct_n[called_n].mean())
                weights += weight
        self._gaps = self.decay * self._gaps + gaps
        self._weights = self.decay * self._weights + weights

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """HDPO's channels after the batch was taken in; behind a closed gate the second one's advantages are 0."""
        self.observe(Batch.of(groups))
        accuracy, efficiency = super().channels(groups)
        if self.gap >= -self.margin:
            return accuracy, efficiency
        closed = np.zeros_like(efficiency.advantages)
        return accuracy, Channel(
            name=efficiency.name, weight=efficiency.weight, advantages=closed, members=efficiency.members
        )

    def state_dict(self) -> dict[str, Any]:
        """The two sums behind the gap, for checkpoints."""
        return {"gaps": self._gaps, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            ConfigError: Not such a state.
        """
        super().load_state_dict(state)
        gaps, weights = state["gaps"], state["weights"]
        are_finite = all(isinstance(value, float) and math.isfinite(value) for value in (gaps, weights))
        if not are_finite or not abs(gaps) <= weights:
            raise ConfigError(f"Expect the sums of gaps and of weights, |gaps| ≤ weights, actually: {dict(state)!r}")
        self._gaps, self._weights = gaps, weights
