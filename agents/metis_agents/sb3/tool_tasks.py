"""Any Gymnasium environment as one that group methods train on."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["ToolTasks"]

_SEED = "seed/"
_CORRECT = ("correct", "is_success")


class ToolTasks(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Makes an environment look as `GroupVecEnv` needs it; HDPO does this by itself to environments that are not ours.

    Observations become a Dict of flat boxes, one for each part, Discrete parts one-hot. MultiDiscrete actions are
    counted through as one Discrete. A task is what a seed draws, so the members of a group are reset with the same
    seed; or one of `task_ids`, handed to `reset(options={"task_id": …})` with another seed for each member.

    Args:
        env: With Discrete or MultiDiscrete actions, made by `gymnasium.make`.
        correct: Key of the last info for whether the episode was right, a truth value or a score from 0 to 1; by
            default "correct", else "is_success".
        tool_calls: Key of the last info for T, the number of calls.
        tool_cost: Key of the last info for their price; without such a key each call costs 1.
        task_ids: Tasks by name; none for tasks by seed.

    Raises:
        ConfigError: Other actions, or observations that cannot be made numbers.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        correct: str | None = None,
        tool_calls: str = "tool_calls",
        tool_cost: str = "tool_cost",
        task_ids: Sequence[str] = (),
    ) -> None:
        RecordConstructorArgs.__init__(
            self, correct=correct, tool_calls=tool_calls, tool_cost=tool_cost, task_ids=list(task_ids)
        )
        gym.Wrapper.__init__(self, env)
        self._correct = _CORRECT if correct is None else (correct,)
        self._tool_calls, self._tool_cost, self._task_ids = tool_calls, tool_cost, tuple(task_ids)
        self._parts = _parts_of(env.observation_space)
        self.observation_space = spaces.Dict({name: _flat(name, part) for name, part in self._parts.items()})
        self._shape, count = _arms_of(env.action_space)
        self.action_space = spaces.Discrete(count)
        self._task_id, self._steps = "", 0

    def stream_task_id(self, stream: int, number: int) -> str:
        """Id of task `number` of a stream of tasks."""
        drawn = int(np.random.SeedSequence([stream, number]).generate_state(1)[0])
        return self._task_ids[drawn % len(self._task_ids)] if self._task_ids else f"{_SEED}{drawn}"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
        """Start a task: that of the options, else whatever the seed draws."""
        self._task_id, self._steps = str((options or {}).get("task_id", "")), 0
        if self._task_id.startswith(_SEED):
            observation, info = self.env.reset(seed=int(self._task_id.removeprefix(_SEED)))
        elif options:
            mixed = [*self._task_id.encode(), int(options.get("member", 0)), int(options.get("episode", 0))]
            own = int(np.random.SeedSequence(mixed).generate_state(1)[0])
            observation, info = self.env.reset(seed=own, options={"task_id": self._task_id})
        else:
            observation, info = self.env.reset(seed=seed)
        return self._flattened(observation), info

    def step(self, action: int) -> tuple[dict[str, NDArray[np.float32]], Any, bool, bool, dict[str, Any]]:
        """Act; the last info of an episode says what the episode came to, as `Outcome.to_info` does."""
        inner: Any = int(action) if self._shape is None else np.array(np.unravel_index(int(action), self._shape))
        observation, reward, terminated, truncated, info = self.env.step(inner)
        self._steps += 1
        if terminated or truncated:
            info = {**info, **self._outcome(info, truncated and not terminated).to_info()}
        return self._flattened(observation), reward, terminated, truncated, info

    def _outcome(self, info: Mapping[str, Any], truncated: bool) -> Outcome:
        correct = next((name for name in self._correct if name in info), None)
        if correct is None or self._tool_calls not in info:
            raise ConfigError(
                f"Expect the last info of an episode to have {' or '.join(map(repr, self._correct))} and "
                f"{self._tool_calls!r}, actually: {sorted(info)}. ToolTasks takes other names: correct=, tool_calls="
            )
        calls = int(info[self._tool_calls])
        return Outcome(
            task_id=self._task_id,
            answer_score=float(info[correct]),
            format_score=1.0,
            tool_calls=calls,
            tool_cost=float(info.get(self._tool_cost, calls)),
            turns=self._steps,
            truncated=truncated,
        )

    def _flattened(self, observation: Any) -> dict[str, NDArray[np.float32]]:
        parts = observation if isinstance(self.env.observation_space, spaces.Dict) else {"observation": observation}
        return {
            name: np.asarray(spaces.flatten(space, parts[name]), dtype=np.float32)
            for name, space in self._parts.items()
        }


def _parts_of(space: spaces.Space[Any]) -> dict[str, spaces.Space[Any]]:
    return dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}


def _flat(name: str, space: spaces.Space[Any]) -> spaces.Box:
    if space.is_np_flattenable:
        flat = spaces.flatten_space(space)
        if isinstance(flat, spaces.Box):
            return spaces.Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)
    raise ConfigError(
        f"Expect observations that can be made an array of numbers, actually: {name!r} is {space}. Leave it out with "
        f"gymnasium.wrappers.FilterObservation"
    )


def _arms_of(space: spaces.Space[Any]) -> tuple[tuple[int, ...] | None, int]:
    """The shape of a MultiDiscrete space, None for a Discrete one; and the number of actions."""
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return None, int(space.n)
    if isinstance(space, spaces.MultiDiscrete) and not space.start.any():
        shape = tuple(int(number) for number in space.nvec.ravel())
        return shape, int(np.prod(shape))
    raise ConfigError(f"Expect Discrete or MultiDiscrete actions that start at 0, actually: {space}")
