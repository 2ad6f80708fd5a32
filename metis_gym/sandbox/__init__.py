"""Where model-written Python runs: isolated, not filtered.

```python
from metis_gym import sandbox

session = sandbox.make().open(images=[image])
result = session.run("image_1.crop((0, 0, 64, 64))")   # result.images[0] is the crop
session.close()
```
`make("auto")` takes the strongest isolation that starts on this machine and raises an error that says what is missing
when there is none. What is promised, and what is not, is in docs/sandbox.md. Nothing here starts at import.
"""

from metis_gym.sandbox.contract import RunResult, RunStatus, SandboxBackend, SandboxLimits, SandboxSession
from metis_gym.sandbox.doctor import Finding, doctor
from metis_gym.sandbox.images import SharedImages
from metis_gym.sandbox.pool import PoolStatistics, SessionPool
from metis_gym.sandbox.sharing import close_all, make, names, register

__all__ = [
    "Finding",
    "PoolStatistics",
    "RunResult",
    "RunStatus",
    "SandboxBackend",
    "SandboxLimits",
    "SandboxSession",
    "SessionPool",
    "SharedImages",
    "close_all",
    "doctor",
    "make",
    "names",
    "register",
]
