"""The training loop, the same for every policy (arXiv 2604.08545).

Collect G episodes of each of P tasks → drop unscored → the design compares → skip episodes without signal before the
forward pass → channel loss → step. Nothing here knows an environment, a model or a token.

Resuming is exact: `state_dict` holds the policy, the optimiser, the design's memory, the collector, and the random
generators; a run that is stopped after any batch and resumed ends with the same numbers. On a machine with fewer GPUs
it goes on with the generators of those that there are.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from metis_agents.rl.batch import ChannelBatch, Positions, compute_channels, select
from metis_agents.rl.collect import Collector, Policy, Rollout, TokenLogprobs, check_groups
from metis_agents.rl.counts import Denominator, LossCounts
from metis_agents.rl.diagnostics import BatchDiagnostics, UpdateDiagnostics
from metis_agents.rl.distributed import Ranks
from metis_agents.rl.loss import LossConfig, LossStats, channel_loss
from metis_agents.rl.microbatch import micro_batches
from metis_agents.states import check_optimizer_state, fitting
from metis_gym import rewards
from metis_gym.errors import ConfigError, NonFiniteError
from metis_gym.parameters import check_parameters, number, whole
from metis_gym.rewards.contract import RewardDesign

__all__ = ["BatchReport", "Callback", "Trainer", "TrainerConfig"]

Payload = TypeVar("Payload")
Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How to train. The defaults are the published settings of arXiv 2604.08545.

    Attributes:
        tasks: P, tasks in a batch of one rank.
        group_size: G, episodes of each task.
        minibatches: Optimiser steps that a batch is cut into, by task.
        epochs: How often a batch is gone through.
        lr: Learning rate of the default optimiser, AdamW.
        weight_decay: Weight decay of the default optimiser.
        max_grad_norm: Gradients are scaled down to this norm; none for never.
        micro_batch_episodes: Largest number of episodes in one forward pass; none for no limit.
        micro_batch_tokens: Largest number of tokens in one forward pass, padding included; none for no limit.
        seed: Seed of the order of minibatches.
        loss: The options of the loss.
    """

    tasks: int = whole(128, low=1)
    group_size: int = whole(16, low=1)
    minibatches: int = whole(2, low=1)
    epochs: int = whole(1, low=1)
    lr: float = number(1e-6, above=0)
    weight_decay: float = number(0.01, low=0)
    max_grad_norm: float | None = number(1.0, above=0, optional=True)
    micro_batch_episodes: int | None = whole(None, low=1, optional=True)
    micro_batch_tokens: int | None = whole(None, low=1, optional=True)
    seed: int = whole(0, low=0)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.tasks % self.minibatches:
            raise ConfigError(f"tasks ({self.tasks}) must be divisible by minibatches ({self.minibatches}).")

    @property
    def moves_on(self) -> bool:
        """Whether a batch takes several steps: ratios then differ from 1, and the acting policy's are kept."""
        return self.minibatches * self.epochs > 1


@dataclass(frozen=True, kw_only=True)
class BatchReport:
    """What came of one batch.

    Attributes:
        index: How many batches came before.
        batch: What it looked like.
        updates: What each optimiser step did.
    """

    index: int
    batch: BatchDiagnostics
    updates: tuple[UpdateDiagnostics, ...]


Callback: TypeAlias = Callable[["Trainer[Any]", BatchReport], bool | None]
"""Called after every batch; a return value of False ends the training."""


