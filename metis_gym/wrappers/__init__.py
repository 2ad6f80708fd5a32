"""Wrappers: recording and timing."""

from metis_gym.wrappers.recorder import Recorder
from metis_gym.wrappers.timing import Timing

__all__ = ["Recorder", "Timing"]
