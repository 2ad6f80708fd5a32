"""What is kept of a run: its curves over training, and how every task of the test split went.

Axes: K tasks, F counted fields, N episodes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metis_gym.metrics import means
from metis_gym.records import Necessity, Outcome

__all__ = ["CURVES", "Played", "Result", "point"]

_RATES = ("accuracy", "accuracy_none", "accuracy_required", "redundant_rate", "tool_recall", "tool_calls", "tool_cost")
_DIAGNOSTICS = ("rho", "sign_reversal", "cosine")

CURVES = ("timesteps", *_RATES, *_DIAGNOSTICS)
"""What is kept of every batch. Rates are by the true verdict; `rho` is the share that the design saw as correct."""

_FIELDS = ("episodes", "right", "called", "calls", "cost")


@dataclass(frozen=True, kw_only=True)
class Played:
    """How episodes went, summed up by task.

    Attributes:
        necessity: Of each of the K tasks.
        sums: K rows: episodes, right answers, episodes with a call, calls, price of the calls.
    """

    necessity: tuple[str, ...]
    sums: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Played":
        """Sum up episodes task by task; those that were not scored are left out."""
        necessity: dict[str, str] = {}
        sums: dict[str, NDArray[np.float64]] = {}
        for outcome in outcomes:
            if outcome.scored:
                row = [1.0, outcome.truly_correct, outcome.tool_calls > 0, outcome.tool_calls, outcome.tool_cost]
                necessity[outcome.task_id] = str(outcome.necessity.value)
                sums[outcome.task_id] = sums.get(outcome.task_id, np.zeros(len(_FIELDS))) + row
        return cls(necessity=tuple(necessity.values()), sums=tuple(tuple(row.tolist()) for row in sums.values()))

    @property
    def sums_KF(self) -> NDArray[np.float64]:
        """The sums as an array of shape (K, F)."""
        return np.asarray(self.sums, dtype=np.float64).reshape(len(self.sums), len(_FIELDS))

    def where(self, necessity: Necessity) -> NDArray[np.bool_]:
        """Which tasks are of this kind; shape (K,)."""
        return np.array([kind == necessity.value for kind in self.necessity], dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run.

    Attributes:
        design: Spec of the reward design.
        seed: The run's.
        env: Arguments of the environment.
        curve: One list for each of `CURVES`, an entry for each batch.
        final: The test split at the end.
        without_tools: The same tasks, answered without a tool.
        start: The test split before training.
        start_without_tools: The same tasks, answered without a tool, before training.
    """

    design: str
    seed: int
    env: Mapping[str, Any]
    curve: Mapping[str, Sequence[float]]
    final: Played
    without_tools: Played
    start: Played
    start_without_tools: Played

    def to_json(self) -> dict[str, Any]:
        """As JSON, which has no NaN: null stands for it."""
        curve = {
            name: [None if math.isnan(value) else value for value in values] for name, values in self.curve.items()
        }
        return {**asdict(self), "curve": curve}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Result":
        """Read a result back from what `to_json` made of it."""
        played = ("final", "without_tools", "start", "start_without_tools")
        parts = {name: played_from_json(content[name]) for name in played}
        curve = {
            name: [math.nan if value is None else value for value in values]
            for name, values in content["curve"].items()
        }
        return cls(**{**content, **parts, "curve": curve})


def played_from_json(content: Mapping[str, Any]) -> Played:
    """Read a `Played` back from its JSON form."""
    return Played(necessity=tuple(content["necessity"]), sums=tuple(tuple(row) for row in content["sums"]))


def point(timesteps: int, outcomes: Sequence[Outcome], rho: float, sign_reversal: float, cosine: float) -> list[float]:
    """One batch's entry of every curve, in the order of `CURVES`. Rates that no episode speaks for are NaN."""
    return [float(timesteps), *means(outcomes, _RATES).values(), rho, sign_reversal, cosine]
