"""What the tests of the stable-baselines3 agents share."""

import pytest

from metis_agents.sb3 import HDPO, GroupVecEnv, SFTConfig, cold_start

ENV = "MetisVQA-Discrete-v0"


@pytest.fixture(scope="session")
def small_start():
    """Weights after a short cold start: enough to crop the right cell now and then, and quick."""
    env = GroupVecEnv(ENV, tasks=2, group_size=2)
    model = HDPO("MultiInputPolicy", env, seed=0)
    cold_start(model.policy, ENV, SFTConfig(tasks=96, epochs=4))
    env.close()
    return {name: values.clone() for name, values in model.policy.state_dict().items()}
