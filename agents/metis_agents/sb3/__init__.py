"""stable-baselines3 on the numeric view: HDPO and every other reward design as an algorithm of that library.

```python
from metis_agents.sb3 import HDPO

model = HDPO("MultiInputPolicy", "MetisVQA-Discrete-v0", group_size=16, reward_design="hdpo", seed=0)
model.learn(total_timesteps=30_000, progress_bar=True)
model.save("policy.zip")
```

An environment that is not of this package can be trained on, too, if its actions are Discrete or MultiDiscrete and its
last info says `correct` or `is_success` and `tool_calls`; `ToolTasks` takes other names:

```python
env = ToolTasks(gymnasium.make("SomebodysHints-v0"), correct="won", tool_calls="hints")
model = HDPO("MultiInputPolicy", env, group_size=16)
```

`ToolUsePolicy` and its feature extractor also go into `stable_baselines3.PPO`, which then learns from the environment's
scalar reward.
"""

try:
    import stable_baselines3 as _sb3  # noqa: F401
except ImportError as error:
    from metis_gym.errors import MissingDependencyError

    raise MissingDependencyError.of("stable_baselines3", extra="agents", purpose="metis_agents.sb3") from error

from metis_agents.sb3.agent import PolicyAgent
from metis_agents.sb3.algorithm import HDPO
from metis_agents.sb3.callbacks import StopAfterBatches
from metis_agents.sb3.group_env import GroupVecEnv
from metis_agents.sb3.play import play
from metis_agents.sb3.policy import NumericExtractor, ToolUsePolicy
from metis_agents.sb3.sft import SFTConfig, cold_start
from metis_agents.sb3.tool_tasks import ToolTasks
from metis_gym.deprecation import former_names

__all__ = [
    "HDPO",
    "GroupVecEnv",
    "NumericExtractor",
    "PolicyAgent",
    "SFTConfig",
    "StopAfterBatches",
    "ToolTasks",
    "ToolUsePolicy",
    "cold_start",
    "play",
]

__getattr__ = former_names(__name__, {"CloningConfig": "SFTConfig"})
