"""Gated designs: only a correct episode can earn (or lose) anything by its cost.

The gate keeps cheap mistakes from being praised. The score is still one number, so that what is saved is compared with
what is right: with a noisy grader, or few correct episodes, the saving drowns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Floats
from metis_gym.rewards.design import Card, CountsCalls, Evidence, SingleReward
from metis_gym.rewards.encouraging import kept_format
from metis_gym.rewards.statistics import mean, standardise

__all__ = ["Eapo", "Ikea", "KimiDecay", "LengthGated", "MmSearchR1", "SlimSearcher", "slimsearcher_gate"]


@dataclass(kw_only=True, eq=False)
class KimiDecay(CountsCalls, SingleReward):
    """`c·γ^T`, centred only: the decay of Kimi-Researcher (second-hand, from accounts of its report).

    Args:
        gamma: γ, what is left of the reward after one call.
    """

    name = "kimi_decay"
    card: ClassVar[Card] = Card(kind="gated", source="Kimi-Researcher", formula="c·γ^T", evidence=Evidence.SECOND_HAND)

    estimator: str = "dr_grpo"
    gamma: float = number(0.9, low=0, high=1)

    def score(self, outcome: Outcome) -> float:
        """Correctness, decayed by every call."""
        return float(outcome.correct) * math.pow(self.gamma, self.spent(outcome))


@dataclass(kw_only=True, eq=False)
class MmSearchR1(SingleReward):
    """`(1 − w)·c·(1 − p·1[T > 0]) + w·f`: MMSearch-R1 (arXiv 2506.20670, released code); any call counts as a search.

    Args:
        penalty: p, what one search or more costs a correct answer.
        format_weight: w, the share of the format.
    """

    name = "mmsearch_r1"
    card: ClassVar[Card] = Card(
        kind="gated",
        source="MMSearch-R1, arXiv 2506.20670",
        formula="(1 − w)·c·(1 − p·1[T > 0]) + w·f",
        evidence=Evidence.CODE,
    )

    penalty: float = number(0.1, low=0, high=1)
    format_weight: float = number(0.1, low=0, high=1)

    def score(self, outcome: Outcome) -> float:
        """Correctness, less a flat price for searching at all, plus the format."""
        kept = float(outcome.correct) * (1.0 - self.penalty * (outcome.tool_calls > 0))
        return (1.0 - self.format_weight) * kept + self.format_weight * outcome.format_score


@dataclass(kw_only=True, eq=False)
class Ikea(CountsCalls, SingleReward):
    """Bad format −1; right `1 + max(0, .6 − .2·T)`; wrong `.05·1[T > 0]`: IKEA (arXiv 2505.07596, released code)."""

    name = "ikea"
    card: ClassVar[Card] = Card(
        kind="gated",
        source="IKEA, arXiv 2505.07596",
        formula="−1 if not f; 1 + max(0, .6 − .2·T) if c; else .05·1[T > 0]",
        evidence=Evidence.CODE,
    )

    def score(self, outcome: Outcome) -> float:
        """Knowing is best, searching and finding second, giving up without a search last."""
        if not kept_format(outcome):
            return -1.0
        if outcome.correct:
            return 1.0 + max(0.0, 0.6 - 0.2 * self.spent(outcome))
        return 0.05 * (outcome.tool_calls > 0)


def slimsearcher_gate(cost: float, least: float) -> float:
    """`g = 2·e^{−δ}/(1 + e^{−δ})`, `δ = cost/least − 1`: 1 at the least cost of the group, towards 0 far above it.

    >>> [round(slimsearcher_gate(cost, 1.0), 6) for cost in (1, 2, 3)]
    [1.0, 0.537883, 0.238406]
    """
    decay = math.exp(1.0 - cost / least)
    return 2.0 * decay / (1.0 + decay)


@dataclass(kw_only=True, eq=False)
class SlimSearcher(CountsCalls, SingleReward):
    """`c·g(T + 1)·g(L)`, g against the least of the group, L tokens: SlimSearcher (arXiv 2606.07074, second-hand).

    The least is over all episodes of the group, wrong ones too. The scalar of a lone episode is c: it is its own least.
    """

    name = "slimsearcher"
    card: ClassVar[Card] = Card(
        kind="gated",
        source="SlimSearcher, arXiv 2606.07074",
        formula="c·g(T + 1)·g(L), g(x) = 2e^{−δ}/(1 + e^{−δ}), δ = x/x_min − 1",
        evidence=Evidence.SECOND_HAND,
    )

    def scores(self, outcomes: Sequence[Outcome]) -> Floats:
        """Correctness, gated by calls and tokens relative to the group's least."""
        calls_n = [self.spent(outcome) + 1.0 for outcome in outcomes]
        tokens_n = [max(float(outcome.tokens), 1.0) for outcome in outcomes]
        min_calls, min_tokens = min(calls_n, default=1.0), min(tokens_n, default=1.0)
        gates_n = [
            slimsearcher_gate(calls, min_calls) * slimsearcher_gate(tokens, min_tokens)
            for calls, tokens in zip(calls_n, tokens_n, strict=True)
        ]
        correct_n = [float(outcome.correct) for outcome in outcomes]
        return np.array([correct * gate for correct, gate in zip(correct_n, gates_n, strict=True)], dtype=np.float64)


