"""The contracts that the project runs over its own parts, for yours: one check for each kind.

```python
from metis_gym.testing import check_design, check_taskset, check_tool

check_taskset("my_pkg.tasks:Dots")
check_tool("my_pkg.tools:Zoom:factor=4", calls=[{"x": 0.5, "y": 0.5}])
check_design("my_pkg.rewards:Halved")
```

A check takes a spec or a finished object, and returns nothing. Where a rule is broken it raises `BrokenContract`, an
AssertionError that names the rule, what was found, and how to mend it. An `InfrastructureError` (no sandbox, no
network) says nothing about the contract, and passes through.
"""

from metis_gym.testing.agents import check_agent
from metis_gym.testing.contract import BrokenContract
from metis_gym.testing.designs import check_design
from metis_gym.testing.dialects import check_dialect
from metis_gym.testing.engines import check_search_engine
from metis_gym.testing.graders import check_grader
from metis_gym.testing.tasksets import check_taskset
from metis_gym.testing.tools import check_tool

__all__ = [
    "BrokenContract",
    "check_agent",
    "check_design",
    "check_dialect",
    "check_grader",
    "check_search_engine",
    "check_taskset",
    "check_tool",
]
