"""Weights, gradients and optimiser states spread over ranks by torch's own FSDP2, with distributed checkpoints.

Each block of the language model is a unit; everything else, the vision tower included, is the root's, so that ranks
with and without images take part in the same collectives. Episodes are played by a whole copy of the model on each
rank, which takes up the weights at the beginning of each batch: rollouts of different lengths need no communication.

A run starts without whole float32 weights anywhere: the copy that plays *is* the checkpoint, in its own type, and units
are widened one after the other, each just before it is spread.
"""

import contextlib
import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.distributed.checkpoint.state_dict_saver import save as save_shards
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.model.scoring import Scorer
from metis_agents.qwen3vl.train.checkpoints import Checkpoints
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy
from metis_agents.qwen3vl.train.shard_files import TensorsOnlyPlanner, TensorsOnlyReader
from metis_agents.rl import Ranks, Rollout, Trainer
from metis_agents.states import read_state, write_state
from metis_gym.errors import CheckpointError

__all__ = ["ShardedPolicy", "ShardedRanks", "playing_copy", "read_sharded", "shard", "take_up_weights", "write_sharded"]

_SHARDS, _STATE = "shards", "state.safetensors"


class ShardedRanks(Ranks):
    """Ranks whose gradients FSDP reduces: it gives their mean, the loss wants their sum."""

    @property
    def shares_passes(self) -> bool:
        """Weights are gathered in each pass."""
        return True

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Turn gradients that were averaged over the ranks into their sums, in place."""
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(self.size)


class ShardedPolicy(Qwen3VLPolicy):
    """A policy whose forward passes are collective: every rank takes as many as the others.

    Args:
        scorer: The sharded forward pass.
        ranks: Who shares it.
        **options: As for `Qwen3VLPolicy`.
    """

    def __init__(self, scorer: Scorer, ranks: Ranks, **options: Any) -> None:
        super().__init__(scorer, **options)
        self._ranks = ranks

    def cut(self, rollouts: Sequence[Rollout[Tokens]]) -> list[list[int]]:
        """As many pieces as the rank with the most; the further ones are empty."""
        pieces = super().cut(rollouts)
        return pieces + [[]] * (max(self._ranks.gather(len(pieces))) - len(pieces))

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Distributed checkpoints are read in place; `Trainer.load_state_dict` gives back what is there."""


def playing_copy(model: Any) -> Any:
    """The copy that plays: no gradients, and the model's own memory, which `shard` takes from the model."""
    own = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
    return copy.deepcopy(model, dict(own))


def shard(scorer: Scorer, *, compute: torch.dtype | None = None) -> None:
    """Spread a scorer's weights over the ranks of the default group, as float32 masters.

    Args:
        scorer: Whose model; its parameters become sharded tensors, with memory of their own.
        compute: What forward and backward passes calculate in; None for float32. Gradients are added up in float32.
    """
    policy = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)
    model: Any = scorer.model
    for unit in (*model.model.language_model.layers, scorer):
        _widen(unit)
        fully_shard(unit, mp_policy=policy)


def _widen(unit: nn.Module) -> None:
    """Make the weights of one unit float32; those of units that are spread already are."""
    for weight in unit.parameters():
        if not isinstance(weight, DTensor):
            weight.data = weight.data.float()


@torch.no_grad()
def take_up_weights(learning: nn.Module, playing: nn.Module) -> None:
    """Copy what learns into the copy that plays. A collective: every rank must call it."""
    targets = dict(playing.named_parameters())
    for name, parameter in learning.named_parameters():
        if parameter.requires_grad:
            whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
            targets[name].copy_(whole)


def write_sharded(checkpoints: Checkpoints, trainer: Trainer[Tokens], scorer: Scorer, ranks: Ranks) -> None:
    """Write a checkpoint to which each rank adds its shards.

    Raises:
        CheckpointError: It could not be written; the one before stands.
    """
    number, state = trainer.batches_done, trainer.state_dict()
    rest = {name: part for name, part in state.items() if name not in ("policy", "optimizer")}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(checkpoints.writing(number)) if ranks.rank == 0 else None
        shared = next(path for path in ranks.gather(folder) if path is not None)
        save_shards(_sharded_state(trainer, scorer), checkpoint_id=str(shared / _SHARDS))
        if ranks.rank == 0:
            write_state(rest, shared / _STATE)
        ranks.gather(None)
    ranks.gather(None)


def read_sharded(checkpoints: Checkpoints, trainer: Trainer[Tokens], scorer: Scorer) -> None:
    """Take up the latest distributed checkpoint; the number of ranks may be another one.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    folder = checkpoints.whole()
    sharded = _sharded_state(trainer, scorer)
    try:
        load_shards(sharded, storage_reader=TensorsOnlyReader(folder / _SHARDS), planner=TensorsOnlyPlanner())
    except (CheckpointException, OSError, RuntimeError) as error:
        raise CheckpointError(f"cannot read checkpoint {folder}: {error}") from error
    set_optimizer_state_dict(scorer, trainer.optimizer, sharded["optimizer"])
    rest = read_state(folder / _STATE)
    trainer.load_state_dict({**rest, "policy": {}, "optimizer": trainer.optimizer.state_dict()})


def _sharded_state(trainer: Trainer[Tokens], scorer: Scorer) -> dict[str, Any]:
    return {
        "policy": dict(trainer.policy.state_dict()),
        "optimizer": get_optimizer_state_dict(scorer, trainer.optimizer),
    }
