"""What a finished episode came to: what reports look at and, but for its last fields, what reward designs see."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metis_gym.records.task import Necessity, PricedPlan

__all__ = ["HIDDEN_FROM_DESIGNS", "Outcome"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One finished episode. Correctness and tool cost are always apart.

    The attributes from `true_answer_score` on, and `necessity`, are for metrics: reward designs see `for_designs`,
    which leaves them out.

    Attributes:
        task_id: The task.
        answer_score: Graded answer in [0, 1], after grader noise if there is any.
        format_score: 1 when the dialect's format was kept, else 0.
        tool_calls: T, the calls that the model asked for, malformed ones included.
        family: The task's family.
        tool_cost: Sum of the prices of these calls.
        tool_errors: How many of the calls did not end `ok`.
        turns: The model's turns.
        tokens: Length of what the model wrote. The environment knows no tokenizer and counts one for every four bytes
            of UTF-8; an agent that has one puts the true number here.
        truncated: The episode ended without an answer.
        scored: False when infrastructure failed: leave the episode out of every statistic and of the loss.
        necessity: Does the task need a tool?
        tool_calls_by: Calls by tool name; malformed ones under `"invalid"`.
        tool_benefit: Measured gain of tools on this task, None when it was not measured.
        true_answer_score: The graded answer before grader noise; None if unknown.
        blind_accuracy: The best accuracy that is possible without a tool, given what is shown; None if unknown.
        min_calls: Calls of the most accurate plan, and of several such of the shortest; None if unknown.
        tool_accuracy: Accuracy of that plan; None if unknown.
        plans: The ways to play this task that the environment offers, at its prices; empty if unknown.
    """

    task_id: str
    answer_score: float
    format_score: float
    tool_calls: int
    family: str = ""
    tool_cost: float = 0.0
    tool_errors: int = 0
    turns: int = 1
    tokens: int = 0
    truncated: bool = False
    scored: bool = True
    necessity: Necessity = Necessity.UNKNOWN
    tool_calls_by: Mapping[str, int] = field(default_factory=dict)
    tool_benefit: float | None = None
    true_answer_score: float | None = None
    blind_accuracy: float | None = None
    min_calls: float | None = None
    tool_accuracy: float | None = None
    plans: tuple[PricedPlan, ...] = ()

    @property
    def for_designs(self) -> "Outcome":
        """What reward designs see: the outcome without the true verdict, necessity and the worth of tools."""
        return dataclasses.replace(self, **HIDDEN_FROM_DESIGNS)

    @property
    def correct(self) -> bool:
        """The papers' c: the answer got any credit."""
        return self.answer_score > 0

    @property
    def truly_correct(self) -> bool:
        """Correct by the true verdict, before grader noise."""
        score = self.answer_score if self.true_answer_score is None else self.true_answer_score
        return score > 0

    def to_info(self) -> dict[str, Any]:
        """As the flat `info` of an environment: floats, Python bools and text only, never None, NaN or int."""
        calls_by = {f"tool_calls_by/{name}": float(count) for name, count in self.tool_calls_by.items()}
        redundant = self.tool_calls if self.necessity is Necessity.NONE else 0
        return {
            "task_id": self.task_id,
            "family": self.family,
            "necessity": str(self.necessity.value),
            "correct": self.correct,
            "is_success": self.correct,
            "answer_score": float(self.answer_score),
            "format_score": float(self.format_score),
            "tool_calls": float(self.tool_calls),
            "tool_cost": float(self.tool_cost),
            "tool_errors": float(self.tool_errors),
            "redundant_tool_calls": float(redundant),
            "turns": float(self.turns),
            "tokens": float(self.tokens),
            "truncated": self.truncated,
            "scored": self.scored,
            "plans": _plans_text(self.plans),
            **_flagged({name: getattr(self, name) for name in _OPTIONAL}),
            **calls_by,
        }

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> "Outcome":
        """The outcome that an environment's last `info` describes; loses nothing.

        Raises:
            KeyError: The info is not of one of these environments.
        """
        prefix = "tool_calls_by/"
        calls_by = {key.removeprefix(prefix): int(n) for key, n in info.items() if key.startswith(prefix)}
        return cls(
            task_id=str(info["task_id"]),
            family=str(info["family"]),
            necessity=Necessity(str(info["necessity"])),
            answer_score=float(info["answer_score"]),
            format_score=float(info["format_score"]),
            tool_calls=int(info["tool_calls"]),
            tool_cost=float(info["tool_cost"]),
            tool_errors=int(info["tool_errors"]),
            turns=int(info["turns"]),
            tokens=int(info["tokens"]),
            truncated=bool(info["truncated"]),
            scored=bool(info["scored"]),
            tool_calls_by=calls_by,
            plans=_read_plans(str(info["plans"])),
            **{name: float(info[name]) if info[f"{name}_known"] else None for name in _OPTIONAL},
        )


_OPTIONAL = ("tool_benefit", "true_answer_score", "blind_accuracy", "min_calls", "tool_accuracy")
"""Fields that may be unknown: in an info each is a number, with a flag beside it."""
HIDDEN_FROM_DESIGNS: Mapping[str, Any] = {
    **dict.fromkeys(_OPTIONAL[1:]),
    "plans": (),
    "necessity": Necessity.UNKNOWN,
}
"""What reward designs are not shown, with what they see in its place."""


def _flagged(values: Mapping[str, float | None]) -> dict[str, Any]:
    numbers = {name: float(value or 0.0) for name, value in values.items()}
    return numbers | {f"{name}_known": value is not None for name, value in values.items()}


@functools.lru_cache(maxsize=1024)
def _plans_text(plans: tuple[PricedPlan, ...]) -> str:
    """Plans as JSON, a list [calls, cost, accuracy] for each; empty text for none."""
    return json.dumps([dataclasses.astuple(plan) for plan in plans]) if plans else ""


@functools.lru_cache(maxsize=1024)
def _read_plans(text: str) -> tuple[PricedPlan, ...]:
    rows = json.loads(text) if text else []
    return tuple(PricedPlan(calls=int(calls), cost=float(cost), accuracy=float(share)) for calls, cost, share in rows)
