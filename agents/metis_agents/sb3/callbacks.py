"""Callbacks for `HDPO.learn`, in stable-baselines3's manner."""

import warnings
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, ProgressBarCallback
from tqdm import TqdmExperimentalWarning

__all__ = ["StopAfterBatches", "TimestepsBar"]


class StopAfterBatches(BaseCallback):
    """Stops when so many batches have been learned from, those before a save and load included.

    Args:
        batches: How many.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def _on_step(self) -> bool:
        model: Any = self.model
        return bool(model.batches_done + 1 < self.batches)


class TimestepsBar(ProgressBarCallback):
    """The library's progress bar, for steps that not all sub-environments take."""

    def _on_training_start(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TqdmExperimentalWarning)
            super()._on_training_start()
        self._shown = self.model.num_timesteps

    def _on_step(self) -> bool:
        self.pbar.update(self.model.num_timesteps - self._shown)
        self._shown = self.model.num_timesteps
        return True
