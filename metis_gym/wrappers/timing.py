"""Latency, kept apart from the environment so that replays of an episode are identical."""

import time
from typing import Any

import gymnasium as gym

__all__ = ["Timing"]


class Timing(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Adds wall-clock seconds to `info`: of this step, of its tool calls, and of the episode so far.

    Keys: `timing/step_seconds`, `timing/tool_seconds`, `timing/episode_seconds`; all are floats.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self._episode_seconds = 0.0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset and time it; a reset calls no tool."""
        started = time.perf_counter()
        observation, info = self.env.reset(**kwargs)
        self._episode_seconds = time.perf_counter() - started
        return observation, self._timed(info, self._episode_seconds, 0.0)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step and add the seconds that it took to `info`."""
        started = time.perf_counter()
        observation, reward, terminated, truncated, info = self.env.step(action)
        seconds = time.perf_counter() - started
        self._episode_seconds += seconds
        turn = self.get_wrapper_attr("episode").turns[-1]
        tool_seconds = float(sum(result.seconds for result in turn.results))
        return observation, reward, terminated, truncated, self._timed(info, seconds, tool_seconds)

    def _timed(self, info: dict[str, Any], seconds: float, tool_seconds: float) -> dict[str, Any]:
        timing = {
            "timing/step_seconds": seconds,
            "timing/tool_seconds": tool_seconds,
            "timing/episode_seconds": self._episode_seconds,
        }
        return {**info, **timing}