@dataclass(kw_only=True, eq=False)
class Eapo(CountsCalls, SingleReward):
    """`c·[d + (1 − d)·e^{−β(T − T_min)}]`, `d = 1 − acc`: EAPO (arXiv 2606.02132, second-hand).

    T_min is the fewest calls of a correct episode of the group, acc the group's accuracy: where the task is easy,
    every call too many costs; where it is hard, hardly any does. The scalar of a lone episode is c.

    Args:
        beta: β, how fast a call too many costs; the paper's value is not known to us.
    """

    name = "eapo"
    card: ClassVar[Card] = Card(
        kind="gated by difficulty",
        source="EAPO, arXiv 2606.02132",
        formula="c·[d + (1 − d)·e^{−β(T − T_min)}], d = 1 − acc",
        evidence=Evidence.SECOND_HAND,
    )

    beta: float = number(1.0, low=0)

    def scores(self, outcomes: Sequence[Outcome]) -> Floats:
        """Correctness, decayed by calls above the group's fewest, the more so the easier the task."""
        correct_n = np.array([outcome.correct for outcome in outcomes], dtype=np.bool_)
        calls_n = np.array([self.spent(outcome) for outcome in outcomes], dtype=np.float64)
        scores_n = np.zeros(len(outcomes))
        if correct_n.any():
            difficulty = 1.0 - mean(correct_n.astype(np.float64))
            excess_q = calls_n[correct_n] - calls_n[correct_n].min()
            scores_n[correct_n] = difficulty + (1.0 - difficulty) * np.exp(-self.beta * excess_q)
        return scores_n


@dataclass(kw_only=True, eq=False)
class LengthGated(CountsCalls, SingleReward):
    """`c·(1 − α·sigmoid(z))`, z the calls standardised over the correct only: Arora & Zanette (arXiv 2502.04463).

    The paper's cost is the length and its advantage leave-one-out (released code). Right answers stay above wrong ones
    for every α < 1, and only right ones are compared. The scalar of a lone episode has z = 0.

    Args:
        alpha: α, the most that a costly correct answer loses.
    """

    name = "length_gated"
    card: ClassVar[Card] = Card(
        kind="gated, conditional",
        source="Arora & Zanette, arXiv 2502.04463",
        formula="c·(1 − α·sigmoid(z)), z over the correct only",
        evidence=Evidence.CODE,
    )

    estimator: str = "rloo"
    alpha: float = number(0.2, low=0, high=1)

    def scores(self, outcomes: Sequence[Outcome]) -> Floats:
        """Correctness, less up to α for calls above what correct episodes make."""
        correct_n = np.array([outcome.correct for outcome in outcomes], dtype=np.bool_)
        calls_n = np.array([self.spent(outcome) for outcome in outcomes], dtype=np.float64)
        scores_n = np.zeros(len(outcomes))
        z_q = standardise(calls_n[correct_n], self.scale)
        scores_n[correct_n] = 1.0 - self.alpha / (1.0 + np.exp(-z_q))
        return scores_n
