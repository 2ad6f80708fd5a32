"""The table of environment ids. Entry points are strings: registering imports nothing."""

import gymnasium as gym

__all__ = ["ENV_IDS", "FAMILY_IDS", "NUMERIC_IDS", "entry_point", "register_all"]

_TEXT_ENTRY = "metis_gym.env:ToolUseEnv"
_NUMERIC_ENTRY = "metis_gym.numeric:NumericToolUseEnv"

FAMILY_IDS = {
    "MetisAreas-v0": "areas",
    "MetisCharts-v0": "charts",
    "MetisCounting-v0": "counting",
    "MetisDocuments-v0": "documents",
    "MetisFacts-v0": "facts",
    "MetisFlags-v0": "flags",
    "MetisGeometry-v0": "geometry",
    "MetisLandmarks-v0": "landmarks",
    "MetisLedgers-v0": "ledgers",
    "MetisPatches-v0": "patches",
    "MetisPlaques-v0": "plaques",
    "MetisRelations-v0": "relations",
    "MetisSigns-v0": "signs",
    "MetisSpotting-v0": "spotting",
    "MetisSums-v0": "sums",
    "MetisTariffs-v0": "tariffs",
    "MetisTimetables-v0": "timetables",
    "MetisWordmaths-v0": "wordmaths",
}
"""Id → taskset, for each family."""

NUMERIC_IDS = ("MetisVQA-Discrete-v0",)
"""Ids with arrays as observations and numbers as actions."""

ENV_IDS = ("MetisVQA-v0", *NUMERIC_IDS, *FAMILY_IDS)
"""All ids."""


def register_all() -> None:
    """Register every id with Gymnasium; ids that are registered already are left alone."""
    for env_id in ENV_IDS:
        if env_id not in gym.registry:
            kwargs = {"taskset": FAMILY_IDS[env_id]} if env_id in FAMILY_IDS else {}
            gym.register(id=env_id, entry_point=entry_point(env_id), kwargs=kwargs)


def entry_point(env_id: str) -> str:
    """What makes the environments of one of these ids."""
    return _NUMERIC_ENTRY if env_id in NUMERIC_IDS else _TEXT_ENTRY
