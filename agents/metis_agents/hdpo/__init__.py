"""The former name of `metis_agents.rl`; it goes with the next release."""

import warnings
from typing import Any

from metis_agents import rl

_RENAMED = {"judge": "compute_channels"}


def __getattr__(name: str) -> Any:
    name = _RENAMED.get(name, name)
    if name not in rl.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"metis_agents.hdpo is now metis_agents.rl: import {name} from there", DeprecationWarning, stacklevel=2
    )
    return getattr(rl, name)
