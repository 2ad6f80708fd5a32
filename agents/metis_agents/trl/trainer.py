"""TRL's `GRPOTrainer` with a design's joined advantages as rewards, and with unscored episodes left out altogether."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from metis_agents.rl.joined import check_sums, joined
from metis_agents.trl.environment import TrlEnvironment
from metis_gym import rewards
from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import RewardDesign

__all__ = ["ScoredOnly", "channel_reward", "channel_trainer", "check_config"]

_PER_EPISODE = ("grpo", "sapo", "dr_grpo")
"""Losses of TRL that divide by the number of episodes, and not by that of tokens."""
_LOSSES = ("dapo", "cispo", *_PER_EPISODE)


def check_config(config: Any) -> None:
    """Check that TRL computes the loss of `metis_agents.rl` with these settings, as far as it has the surrogate.

    Args:
        config: A `trl.GRPOConfig`.

    Raises:
        ConfigError: A setting changes the advantages, or takes several optimiser steps for one batch.
    """
    wanted = {
        "scale_rewards": ("none", "the advantages are scaled already"),
        "num_iterations": (1, "one advantage is exact at ratio 1, in the first step after acting"),
        "steps_per_generation": (
            config.gradient_accumulation_steps,
            "as gradient_accumulation_steps: one optimiser step for each generation batch",
        ),
        "multi_objective_aggregation": ("sum_then_normalize", "the advantages are joined already"),
        "reward_weights": (None, "the weights of the channels are in the advantages"),
        "num_generations_eval": (None, "groups have one size"),
    }
    for name, (expected, why) in wanted.items():
        actual = getattr(config, name)
        if actual != expected:
            raise ConfigError(f"Expect {name}={expected!r} ({why}), actually: {actual!r}")
    if config.loss_type not in _LOSSES:
        raise ConfigError(
            f"Expect a loss_type whose gradient does not depend on micro-batches, {', '.join(_LOSSES)}, actually: "
            f"{config.loss_type!r}"
        )


def channel_reward(design: str | RewardDesign, config: Any) -> Callable[..., list[float | None]]:
    """The reward function that gives a design's joined advantages to `GRPOTrainer`.

    Args:
        design: The reward design, or its name or spec. Its state stays with this function.
        config: The trainer's `GRPOConfig`.

    Raises:
        ConfigError: `check_config` refuses the settings. When it is called: a group that is not whole on this process,
            or advantages that do not sum to 0 over a group.
    """
    check_config(config)
    made, size = rewards.make(design), int(config.num_generations)

    def advantages(
        environments: Sequence[TrlEnvironment], completions: Sequence[Any], **others: Any
    ) -> list[float | None]:
        outcomes = [one._finish(said) for one, said in zip(environments, completions, strict=True)]
        groups = [outcomes[start : start + size] for start in range(0, len(outcomes), size)]
        _check_groups(groups, size)
        found = joined(made, groups)
        places = [np.arange(start, start + size) for start in range(0, len(outcomes), size)]
        check_sums(found.total_N, places, made)
        if "log_metric" in others:
            _log(outcomes, others["log_metric"])
        return [
            float(total) if is_scored else None
            for total, is_scored in zip(found.total_N, found.is_scored_N, strict=True)
        ]

    advantages.__name__ = made.name
    return advantages


class ScoredOnly:
    """A base class before `GRPOTrainer`: what an unscored episode wrote divides no loss, either.

    TRL gives such an episode the advantage 0 but counts its tokens, which shrinks the step of all others.
    """

    args: Any
    accelerator: Any
    environments: Any

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        batch = super()._generate_and_score_completions(inputs)  # type: ignore[misc]  # GRPOTrainer's
        import torch

        completion_mask = batch["completion_mask"]
        scored = [one._outcome.scored for one in self.environments]
        scored_B = torch.tensor(scored, device=completion_mask.device)
        own = batch.get("tool_mask", torch.ones_like(completion_mask))
        batch["tool_mask"] = own * scored_B.unsqueeze(1)
        counts = torch.stack([(completion_mask * batch["tool_mask"]).sum(), scored_B.sum()]).unsqueeze(0)
        tokens, episodes = self.accelerator.gather(counts).sum(0)
        batch["num_items_in_batch"] = tokens
        if self.args.loss_type in _PER_EPISODE:
            everyone = len(scored) * self.accelerator.num_processes
            batch["advantages"] = batch["advantages"] * (everyone / episodes.clamp(min=1))
        return batch


def channel_trainer(
    model: Any, config: Any, *, design: str | RewardDesign, environment: type[TrlEnvironment], **options: Any
) -> Any:
    """A `GRPOTrainer` that learns by a reward design and leaves unscored episodes out altogether.

    Args:
        model: A model, or the name of one.
        config: A `trl.GRPOConfig`, with `scale_rewards="none"`.
        design: The reward design, or its name or spec.
        environment: What `environment_class` made.
        **options: For `GRPOTrainer`, such as `train_dataset` and `processing_class`.

    Raises:
        ConfigError: `check_config` refuses the settings.
        MissingDependencyError: trl is not installed.
    """
    try:
        trl = importlib.import_module("trl")
    except ImportError as error:
        raise MissingDependencyError.of("trl", "trl", "metis_agents.trl") from error
    kind: Any = type("ChannelTrainer", (ScoredOnly, trl.GRPOTrainer), {})
    return kind(
        model=model,
        args=config,
        reward_funcs=channel_reward(design, config),
        environment_factory=environment,
        **options,
    )


def _check_groups(groups: Sequence[Sequence[Outcome]], size: int) -> None:
    for group in groups:
        tasks = {outcome.task_id for outcome in group}
        if len(group) != size or len(tasks) != 1:
            raise ConfigError(
                f"Expect whole groups of num_generations ({size}) episodes of one task on each process, actually: "
                f"{len(group)} episodes of {len(tasks)} tasks. Make per_device_train_batch_size × steps_per_generation "
                "a multiple of num_generations."
            )


def _log(outcomes: Sequence[Outcome], log: Callable[[str, float], None]) -> None:
    """What the rewards no longer say: their mean is 0."""
    scored = [outcome for outcome in outcomes if outcome.scored]
    log("unscored", float(len(outcomes) - len(scored)))
    for outcome in scored:
        log("accuracy", float(outcome.truly_correct))
        log("tool_calls", float(outcome.tool_calls))
