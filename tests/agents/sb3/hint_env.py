"""An environment that is not of this project: name a digit that is shown, or ask for a hint where it is not."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

HINT = 4


class HintEnv(gym.Env):
    """Observation: the digit or −1, and whether a hint was given. Actions 0–3 answer, 4 asks."""

    observation_space = spaces.Dict({"digit": spaces.Box(-1, 3, (1,)), "hinted": spaces.Discrete(2)})
    action_space = spaces.Discrete(5)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, right="is_success", calls="tool_calls", render_mode=None):
        self.names, self.render_mode = (right, calls), render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.digit, self.hidden = int(self.np_random.integers(4)), bool(self.np_random.integers(2))
        self.calls = 0
        return self.seen(), {}

    def seen(self):
        known = not self.hidden or self.calls
        return {"digit": np.array([self.digit if known else -1], np.float32), "hinted": int(self.calls > 0)}

    def step(self, action):
        if action == HINT and self.calls < 3:
            self.calls += 1
            return self.seen(), 0.0, False, False, {}
        right = action == self.digit
        return self.seen(), float(right), True, False, dict(zip(self.names, (right, self.calls), strict=True))


class PairEnv(HintEnv):
    """The same with two numbers as action: ask or answer, and with what."""

    action_space = spaces.MultiDiscrete([2, 4])

    def step(self, action):
        return super().step(HINT if action[0] else int(action[1]))


class NamedEnv(HintEnv):
    """Tasks by name."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.digit, self.hidden = int(options["task_id"]), True
        return self.seen(), {}


for name, kind in (("Hint", HintEnv), ("Pair", PairEnv), ("Named", NamedEnv)):
    if f"TestsOwn{name}-v0" not in gym.registry:
        gym.register(f"TestsOwn{name}-v0", kind, disable_env_checker=True, order_enforce=False)
