"""What a reward design is: it turns groups of finished episodes into advantage channels.

Shapes: N is the number of episodes of a batch, all groups laid end to end in order. Everything is float64.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.records.outcome import HIDDEN_FROM_DESIGNS as HIDDEN

__all__ = ["HIDDEN", "Bools", "Channel", "Floats", "Groups", "RewardDesign", "view_for"]

Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Groups: TypeAlias = Sequence[Sequence[Outcome]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Channel:
    """One advantage for every episode of a batch, and who is compared in it.

    Attributes:
        name: "accuracy", "efficiency", ….
        weight: The weight of this channel's loss. A channel of weight 0 is ignored.
        advantages: Shape (N,), float64; exactly 0 for episodes outside `members`.
        members: Shape (N,), bool: the episodes that the channel compares. Membership is explicit: a member whose
            advantage is exactly 0 is still a member (arXiv 2604.08545; its released code loses such episodes).
    """

    name: str
    weight: float
    advantages: Floats
    members: Bools


@runtime_checkable
class RewardDesign(Protocol):
    """A reward design. Which ones there are: `metis_gym.rewards.available()`.

    A design sees outcomes only: no environment, no model, no tokens, and never the true verdict behind grader noise,
    whether a task needs a tool, or what tools are worth on it: where a design is used it is handed `view_for` copies.
    An oracle, a baseline that is allowed to know, asks with an attribute `sees` for the hidden fields by name:
    `sees = ("necessity",)`.
    """

    name: str

    def reward(self, outcome: Outcome) -> float:
        """The scalar reward of one episode, for ordinary RL; a decoupled design gives its accuracy component."""
        ...

    def components(self, outcome: Outcome) -> Mapping[str, float]:
        """The scalar reward first, then the scores of one episode, unmixed; the same keys for every outcome."""
        ...

    def channels(self, groups: Groups) -> tuple[Channel, ...]:
        """The advantages of a batch of groups, each group G scored episodes of one task."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the design has learned so far (a running minimum, a multiplier), JSON-able."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        ...


def view_for(design: RewardDesign, outcome: Outcome) -> Outcome:
    """A copy of an outcome without what this design may not know; see `Outcome.for_designs` and `RewardDesign`.

    Raises:
        ConfigError: The design's `sees` names a field that is not hidden.
    """
    sees: Any = getattr(design, "sees", ())
    if not isinstance(sees, tuple) or not set(sees) <= HIDDEN.keys():
        raise ConfigError(
            f"Expect `sees` of the reward design {design.name!r} to be a tuple of hidden fields, {sorted(HIDDEN)}, "
            f"actually: {sees!r}"
        )
    shown = {name: getattr(outcome, name) for name in sees}
    return dataclasses.replace(outcome.for_designs, **shown) if shown else outcome.for_designs