class Trainer(Generic[Payload]):
    """Trains a policy by comparing episodes of the same task.

    Args:
        policy: What learns.
        collector: What plays, with this policy.
        design: The reward design, or its name or spec.
        config: How to train.
        optimizer: By default AdamW with the config's settings.
        callbacks: Called after every batch, in order.
        ranks: The ranks that share a batch; by default those of torch.distributed's default group.
        cut: Cuts episodes into micro-batches, given as positions; by default by length, within the config's limits. An
            empty piece is a forward pass without episodes, for models whose ranks must all take part in each.

    Attributes:
        halvings: How often micro-batches have been halved, because the device had not the memory.
    """

    def __init__(
        self,
        policy: Policy[Payload],
        collector: Collector[Payload],
        design: str | RewardDesign,
        config: TrainerConfig,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        callbacks: Sequence[Callback] = (),
        ranks: Ranks | None = None,
        cut: Callable[[Sequence[Rollout[Payload]]], Sequence[Sequence[int]]] | None = None,
    ) -> None:
        self.policy = policy
        self.collector = collector
        self.design = rewards.make(design)
        self.config = config
        self.parameters = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.optimizer = optimizer or torch.optim.AdamW(self.parameters, lr=config.lr, weight_decay=config.weight_decay)
        self.callbacks = tuple(callbacks)
        self.ranks = ranks or Ranks()
        self.batches_done = 0
        self.halvings = 0
        self._cut = cut or self._cut_by_length
        self._order = np.random.default_rng(config.seed)

    def train(self, batches: int) -> list[BatchReport]:
        """Train on so many batches, fewer when a callback says stop."""
        reports = []
        for _ in range(batches):
            report = self.step()
            reports.append(report)
            answers = [callback(self, report) for callback in self.callbacks]
            if False in answers:
                break
        return reports

    def step(self) -> BatchReport:
        """Collect one batch and learn from it. No gradients are left: their memory is the next rollouts'."""
        groups = self.collector.collect(self.config.tasks, self.config.group_size)
        check_groups(groups, self.config.tasks, self.config.group_size)
        report = self.learn(groups)
        self.optimizer.zero_grad(set_to_none=True)
        return report

    def learn(self, groups: Sequence[Sequence[Rollout[Payload]]]) -> BatchReport:
        """Learn from one batch of groups, however it came about; the gradients of the last step stay."""
        batch = compute_channels(groups, self.design, self.ranks)
        old_logprobs: dict[int, Tensor] = {}
        updates: list[UpdateDiagnostics] = []
        for _ in range(self.config.epochs):
            for episodes in self._minibatches(batch):
                if not updates:  # before the first step the policy is the one that acted: this piece needs no pass
                    rest = np.setdiff1d(np.arange(len(batch.rollouts)), episodes)
                    old_logprobs = self._acting_logprobs(batch, rest) if self.config.moves_on else {}
                updates.append(self._update(batch, episodes, old_logprobs))
        self.batches_done += 1
        return BatchReport(index=self.batches_done - 1, batch=batch.diagnostics, updates=tuple(updates))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly, for `metis_agents.states.write_state` or `torch.save`."""
        return {
            "batches_done": self.batches_done,
            "design": {"spec": rewards.spec_of(self.design), "state": self.design.state_dict()},
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "collector": self.collector.state_dict(),
            "order": self._order.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ConfigError: The state is of a run with another reward design.
            CheckpointError: It does not fit: weights or moments of other shapes, parts that are missing.
        """
        with fitting("the state"):
            saved, ours = state["design"]["spec"], rewards.spec_of(self.design)
            if saved != ours:
                raise ConfigError(f"Expect a state of a run with reward design {ours!r}, actually: {saved!r}")
            check_optimizer_state(self.optimizer, state["optimizer"])
            self.policy.load_state_dict(state["policy"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.design.load_state_dict(state["design"]["state"])
            self.collector.load_state_dict(state["collector"])
            self._order.bit_generator.state = state["order"]
            torch.set_rng_state(state["torch_rng"].cpu())
            if state["cuda_rng"]:
                for device, generator in zip(range(torch.cuda.device_count()), state["cuda_rng"], strict=False):
                    torch.cuda.set_rng_state(generator.cpu(), device)
            self.batches_done = int(state["batches_done"])

    def _minibatches(self, batch: ChannelBatch[Payload]) -> list[Positions]:
        """Cut the batch by task, in a new random order where there is more than one piece."""
        count = self.config.minibatches
        if count == 1:
            return [np.arange(len(batch.rollouts))]
        order = self._order.permutation(len(batch.groups))
        empty = [np.arange(0)]
        return [np.concatenate(empty + [batch.groups[i] for i in piece]) for piece in np.array_split(order, count)]

    def _update(
        self, batch: ChannelBatch[Payload], episodes: Positions, old_logprobs: dict[int, Tensor]
    ) -> UpdateDiagnostics:
        """One optimiser step; none where no rank has an episode with signal."""
        mine = batch.counts(episodes, Denominator(self.config.loss.denominator)) if batch.channels else None
        counts = _total([part for part in self.ranks.gather(mine) if part is not None])
        kept = batch.needing_forward(episodes, regularised=self.config.loss.regularised)
        forward = sum(self.ranks.gather(len(kept)))
        names = [channel.name for channel in batch.channels if channel.weight != 0.0]
        if counts is None or forward == 0:
            return UpdateDiagnostics.of(None, names, 0, float("nan"))
        stats = self._within_memory(batch, kept, lambda: self._gradients(batch, kept, counts, old_logprobs))
        self.ranks.sum_gradients(self.parameters)
        norm = self._clip_gradients()
        self.optimizer.step()
        everyone = [part for part in self.ranks.gather(stats) if part is not None]
        return UpdateDiagnostics.of(_total(everyone), names, forward, norm)

    def _within_memory(self, batch: ChannelBatch[Payload], episodes: Positions, work: Callable[[], Result]) -> Result:
        """Forward passes over episodes; where the device has not the memory, again in pieces half as large.

        Pieces stay small from then on. Nothing that is computed depends on how a batch is cut.

        Raises:
            torch.OutOfMemoryError: Single episodes do not fit, or ranks share their forward passes: the others would
                wait in one that this rank has left.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                if self.ranks.shares_passes or max(map(len, self._pieces(batch, episodes)), default=0) <= 1:
                    raise
            self.halvings += 1
            _LOG.warning("out of memory: from now on micro-batches are cut into %d", 2**self.halvings)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _gradients(
        self, batch: ChannelBatch[Payload], kept: Positions, counts: LossCounts, old_logprobs: dict[int, Tensor]
    ) -> LossStats | None:
        """The gradients of an update and nothing else, whatever was there before; notes what the policy said."""
        self.optimizer.zero_grad(set_to_none=True)
        noted = dict(old_logprobs)
        stats = self._backward(batch, kept, counts, noted)
        old_logprobs |= noted
        return stats

    def _backward(
        self, batch: ChannelBatch[Payload], kept: Positions, counts: LossCounts, old_logprobs: dict[int, Tensor]
    ) -> LossStats | None:
        """Add up the gradients of all micro-batches.

        Episodes that have no old log-probabilities are learned from for the first time, before any step: what the
        policy says now is what it said when it acted, and is noted for later epochs.
        """
        total: LossStats | None = None
        for piece in self._pieces(batch, kept):
            tokens = self._logprobs(batch, piece)
            is_remembered = len(piece) > 0 and all(int(index) in old_logprobs for index in piece)
            old_BT = _padded([old_logprobs[int(index)] for index in piece], tokens) if is_remembered else None
            if not is_remembered and self.config.epochs > 1:
                old_logprobs |= _by_episode(piece, tokens)
            part = channel_loss(tokens, select(batch.channels, piece), counts, self.config.loss, old_logprobs_BT=old_BT)
            part.loss.backward()  # type: ignore[no-untyped-call]
            total = part.stats if total is None else total + part.stats
        return total.cpu() if total is not None else None

    @torch.no_grad()
    def _acting_logprobs(self, batch: ChannelBatch[Payload], episodes: Positions) -> dict[int, Tensor]:
        """Log-probabilities of the policy that acted, at the model tokens of those episodes that will be used."""
        needed = batch.needing_forward(episodes, regularised=self.config.loss.regularised)

        def said() -> dict[int, Tensor]:
            old: dict[int, Tensor] = {}
            for piece in self._pieces(batch, needed):
                old |= _by_episode(piece, self._logprobs(batch, piece))
            return old

        return self._within_memory(batch, needed, said)

    def _pieces(self, batch: ChannelBatch[Payload], episodes: Positions) -> list[Positions]:
        pieces = self._cut([batch.rollouts[index] for index in episodes])
        whole = [episodes[np.asarray(piece, dtype=np.intp)] for piece in pieces]
        return [part for piece in whole for part in _halved(piece, self.halvings)]

    def _cut_by_length(self, rollouts: Sequence[Rollout[Payload]]) -> list[list[int]]:
        lengths = [rollout.cost for rollout in rollouts]
        return micro_batches(lengths, self.config.micro_batch_episodes, self.config.micro_batch_tokens)

    def _logprobs(self, batch: ChannelBatch[Payload], piece: Positions) -> TokenLogprobs:
        """Ask the policy, and check that it marks as many model tokens as were counted."""
        rollouts = [batch.rollouts[index] for index in piece]
        tokens = self.policy.logprobs(rollouts)
        marked = tokens.is_model_token_BT.sum(-1).tolist()
        counted = [rollout.model_tokens for rollout in rollouts]
        if marked != counted:
            raise ConfigError(
                f"Expect the policy to mark as many model tokens as the rollouts have, {counted}, actually: {marked}"
            )
        return tokens

    def _clip_gradients(self) -> float:
        """Clip the summed gradient; its norm before that."""
        limit = self.config.max_grad_norm if self.config.max_grad_norm is not None else float("inf")
        total = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        norm = float(total.full_tensor() if isinstance(total, DTensor) else total)
        if not np.isfinite(norm):
            raise NonFiniteError(f"the norm of the gradient is {norm}, though the loss is finite; no step was taken")
        return norm


Part = TypeVar("Part", LossCounts, LossStats)


def _halved(piece: Positions, times: int) -> list[Positions]:
    """A piece in 2ᵏ parts, as many as have an episode."""
    return np.array_split(piece, max(1, min(len(piece), 2**times)))


def _total(parts: Sequence[Part]) -> Part | None:
    if not parts:
        return None
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _by_episode(piece: Positions, tokens: TokenLogprobs) -> dict[int, Tensor]:
    """The log-probabilities of each episode at its model tokens, without gradients."""
    logprobs_BT, is_model_token_BT = tokens.logprobs_BT.detach(), tokens.is_model_token_BT.bool()
    return {int(index): logprobs_BT[row][is_model_token_BT[row]] for row, index in enumerate(piece)}


def _padded(rows: Sequence[Tensor], tokens: TokenLogprobs) -> Tensor:
    """Put each episode's values where this micro-batch has its model tokens."""
    padded_BT = torch.zeros_like(tokens.logprobs_BT)
    padded_BT[tokens.is_model_token_BT.bool()] = torch.cat([padded_BT.new_zeros(0), *rows])
    return padded_BT
