"""Several ranks, one batch: what has to be added up so that two ranks take the step that one would.

Reward designs see the outcomes of all ranks (some whiten over the batch or learn from it), denominators are counted
over all ranks, and gradients are *summed*, because the loss is divided by global counts already.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from metis_gym.errors import RankLostError

__all__ = ["Ranks"]

Item = TypeVar("Item")

_BUCKET = 1 << 24
"""Numbers that travel together: 64 MiB."""


class Ranks:
    """The ranks of a process group; a single one where torch.distributed is not initialised.

    Args:
        group: The process group; None is the default one.
    """

    def __init__(self, group: "dist.ProcessGroup | None" = None) -> None:
        self._group = group
        self._several = dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1

    @property
    def size(self) -> int:
        """How many processes train together."""
        return dist.get_world_size(self._group) if self._several else 1

    @property
    def rank(self) -> int:
        """The number of this process, from 0 on."""
        return dist.get_rank(self._group) if self._several else 0

    @property
    def shares_passes(self) -> bool:
        """Whether forward passes are collective, so that no rank may take one more than the others."""
        return False

    def gather(self, item: Item) -> list[Item]:
        """One picklable item of every rank, in the order of ranks, on every rank.

        Raises:
            RankLostError: Another rank is gone.
        """
        if not self._several:
            return [item]
        items: list[Item] = [item] * self.size
        with self._in_touch():
            dist.all_gather_object(items, item, group=self._group)
        return items

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all ranks, in place; a rank without one takes part with zeros.

        Many gradients travel together, narrow ones as float32: sums of them would lose more with each rank.

        Raises:
            RankLostError: Another rank is gone; no step may be taken with what was added up so far.
        """
        if not self._several:
            return
        gradients = []
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        with self._in_touch():
            for bucket in _buckets(gradients):
                together = torch.cat([gradient.flatten().to(_wide(gradient)) for gradient in bucket])
                dist.all_reduce(together, op=dist.ReduceOp.SUM, group=self._group)
                sizes = [gradient.numel() for gradient in bucket]
                for gradient, total in zip(bucket, torch.split(together, sizes), strict=True):
                    gradient.copy_(total.view_as(gradient))

    @contextlib.contextmanager
    def _in_touch(self) -> Iterator[None]:
        """Say what happened when a collective operation breaks off; torch's own words are about sockets."""
        try:
            yield
        except RuntimeError as error:
            raise RankLostError(
                f"rank {self.rank} of {self.size} lost touch with another rank, whose output says why it ended. The "
                f"last checkpoint stands: start all ranks again with --resume. ({str(error).splitlines()[0]})"
            ) from error


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients beside each other, as many as travel together; a larger one is alone."""
    bucket: list[Tensor] = []
    filled = 0
    for gradient in gradients:
        differs = bucket and (gradient.device, _wide(gradient)) != (bucket[0].device, _wide(bucket[0]))
        if bucket and (differs or filled + gradient.numel() > _BUCKET):
            yield bucket
            bucket, filled = [], 0
        bucket.append(gradient)
        filled += gradient.numel()
    if bucket:
        yield bucket


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
