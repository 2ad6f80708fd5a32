"""What HDPO writes into stable-baselines3's logs."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from stable_baselines3.common.logger import Logger

from metis_agents.rl import BatchReport
from metis_gym.metrics import means
from metis_gym.records import Outcome

__all__ = ["record_batch", "record_episodes", "record_times"]

_METRICS = ("accuracy", "tool_rate", "redundant_rate", "tool_recall", "tool_calls", "tool_cost")
_DIAGNOSTICS = ("sign_reversal", "cosine", "signal", "unscored")


def record_batch(logger: Logger, outcomes: Sequence[Outcome], report: BatchReport) -> None:
    """Metrics of the episodes, and what the last update did."""
    for name, value in means(outcomes, _METRICS).items():
        if not math.isnan(value):
            logger.record(f"rollout/{name}", value)
    for name in _DIAGNOSTICS:
        logger.record(f"rollout/{name}", float(getattr(report.batch, name)))
    for name, value in report.updates[-1].flat().items():
        logger.record(f"train/{name}", value)


def record_episodes(logger: Logger, episodes: Iterable[Mapping[str, float]]) -> None:
    """Mean reward and length of the last episodes."""
    episodes = list(episodes)
    if episodes:
        for name, key in (("ep_rew_mean", "r"), ("ep_len_mean", "l")):
            logger.record(f"rollout/{name}", float(np.mean([episode[key] for episode in episodes])))


def record_times(logger: Logger, *, updates: int, batches: int, timesteps: int) -> None:
    """How far training is."""
    logger.record("train/n_updates", updates, exclude="tensorboard")
    logger.record("time/batches", batches, exclude="tensorboard")
    logger.record("time/total_timesteps", timesteps, exclude="tensorboard")
