"""What reward designs share: the card that describes one, and the two base classes.

`SingleReward` is one score per episode and an estimator that compares the scores (a *coupled* design, if the score
mixes correctness and cost). `ScoredApart` is for designs that compare correctness and cost separately and join the
advantages. Both keep the rules that hold for every design: unscored episodes are no members of anything, the scalar
of an unscored episode is 0, and a design without memory has an empty state.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.parameters import check_parameters, choice, number, whole
from metis_gym.records import Outcome
from metis_gym.rewards.batch import Batch, check_outcome
from metis_gym.rewards.contract import Bools, Channel, Floats, Groups
from metis_gym.rewards.estimators import ESTIMATORS
from metis_gym.rewards.statistics import Scale

__all__ = [
    "Card",
    "Cost",
    "CountsCalls",
    "Design",
    "Evidence",
    "ScoredApart",
    "SingleReward",
    "accuracy_score",
    "efficiency_score",
    "everyones_channel",
    "scores_apart",
    "spent",
]


class Evidence(StrEnum):
    """Where a formula and its constants were read."""

    CODE = "code"
    """In the released code."""
    PAPER = "paper"
    """In the paper or its abstract."""
    SECOND_HAND = "second-hand"
    """In somebody else's account: check before citing an exact constant."""
    FOLKLORE = "folklore"
    """Common practice without one source."""
    OWN = "own"
    """Of this project; not published elsewhere."""


class Cost(StrEnum):
    """What T, the cost of an episode, is."""

    CALLS = "calls"
    """The number of calls, as published."""
    PRICE = "price"
    """The sum of the prices of the calls, `Outcome.tool_cost`."""


