"""The table of environment ids. Entry points are strings: registering imports nothing."""

import importlib

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

__all__ = ["ENV_IDS", "FAMILY_IDS", "NUMERIC_IDS", "REMOTE_ID", "entry_point", "find_spec", "register_all"]

_TEXT_ENTRY = "metis_gym.env:ToolUseEnv"
_REMOTE_ENTRY = "metis_gym.serve.client:RemoteEnv"
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

REMOTE_ID = "MetisRemote-v0"
"""Plays on other machines, on servers whose addresses it is given."""

ENV_IDS = ("MetisVQA-v0", *NUMERIC_IDS, *FAMILY_IDS)
"""All ids of environments that are played here."""


def register_all() -> None:
    """Register every id with Gymnasium; ids that are registered already are left alone."""
    for env_id in ENV_IDS:
        if env_id not in gym.registry:
            kwargs = {"taskset": FAMILY_IDS[env_id]} if env_id in FAMILY_IDS else {}
            gym.register(id=env_id, entry_point=entry_point(env_id), kwargs=kwargs)
    if REMOTE_ID not in gym.registry:
        gym.register(id=REMOTE_ID, entry_point=_REMOTE_ENTRY)


def find_spec(env_id: str) -> EnvSpec:
    """The spec of an environment that evaluations and training can use: one of these ids, or one of your own.

    Args:
        env_id: The id; `module:` may stand before it, which is imported.

    Raises:
        UnknownNameError: Nothing is registered under it; the message suggests the nearest id.
        ConfigError: It is an environment of another kind.
    """
    from metis_gym.errors import ConfigError, UnknownNameError
    from metis_gym.registries import nearest

    register_all()
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        spec = gym.spec(name)
    except ModuleNotFoundError as error:
        raise UnknownNameError(f"there is no environment {env_id!r}: {error}") from None
    except gym.error.Error:
        raise UnknownNameError(f"there is no environment {env_id!r}. {nearest(name, ENV_IDS)}") from None
    if spec.entry_point != entry_point(name) and not _is_ours(spec):
        raise ConfigError(
            f"{env_id!r} is an environment of {_origin(spec)}, without tools to decide about. Expected an id of "
            f"metis-gym, such as 'MetisVQA-v0', or of a subclass of metis_gym.env.ToolUseEnv"
        )
    return spec


def _is_ours(spec: EnvSpec) -> bool:
    """Whether it makes tool-use environments; of functions that make some nothing is known before they are called."""
    from metis_gym.env import ToolUseEnv

    made_by = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    return not isinstance(made_by, type) or issubclass(made_by, ToolUseEnv | gym.Wrapper)


def _origin(spec: EnvSpec) -> str:
    entry = spec.entry_point
    return entry.partition(".")[0] if isinstance(entry, str) else getattr(entry, "__module__", "another package")


def entry_point(env_id: str) -> str:
    """What makes the environments of one of these ids."""
    return _NUMERIC_ENTRY if env_id in NUMERIC_IDS else _TEXT_ENTRY
