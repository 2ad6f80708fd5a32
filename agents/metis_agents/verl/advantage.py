"""verl's advantages: a design's joined ones. verl's estimators see rewards only, so the trainer hands outcomes over.

The total stands at the model's tokens. The hinge m of `metis_agents.rl.joined` stands at tokens that are *not* the
model's, where no loss and no metric of verl looks; `metis_two_channel` reads it there.

Axes: N rows of verl's batch, T response tokens.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metis_agents.rl.joined import Joined, joined
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import RewardDesign

__all__ = ["Row", "handed_over", "join_rows", "metis_advantage", "split_hinge", "with_hinge"]


@dataclass(frozen=True)
class Row:
    """A row of a batch.

    Attributes:
        group: The id of its prompt.
        outcome: How the episode went; None for padding, which is nobody's statistic.
    """

    group: str
    outcome: Outcome | None


_handed: contextvars.ContextVar[Joined | None] = contextvars.ContextVar("metis_joined", default=None)


@contextlib.contextmanager
def handed_over(found: Joined) -> Iterator[None]:
    """Let the estimator find these, while verl computes the advantages of their batch."""
    token = _handed.set(found)
    try:
        yield
    finally:
        _handed.reset(token)


def join_rows(design: RewardDesign, rows: Sequence[Row]) -> Joined:
    """The joined advantages of verl's rows, in their order; NaN for padding and for what is not scored."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.outcome is not None:
            groups.setdefault(row.group, []).append(place)
    whole = Joined(np.full(len(rows), np.nan), np.full(len(rows), np.nan))
    if groups:
        outcomes = [[one for place in places if (one := rows[place].outcome) is not None] for places in groups.values()]
        found = joined(design, outcomes)
        order = [place for places in groups.values() for place in places]
        whole.total_N[order], whole.hinge_N[order] = found.total_N, found.hinge_N
    return whole


def metis_advantage(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: Any = None,  # noqa: ARG001 — verl's signature
    config: Any = None,  # noqa: ARG001
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """The estimator `metis`: what the trainer has handed over, at the tokens.

    Raises:
        ConfigError: Nothing was handed over: verl's own trainer runs.
    """
    found = _handed.get()
    if found is None:
        raise ConfigError(
            "Expect trainer.v1.trainer_mode metis_sync, metis_colocate_async or metis_separate_async with "
            "algorithm.adv_estimator=metis, actually: a trainer of verl's own, which hands over no outcomes"
        )
    if len(found.total_N) != len(response_mask):
        raise ConfigError(f"Expect {len(response_mask)} advantages, actually: {len(found.total_N)}")
    total_N1 = _column(found.total_N, token_level_rewards)
    advantages_NT = with_hinge(total_N1 * response_mask, response_mask, _column(found.hinge_N, token_level_rewards))
    return advantages_NT, total_N1 * response_mask


def with_hinge(total_NT: Tensor, response_mask_NT: Tensor, hinge_N1: Tensor) -> Tensor:
    """The totals, and m at the first token before the model's last one that is not the model's.

    Raises:
        ConfigError: An episode whose hinge is not 0 has no such token: nothing but the model's turns.
    """
    is_own_NT = response_mask_NT.bool()
    is_before_last_NT = is_own_NT.flip(-1).cumsum(-1).flip(-1) > 0
    is_slot_NT = ~is_own_NT & is_before_last_NT
    first_N1 = is_slot_NT.int().argmax(-1, keepdim=True)
    has_slot_N1 = is_slot_NT.any(-1, keepdim=True)
    if bool(((hinge_N1 > 0) & ~has_slot_N1).any()):
        raise ConfigError(
            "Expect channels that disagree in sign only where a tool has answered: m has no place in an episode of the "
            "model's own tokens. Train this design with `metis-gym train`."
        )
    return total_NT.scatter_add(-1, first_N1, torch.where(has_slot_N1, hinge_N1, torch.zeros_like(hinge_N1)))


def split_hinge(advantages_BT: Tensor, response_mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """What `with_hinge` put together: total and m of each episode, shape (B, 1)."""
    is_own_BT = response_mask_BT.bool()
    first_B1 = is_own_BT.int().argmax(-1, keepdim=True)
    total_B1 = advantages_BT.gather(-1, first_B1) * is_own_BT.any(-1, keepdim=True)
    hinge_B1 = advantages_BT.masked_fill(is_own_BT, 0.0).amax(-1, keepdim=True).clamp(min=0.0)
    return total_B1, hinge_B1


def _column(values_N: np.ndarray[tuple[int], np.dtype[np.float64]], like: Tensor) -> Tensor:
    return torch.from_numpy(np.nan_to_num(values_N, nan=0.0)).to(like).unsqueeze(-1)