def spent(outcome: Outcome, cost: str = Cost.CALLS) -> float:
    """T of an episode: its calls, or the sum of their prices.

    >>> outcome = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=2, tool_cost=7.5)
    >>> spent(outcome), spent(outcome, Cost.PRICE)
    (2.0, 7.5)
    """
    return float(outcome.tool_cost if cost == Cost.PRICE else outcome.tool_calls)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a table says about a design.

    Attributes:
        kind: "outcome", "coupled", "gated", "budget", "decoupled", "conditional, decoupled", "constrained", ….
        source: Where it comes from.
        formula: The score, or the advantage where that is what matters.
        evidence: Where formula and constants were read.
    """

    kind: str
    source: str
    formula: str
    evidence: Evidence


def accuracy_score(outcome: Outcome, format_weight: float = 0.1) -> float:
    """`r_acc = (1 − w)·r_ans + w·r_fmt` (arXiv 2604.08545, released code: w = 0.1).

    >>> accuracy_score(Outcome(task_id="t", answer_score=1.0, format_score=0.0, tool_calls=2))
    0.9
    """
    return (1.0 - format_weight) * outcome.answer_score + format_weight * outcome.format_score


def efficiency_score(outcome: Outcome, cost: str = Cost.CALLS) -> float:
    """`r_tool = 1/(T + 1)` if correct, else 0 (arXiv 2604.08545): no calls at all is the best one can do.

    Args:
        outcome: The episode.
        cost: What T is: "calls", or "price" for the sum of their prices.

    >>> efficiency_score(Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=1))
    0.5
    """
    return 1.0 / (spent(outcome, cost) + 1) if outcome.correct else 0.0


def scores_apart(outcome: Outcome, reward: float, **further: float) -> dict[str, float]:
    """The components of one episode: what is paid, and what an answer and its format scored, each by itself.

    Unscored episodes score 0 in everything.

    >>> scores_apart(Outcome(task_id="t", answer_score=0.0, format_score=1.0, tool_calls=2), reward=0.1)
    {'reward': 0.1, 'accuracy': 0.0, 'format': 1.0}
    """
    scores = {"reward": reward, "accuracy": outcome.answer_score, "format": outcome.format_score, **further}
    return {name: float(score) if outcome.scored else 0.0 for name, score in scores.items()}


@dataclass(kw_only=True, eq=False)
class Design(ABC):
    """What every built-in design has; one's own may use it too.

    Args:
        ddof: 1 divides squared deviations by n − 1, 0 by n.
        eps: Added to standard deviations.
        std_floor: Least standard deviation.
    """

    name = ""
    card: ClassVar[Card]

    ddof: int = whole(1, low=0, high=1)
    eps: float = number(1e-6, low=0)
    std_floor: float = number(0.0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def scale(self) -> Scale:
        """How deviations are divided by a standard deviation."""
        return Scale(ddof=self.ddof, eps=self.eps, std_floor=self.std_floor)

    def reward(self, outcome: Outcome) -> float:
        """The scalar reward of one episode: what the formula gives for a group of this episode alone; 0 if unscored."""
        return next(iter(self.components(outcome).values()))

    @abstractmethod
    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """The scalar reward first, then the scores of one episode, answer and format apart."""

    @abstractmethod
    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """The advantages of a batch of groups, each the episodes of one task; unscored ones get 0."""

    def state_dict(self) -> dict[str, Any]:
        """What the design has learned so far, JSON-able; empty for a design without memory."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            ConfigError: The state has other keys than this design's own.
        """
        expected = sorted(self.state_dict())
        if sorted(state) != expected:
            raise ConfigError(f"Expect a state of {self.name!r} to have the keys {expected}, actually: {sorted(state)}")


@dataclass(kw_only=True, eq=False)
class CountsCalls:
    """A base class for designs that count calls, named before `SingleReward`, `ScoredApart` or `Design`.

    Args:
        cost: What T is in the formula: "calls" counts them, as published; "price" adds up their prices.
    """

    cost: str = choice(Cost.CALLS, *Cost)

    def spent(self, outcome: Outcome) -> float:
        """T of an episode."""
        return spent(outcome, self.cost)


@dataclass(kw_only=True, eq=False)
class SingleReward(Design):
    """One score per episode, compared by an estimator, in one channel. Subclasses give `score` or `scores`.

    Args:
        estimator: How scores are compared, by name: grpo, dr_grpo, rloo, opo, reinforce_pp.
    """

    channel_name: ClassVar[str] = "reward"

    estimator: str = "grpo"

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self).score is SingleReward.score and type(self).scores is SingleReward.scores:
            raise ConfigError(
                f"the reward design {type(self).__name__} is not finished: it defines neither score nor scores"
            )
        ESTIMATORS.get(self.estimator)

    def score(self, outcome: Outcome) -> float:
        """The score of one scored episode."""
        raise NotImplementedError(f"{type(self).__name__} must define score(outcome) or scores(outcomes)")

    def scores(self, outcomes: Sequence[Outcome]) -> Floats:
        """The scores of the scored episodes of one group, shape (n,); a pure function of them and the state."""
        return np.array([self.score(outcome) for outcome in outcomes], dtype=np.float64)

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from scored episodes before they are scored, for designs with a memory."""

    def reward(self, outcome: Outcome) -> float:
        """The scalar reward of one episode: what the formula gives for a group of this episode alone; 0 if unscored."""
        if outcome.scored:
            self.observe([outcome])
        return super().reward(outcome)

    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """`reward`, the score; `accuracy` and `format`, unmixed. Looks only, learns nothing."""
        if not outcome.scored:
            return scores_apart(outcome, 0.0)
        check_outcome(outcome)
        return scores_apart(outcome, float(self.scores([outcome])[0]))

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """One channel of weight 1 with the estimator's advantages; unscored episodes get 0."""
        batch = Batch.of(groups)
        self.observe([outcome for outcome in batch.outcomes if outcome.scored])
        estimate = ESTIMATORS.get(self.estimator)
        advantages_N = estimate(batch.by_group(self.scores), batch.scored_N, batch, self.scale)
        return (everyones_channel(self.channel_name, advantages_N, batch),)


@dataclass(kw_only=True, eq=False)
class ScoredApart(CountsCalls, Design):
    """Correctness and cost are scored apart, compared apart, and the advantages joined in one channel."""

    format_weight: float = number(0.1, low=0, high=1)

    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """`reward`, the scalar; `accuracy`, `format` and `efficiency`, unmixed."""
        if not outcome.scored:
            return scores_apart(outcome, 0.0, efficiency=0.0)
        check_outcome(outcome)
        return scores_apart(outcome, accuracy_score(outcome, self.format_weight), efficiency=self.efficiency(outcome))

    def efficiency(self, outcome: Outcome) -> float:
        """The raw efficiency of one scored episode."""
        return efficiency_score(outcome, self.cost)

    @abstractmethod
    def joined(self, accuracy_N: Floats, efficiency_N: Floats, batch: Batch) -> Floats:
        """The joined advantages from the raw scores; exactly 0 for unscored episodes."""

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """One channel of weight 1 with the joined advantages."""
        batch = Batch.of(groups)
        accuracy_N = batch.each(lambda outcome: accuracy_score(outcome, self.format_weight))
        advantages_N = self.joined(accuracy_N, batch.each(self.efficiency), batch)
        return (everyones_channel("reward", advantages_N, batch),)


def everyones_channel(name: str, advantages_N: Floats, batch: Batch) -> Channel:
    """A channel of weight 1 that compares all scored episodes."""
    members_N: Bools = batch.scored_N
    return Channel(name=name, weight=1.0, advantages=advantages_N, members=members_N)
