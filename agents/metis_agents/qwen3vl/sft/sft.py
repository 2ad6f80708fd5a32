"""The cold start: imitating conversations by maximum likelihood, with the forward pass of the later training.

The loss is `Σ weight·(−log π) / Σ weight` over the model's tokens of a batch, all ranks and micro-batches together.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from metis_agents.qwen3vl.model.scoring import Scorer
from metis_agents.qwen3vl.sft.demonstrations import Example
from metis_agents.qwen3vl.train.optimizers import make_optimizer
from metis_agents.qwen3vl.train.policy import cut
from metis_agents.rl import Ranks
from metis_gym.errors import ConfigError, NonFiniteError
from metis_gym.parameters import check_parameters, number, whole

__all__ = ["SFTConfig", "fine_tune"]


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """How to imitate.

    Attributes:
        steps: Optimiser steps.
        batch: Demonstrations (pairs, or single conversations) in a step of one rank.
        lr: Largest learning rate; it rises during the warm-up and then falls to 0 as a half cosine.
        warmup: Share of the steps in which the learning rate rises.
        weight_decay: Weight decay of AdamW.
        max_grad_norm: Gradients are scaled down to this norm.
        micro_batch_tokens: Largest number of tokens in one forward pass, padding included; none for no limit.
        seed: Seed of the order.
    """

    steps: int = whole(1_000, low=1)
    batch: int = whole(32, low=1)
    lr: float = number(2e-3, above=0)
    warmup: float = number(0.05, low=0, high=1)
    weight_decay: float = number(0.01, low=0)
    max_grad_norm: float = number(1.0, above=0)
    micro_batch_tokens: int | None = whole(None, low=1, optional=True)
    seed: int = whole(0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)

    def rate(self, step: int) -> float:
        """The learning rate of a step.

        >>> config = SFTConfig(steps=100, lr=1.0, warmup=0.1)
        >>> [round(config.rate(step), 3) for step in (0, 9, 10, 55, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.0]
        """
        rising = max(1, round(self.steps * self.warmup))
        if step < rising:
            return self.lr * (step + 1) / rising
        passed = (step - rising) / max(1, self.steps - rising)
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * passed))


def fine_tune(
    scorer: Scorer,
    units: Sequence[Sequence[Example]],
    config: SFTConfig,
    *,
    ranks: Ranks | None = None,
    rounding: str = "nearest",
    heard: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Imitate.

    Args:
        scorer: The model; its trainable parameters learn.
        units: Conversations that stay together in a batch: a pair, or one alone. Each rank its own share.
        config: How.
        ranks: The ranks that learn together.
        rounding: How weights in bfloat16 take up updates; `metis_agents.qwen3vl.train.optimizers` says what there is.
        heard: Told the number and the loss of every step.

    Returns:
        The loss of every step.

    Raises:
        ConfigError: There is nothing to imitate.
        NonFiniteError: The loss is no longer finite; no step was taken with it.
    """
    if not units:
        raise ConfigError("Expect at least one conversation to imitate, actually: none")
    ranks = ranks or Ranks()
    parameters = [parameter for parameter in scorer.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(parameters, lr=config.lr, weight_decay=config.weight_decay, rounding=rounding)
    losses = []
    for step in range(config.steps):
        examples = [example for index in _chosen(len(units), config, step) for example in units[index]]
        for group in optimizer.param_groups:
            group["lr"] = config.rate(step)
        optimizer.zero_grad(set_to_none=True)
        loss = _backward(scorer, examples, config, ranks)
        if not math.isfinite(loss):
            raise NonFiniteError(f"the SFT loss is {loss} in step {step}; no step was taken")
        ranks.sum_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        optimizer.step()
        losses.append(loss)
        if heard is not None:
            heard(step, loss)
    optimizer.zero_grad(set_to_none=True)  # their memory is the first rollouts'
    return losses


def _backward(scorer: Scorer, examples: Sequence[Example], config: SFTConfig, ranks: Ranks) -> float:
    """Gradients of this rank's share of the loss; the loss of all ranks."""
    everything = sum(ranks.gather(float(sum(example.weights_N.sum() for example in examples))))
    total = 0.0
    conversations = [example.tokens for example in examples]
    pieces: list[list[int]] = cut(conversations, scorer.layout, config.micro_batch_tokens)
    most = max(ranks.gather(len(pieces)))  # where ranks share weights, all take part in every forward pass
    for piece in pieces + [[]] * (most - len(pieces)):
        logprobs_N = scorer([conversations[i] for i in piece]).logprobs_N
        weights = [np.zeros(0, dtype=np.float32), *(examples[i].weights_N for i in piece)]
        weights_N = torch.from_numpy(np.concatenate(weights)).to(logprobs_N)
        loss = -(weights_N * logprobs_N).sum() / everything
        loss.backward()
        total += float(loss.detach())
    return sum(ranks.gather(total))


def _chosen(units: int, config: SFTConfig, step: int) -> list[int]:
    """Which units a step takes: each epoch goes through all of them in an order of its own."""
    chosen = []
    for place in range(step * config.batch, (step + 1) * config.batch):
        epoch, number = divmod(place, units)
        chosen.append(int(_order(units, config.seed, epoch)[number]))
    return chosen


@functools.lru_cache(maxsize=2)
def _order(units: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(units)
