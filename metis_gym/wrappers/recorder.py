"""Records what an environment does, without loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym

from metis_gym.actions import plain_action
from metis_gym.env import ToolUseEnv
from metis_gym.errors import RecordingError
from metis_gym.recording import Event, RunWriter

__all__ = ["Recorder"]


class Recorder(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Writes every reset and step into a folder; `metis_gym.recording` reads and replays it.

    Args:
        env: An environment of this package, made by `gymnasium.make`, with no wrapper that changes what it returns.
        folder: Where to write; made if it is not there.

    Raises:
        RecordingError: The folder cannot be written or holds a run already, or the environment has no spec.
    """

    def __init__(self, env: gym.Env[Any, Any], folder: str | Path) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, folder=str(folder))
        super().__init__(env)
        if not isinstance(env.unwrapped, ToolUseEnv):
            raise RecordingError(f"only environments of metis-gym can be recorded, actually: {type(env.unwrapped)}")
        if env.unwrapped.spec is None:
            raise RecordingError("an environment without a spec cannot be replayed; make it with gymnasium.make")
        self._inner = env.unwrapped
        self._writer = RunWriter(Path(folder), env.unwrapped.spec)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode and record how it was started."""
        observation, info = self.env.reset(seed=seed, options=dict(options or {}))
        given = {"seed": seed, "options": dict(options or {})}
        self._writer.write(Event(kind="reset", given=given, returned={"observation": observation, "info": info}))
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step and record it, with what the tools gave."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        returned = {
            "observation": observation,
            "reward": float(reward),
            "terminated": terminated,
            "truncated": truncated,
            "info": info,
        }
        failure = self._inner.failure
        event = Event(
            kind="step",
            given={"action": plain_action(action) if isinstance(action, str | dict | list | tuple) else action},
            returned=returned,
            results=self._inner.episode.turns[-1].results,
            failure="" if failure is None else str(failure) or type(failure).__name__,
        )
        self._writer.write(event)
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Close the file and the environment."""
        self._writer.close()
        super().close()
