"""TRL's `GRPOTrainer` on this suite's environments, with any reward design (extra `[trl]`).

```python
from datasets import Dataset
from trl import GRPOConfig
from metis_agents.trl import channel_trainer, environment_class, task_rows

environment = environment_class(taskset="signs")
trainer = channel_trainer(
    "Qwen/Qwen3-VL-8B-Instruct",
    GRPOConfig(output_dir="out", scale_rewards="none", num_generations=16, max_completion_length=4096),
    design="hdpo:w_tool=0.15",
    environment=environment,
    train_dataset=Dataset.from_list(task_rows(environment, 1_000)),
)
trainer.train()
```

TRL subtracts the mean of a group from its rewards. The joined advantages of a design that compares within groups sum to
0 over each group, so they pass through unchanged when they are given *as the rewards*; an unscored episode's reward is
None, which TRL leaves out. With one optimiser step for each generation batch every ratio is 1, where one advantage is
exact (`metis_agents.rl.joined`). What else would change the gradient is refused: `check_config`.

A tool is a method of the environment. TRL calls tools one after the other in the trainer's own thread. It does not tell
what a model wrote around a call, and text that it cannot read as a call is no call: it is not counted in T.
"""

from metis_agents.trl.environment import TrlEnvironment, environment_class, task_rows
from metis_agents.trl.trainer import ScoredOnly, channel_reward, channel_trainer, check_config

__all__ = [
    "ScoredOnly",
    "TrlEnvironment",
    "channel_reward",
    "channel_trainer",
    "check_config",
    "environment_class",
    "task_rows",
]
