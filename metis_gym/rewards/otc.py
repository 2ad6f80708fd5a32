"""OTC-PO: the reward remembers the fewest calls with which a task was ever solved."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from metis_gym.errors import ConfigError
from metis_gym.parameters import number
from metis_gym.records import Outcome
from metis_gym.rewards.design import Card, Cost, CountsCalls, Evidence, SingleReward

__all__ = ["Otc", "otc_tool_reward"]


def otc_tool_reward(calls: float, fewest: float, k: float = 1.0) -> float:
    """r_tool of a correct episode (arXiv 2504.14870).

    1 if T = n = 0; cos(Tπ/(2T + k)) if n = 0; else sin(gπ/2n) with g = 2nT/(T + n): 1 at T = n, less on both sides.

    Args:
        calls: T, the calls of this episode.
        fewest: n, the fewest calls with which the task was solved.
        k: Softens the fall from n = 0; the larger, the milder.

    >>> otc_tool_reward(0, 0), round(otc_tool_reward(1, 0), 6), otc_tool_reward(2, 2)
    (1.0, 0.5, 1.0)
    """
    if fewest == 0:
        return 1.0 if calls == 0 else math.cos(calls * math.pi / (2 * calls + k))
    # sin(g·π/2n) with g = 2nT/(T + n) is sin(π·T/(T + n)).
    return math.sin(math.pi * calls / (calls + fewest))


@dataclass(kw_only=True, eq=False)
class Otc(CountsCalls, SingleReward):
    """`c·r_tool(T, n)`: OTC-PO (arXiv 2504.14870). n is the fewest calls of a correct episode of this task so far.

    `channels` and `reward` learn n first, from the correct episodes they are given, and score afterwards; `components`
    only looks. So a correct episode never has T < n. For ordinary RL the scalar is scored against what this object
    has seen: give one object to all environments that should share a memory. The memory grows by one number for each
    task that was ever solved.

    Args:
        k: Softens the fall from n = 0.
    """

    name = "otc"
    card: ClassVar[Card] = Card(
        kind="gated",
        source="OTC-PO, arXiv 2504.14870",
        formula="c·r_tool; r_tool = 1 if T = n = 0; cos(Tπ/(2T + k)) if n = 0; else sin(gπ/2n), g = 2nT/(T + n)",
        evidence=Evidence.PAPER,
    )

    k: float = number(1.0, above=0)
    _fewest: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Lower n to the calls of the correct episodes."""
        for outcome in outcomes:
            if outcome.correct:
                self._fewest[outcome.task_id] = self._fewest_with(outcome)

    def score(self, outcome: Outcome) -> float:
        """r_tool if correct, else 0."""
        if not outcome.correct:
            return 0.0
        return otc_tool_reward(self._spent(outcome), self._fewest_with(outcome), self.k)

    def state_dict(self) -> dict[str, Any]:
        """The fewest calls of every task that was solved."""
        return {"fewest": dict(self._fewest)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            ConfigError: Not such a state.
        """
        super().load_state_dict(state)
        for task_id, calls in state["fewest"].items():
            kinds = (int,) if self.cost == Cost.CALLS else (int, float)
            if not isinstance(calls, kinds) or not 0 <= calls < math.inf:
                kind = "a count of calls" if self.cost == Cost.CALLS else "a price"
                raise ConfigError(f"Expect `fewest` of {task_id!r} to be {kind}, actually: {calls!r}")
        self._fewest = dict(state["fewest"])

    def _fewest_with(self, outcome: Outcome) -> float:
        """The fewest calls so far, this correct episode's own included."""
        mine = self._spent(outcome)
        return min(mine, self._fewest.get(outcome.task_id, mine))

    def _spent(self, outcome: Outcome) -> float:
        """T; a whole number stays one, so that states read as counts."""
        return outcome.tool_calls if self.cost == Cost.CALLS else self.spent(outcome)
