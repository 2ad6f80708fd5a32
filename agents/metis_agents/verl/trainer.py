"""verl's own trainers, which hand the outcomes of a batch to the estimator `metis`; nothing else is changed.

KL in the reward is refused, because the estimator looks at no reward; KL in the loss, rollout correction, checkpoints
and everything else stay verl's.
"""

import json
from collections.abc import Mapping
from typing import Any

import transfer_queue as tq
from omegaconf import open_dict
from verl.trainer.ppo.v1 import PPOTrainer, PPOTrainerColocateAsync, PPOTrainerSeparateAsync, PPOTrainerSync

from metis_agents.verl.advantage import Row, handed_over, join_rows
from metis_agents.verl.loop import OUTCOME
from metis_agents.verl.settings import VerlSettings
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["TRAINERS", "check_config", "rows_of"]


def check_config(config: Any) -> None:
    """Check that verl computes the loss of `metis_agents.rl` with these settings.

    Raises:
        ConfigError: A setting changes the advantages.
    """
    if config.algorithm.adv_estimator != "metis":
        raise ConfigError(f"Expect algorithm.adv_estimator=metis, actually: {config.algorithm.adv_estimator}")
    if config.algorithm.use_kl_in_reward:
        raise ConfigError(
            "Expect algorithm.use_kl_in_reward=False: the advantages come from outcomes, not from rewards; "
            "actor_rollout_ref.actor.use_kl_loss adds a KL term to the loss"
        )
    mode = config.actor_rollout_ref.actor.policy_loss.loss_mode
    if mode not in ("metis_two_channel", "vanilla"):
        raise ConfigError(
            f"Expect policy_loss.loss_mode metis_two_channel, or vanilla for one step a batch, actually: {mode}"
        )
    per_batch = config.data.train_batch_size // config.actor_rollout_ref.actor.ppo_mini_batch_size
    if mode == "vanilla" and (per_batch > 1 or config.actor_rollout_ref.actor.ppo_epochs > 1):
        raise ConfigError(
            "Expect policy_loss.loss_mode=metis_two_channel where a batch takes several steps, because one advantage "
            f"is exact at ratio 1 only; actually: vanilla with {per_batch} mini-batches"
        )


def rows_of(batch: Any) -> list[Row]:
    """The rows of a batch in its order: whose group, and how the episode went."""
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
    fields: list[Mapping[str, Any]] = data["extra_fields"].tolist()
    return [
        Row(
            group=key.rsplit("_", 2)[0],
            outcome=None if tag.get("is_padding", False) else Outcome.from_info(json.loads(given[OUTCOME])),
        )
        for key, tag, given in zip(batch.keys, batch.tags, fields, strict=True)
    ]


def _extended(base: type[PPOTrainer], mode: str) -> type[PPOTrainer]:
    """The trainer of one of verl's modes, with outcomes."""

    class MetisTrainer(base):  # type: ignore[misc, valid-type]
        """verl's own trainer, which hands over outcomes."""

        def __init__(self, config: Any) -> None:
            check_config(config)
            self.metis_design = rewards.make(VerlSettings.of(config.data).design)
            with open_dict(config):
                config.trainer.v1.trainer_mode = mode  # verl chooses buffers by this name
            super().__init__(config)

        def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
            rows = rows_of(batch)
            played = [row.outcome for row in rows if row.outcome is not None]
            metrics["metis/episodes"] = float(len(played))
            if played:
                metrics["metis/accuracy"] = sum(one.truly_correct for one in played) / len(played)
                metrics["metis/tool_calls"] = sum(one.tool_calls for one in played) / len(played)
            with handed_over(join_rows(self.metis_design, rows)):
                return super()._compute_advantage(batch, metrics)

    MetisTrainer.__name__ = MetisTrainer.__qualname__ = f"Metis{base.__name__}"
    return MetisTrainer


TRAINERS = {
    "metis_sync": _extended(PPOTrainerSync, "sync"),
    "metis_colocate_async": _extended(PPOTrainerColocateAsync, "colocate_async"),
    "metis_separate_async": _extended(PPOTrainerSeparateAsync, "separate_async"),
}
"""By the name for `trainer.v1.trainer_mode`."""
