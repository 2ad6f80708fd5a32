"""HDPO, and every other reward design, as a training loop that is generic over the policy (arXiv 2604.08545).

```python
from metis_agents.rl import Trainer, TrainerConfig

trainer = Trainer(policy, collector, "hdpo:w_tool=0.15", TrainerConfig(tasks=32, group_size=16, minibatches=1))
reports = trainer.train(batches=100)
```

A `Policy` recomputes log-probabilities, a `Collector` plays; `metis_agents.rl.bandit` is the smallest example.
Those with a loop of their own use the parts: `compute_channels` (outcomes → advantages), `LossCounts`, `channel_loss`.
Engines that know one advantage for each episode take `joined`.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    from metis_gym.errors import MissingDependencyError

    raise MissingDependencyError.of("torch", extra="agents", purpose="metis_agents.rl") from error

from metis_agents.rl.batch import ChannelBatch, compute_channels, select, signal
from metis_agents.rl.collect import Collector, Policy, Rollout, TokenLogprobs, check_groups, group_by_task
from metis_agents.rl.counts import Aggregation, Count, Denominator, LossCounts
from metis_agents.rl.diagnostics import BatchDiagnostics, UpdateDiagnostics
from metis_agents.rl.distributed import Ranks
from metis_agents.rl.joined import Joined, joined
from metis_agents.rl.loss import ChannelLoss, LossConfig, LossStats, channel_loss
from metis_agents.rl.microbatch import micro_batches
from metis_agents.rl.surrogates import SURROGATES, Surrogate, make_surrogate
from metis_agents.rl.trainer import BatchReport, Callback, Trainer, TrainerConfig
from metis_gym.deprecation import former_names

__all__ = [
    "SURROGATES",
    "Aggregation",
    "BatchDiagnostics",
    "BatchReport",
    "Callback",
    "ChannelBatch",
    "ChannelLoss",
    "Collector",
    "Count",
    "Denominator",
    "Joined",
    "LossConfig",
    "LossCounts",
    "LossStats",
    "Policy",
    "Ranks",
    "Rollout",
    "Surrogate",
    "TokenLogprobs",
    "Trainer",
    "TrainerConfig",
    "UpdateDiagnostics",
    "channel_loss",
    "check_groups",
    "compute_channels",
    "group_by_task",
    "joined",
    "make_surrogate",
    "micro_batches",
    "select",
    "signal",
]

__getattr__ = former_names(__name__, {"judge": "compute_channels"})
