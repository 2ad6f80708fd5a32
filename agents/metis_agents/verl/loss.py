"""The policy loss `metis_two_channel`: the channel loss exactly, whatever the ratios are (`metis_agents.rl.joined`)."""

from typing import Any

import torch
from torch import Tensor

from metis_agents.rl.surrogates import PpoClip, clamped
from metis_agents.verl.advantage import split_hinge

__all__ = ["two_channel_loss"]


def two_channel_loss(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """PPO's clip of total, m and −m, added up and averaged as verl averages.

    Args:
        old_log_prob: Log-probabilities when the episodes were played, shape (B, T).
        log_prob: Those of the policy that learns.
        advantages: As the estimator `metis` writes them.
        response_mask: True at the model's tokens.
        loss_agg_mode: verl's own.
        config: The actor's configuration: clip_ratio, clip_ratio_low, clip_ratio_high and clip_ratio_c hold here, too.
        rollout_is_weights: verl's weights of tokens, where the engine that sampled is not exactly the policy.

    Returns:
        The loss, and verl's metrics of a policy loss.
    """
    from verl.trainer.ppo.core_algos import agg_loss

    is_own_BT = response_mask.bool()
    total_B1, hinge_B1 = split_hinge(advantages, is_own_BT)
    logratio_BT = torch.where(is_own_BT, log_prob - old_log_prob, torch.zeros_like(log_prob))
    objective = _surrogate(config)(logratio_BT, torch.stack([total_B1, hinge_B1, -hinge_B1]), is_own_BT)
    losses_BT = -objective.objective_CBT.sum(0)
    if rollout_is_weights is not None:
        losses_BT = losses_BT * rollout_is_weights
    loss = agg_loss(
        loss_mat=losses_BT, loss_mask=response_mask, loss_agg_mode=loss_agg_mode, **config.global_batch_info
    )
    count = is_own_BT.sum().clamp(min=1)
    is_clipped_BT = objective.is_clipped_CBT[0] & is_own_BT
    metrics = {
        "actor/pg_clipfrac": (is_clipped_BT.sum() / count).item(),
        "actor/ppo_kl": (-(clamped(logratio_BT).detach() * is_own_BT).sum() / count).item(),
        "actor/pg_clipfrac_lower": 0.0,
        "actor/metis_hinge": hinge_B1.mean().item(),
    }
    return loss, metrics


def _surrogate(config: Any) -> PpoClip:
    low = config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low
    high = config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high
    return PpoClip(eps_low=float(low), eps_high=float(high), dual_clip=float(config.get("clip_ratio_c", 3.0)))
