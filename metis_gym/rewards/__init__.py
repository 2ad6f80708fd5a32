"""Reward designs: groups of outcomes → advantage channels. Pure numpy, float64.

```python
from metis_gym import rewards

design = rewards.make("hdpo", w_tool=0.15)          # or rewards.from_spec("hdpo:w_tool=0.15")
accuracy, efficiency = design.channels(groups)      # groups: one sequence of Outcomes for each task
scalar = design.reward(outcome)                     # for ordinary RL
```

Axes: N is the number of episodes of a batch, all groups end to end. The table of all designs is in docs/rewards.md;
`python -m metis_gym.rewards.table docs/rewards.md` writes it. Nothing here knows an environment, a model or a token.
"""

from metis_gym.parameters import choice, flag, number, whole
from metis_gym.rewards.catalogue import (
    DESIGNS,
    available,
    checked_components,
    checked_reward,
    from_spec,
    make,
    register,
    spec_of,
)
from metis_gym.rewards.contract import Channel, Groups, RewardDesign
from metis_gym.rewards.design import (
    Card,
    Design,
    Evidence,
    ScoredApart,
    SingleReward,
    accuracy_score,
    efficiency_score,
)
from metis_gym.rewards.estimators import ESTIMATORS
from metis_gym.rewards.statistics import Scale

__all__ = [
    "DESIGNS",
    "ESTIMATORS",
    "Card",
    "Channel",
    "Design",
    "Evidence",
    "Groups",
    "RewardDesign",
    "Scale",
    "ScoredApart",
    "SingleReward",
    "accuracy_score",
    "available",
    "checked_components",
    "checked_reward",
    "choice",
    "efficiency_score",
    "flag",
    "from_spec",
    "make",
    "number",
    "register",
    "spec_of",
    "whole",
]
