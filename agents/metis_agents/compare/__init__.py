"""Reward designs compared: the same cold starts, tasks and seeds for all, in parallel, resumable.

```python
from metis_agents.compare import Plan, Settings, compare

settings = Settings(env={"grader_noise": 0.3})
comparison = compare(Plan(designs=("accuracy", "hdpo"), seeds=(0, 1, 2), settings=settings), "out", processes=2)
print(comparison.markdown())
```
"""

from metis_agents.compare.api import compare, write_report
from metis_agents.compare.plan import Plan, Run, Settings, Start
from metis_agents.compare.report import Comparison, Family
from metis_agents.compare.store import Store

__all__ = ["Comparison", "Family", "Plan", "Run", "Settings", "Start", "Store", "compare", "write_report"]
