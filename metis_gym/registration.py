"""The table of environment ids. Entry points are strings: registering imports nothing."""

import gymnasium as gym

__all__ = ["ENV_IDS", "FAMILY_IDS", "NUMERIC_IDS", "register_all"]

_TEXT_ENTRY = "metis_gym.env:ToolUseEnv"
_NUMERIC_ENTRY = "metis_gym.numeric:NumericToolUseEnv"

FAMILY_IDS = {
    "MetisCharts-v0": "charts",
    "MetisCounting-v0": "counting",
    "MetisDocuments-v0": "documents",
    "MetisGeometry-v0": "geometry",
    "MetisPatches-v0": "patches",
    "MetisRelations-v0": "relations",
    "MetisSigns-v0": "signs",
    "MetisSpotting-v0": "spotting",
    "MetisSums-v0": "sums",
    "MetisWordmaths-v0": "wordmaths",
}
"""Id → taskset, for each family."""

NUMERIC_IDS = ("MetisVQA-Discrete-v0",)
"""Ids with arrays as observations and numbers as actions."""

ENV_IDS = ("MetisVQA-v0", *NUMERIC_IDS, *FAMILY_IDS)
"""All ids."""


def register_all() -> None:
    """Register every id with Gymnasium; ids that are registered already are left alone."""
    _register("MetisVQA-v0", _TEXT_ENTRY)
    for env_id in NUMERIC_IDS:
        _register(env_id, _NUMERIC_ENTRY)
    for env_id, taskset in FAMILY_IDS.items():
        _register(env_id, _TEXT_ENTRY, taskset=taskset)


def _register(env_id: str, entry_point: str, **kwargs: str) -> None:
    if env_id not in gym.registry:
        gym.register(id=env_id, entry_point=entry_point, kwargs=kwargs)
