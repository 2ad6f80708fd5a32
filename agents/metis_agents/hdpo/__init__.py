"""The former name of `metis_agents.rl`; it goes with the next release."""

import warnings
from typing import Any

from metis_agents import rl


def __getattr__(name: str) -> Any:
    if name in rl.__all__:
        warnings.warn(
            f"metis_agents.hdpo is now metis_agents.rl: import {name} from there", DeprecationWarning, stacklevel=2
        )
        return getattr(rl, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
