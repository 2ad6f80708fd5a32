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
from metis_gym.rewards.batch import Batch, Positions, check_outcome
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
from metis_gym.rewards.contract import Bools, Channel, Floats, Groups, RewardDesign, view_for
from metis_gym.rewards.design import (
    Card,
    Cost,
    CountsCalls,
    Design,
    Evidence,
    ScoredApart,
    SingleReward,
    accuracy_score,
    efficiency_score,
    everyones_channel,
    spent,
)
from metis_gym.rewards.estimators import ESTIMATORS, dr_grpo, grpo, opo, reinforce_pp, rloo
from metis_gym.rewards.statistics import Scale, mean, spread, standardise

__all__ = [
    "DESIGNS",
    "ESTIMATORS",
    "Batch",
    "Bools",
    "Card",
    "Channel",
    "Cost",
    "CountsCalls",
    "Design",
    "Evidence",
    "Floats",
    "Groups",
    "Positions",
    "RewardDesign",
    "Scale",
    "ScoredApart",
    "SingleReward",
    "accuracy_score",
    "available",
    "check_outcome",
    "checked_components",
    "checked_reward",
    "choice",
    "dr_grpo",
    "efficiency_score",
    "everyones_channel",
    "flag",
    "from_spec",
    "grpo",
    "make",
    "mean",
    "number",
    "opo",
    "register",
    "reinforce_pp",
    "rloo",
    "spec_of",
    "spent",
    "spread",
    "standardise",
    "view_for",
    "whole",
]
