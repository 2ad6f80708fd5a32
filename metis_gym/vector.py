"""Vector environments that are right for text and images.

Gymnasium's own `make_vec` works for the synchronous kind. The asynchronous kind shares memory by default, which cannot
carry text; and the default autoreset mode spends one action of every episode on the reset, which for a language model
is a whole generation.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from metis_gym.errors import ConfigError
from metis_gym.registration import find_spec

__all__ = ["make_vec"]

_MODES = ("sync", "async")
_AUTORESETS = {"disabled": AutoresetMode.DISABLED, "same_step": AutoresetMode.SAME_STEP}


def make_vec(
    env_id: str,
    num_envs: int,
    *,
    mode: str = "sync",
    autoreset: str = "disabled",
    context: str | None = None,
    wrappers: Sequence[Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]] = (),
    **make_kwargs: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make `num_envs` environments that step together.

    Args:
        env_id: One of the ids of this package; an import may stand before it, as in `gymnasium.make`.
        num_envs: How many.
        mode: "sync" (one process) or "async" (a process each).
        autoreset: "disabled" (reset those that are done with `reset(options={"reset_mask": …})`) or "same_step" (they
            start anew in the step in which they end; the last observation is in `info["final_obs"]`).
        context: How processes are started: "fork", "spawn" or "forkserver"; None for the platform's default.
        wrappers: Applied to each environment, the first one innermost.
        **make_kwargs: For `gymnasium.make`.

    Returns:
        The vector environment. Text observations are tuples of `str`, one for each environment.

    Raises:
        ConfigError: An argument is not valid; the message names the valid ones.
    """
    if mode not in _MODES:
        raise ConfigError(f"unknown mode {mode!r}; valid: {', '.join(_MODES)}")
    if autoreset not in _AUTORESETS:
        raise ConfigError(f"unknown autoreset {autoreset!r}; valid: {', '.join(_AUTORESETS)}")
    if num_envs < 1:
        raise ConfigError(f"num_envs must be at least 1, actually: {num_envs}")
    find_spec(env_id)
    from metis_gym.registries import in_process_names  # here, so that importing the package stays light

    make_one = functools.partial(_make_one, env_id, tuple(wrappers), make_kwargs, in_process_names())
    makers = [make_one] * num_envs
    if mode == "sync":
        return SyncVectorEnv(makers, autoreset_mode=_AUTORESETS[autoreset])
    try:
        return AsyncVectorEnv(makers, shared_memory=False, context=context, autoreset_mode=_AUTORESETS[autoreset])
    except (EOFError, ConnectionError) as error:
        raise ConfigError(
            "a worker process ended while it made its environment; what it says on stderr tells why. Names that a "
            "decorator registered in a script or a notebook may not reach it: use 'module:Thing' for them"
        ) from error


def _make_one(
    env_id: str,
    wrappers: Sequence[Callable[[Any], Any]],
    make_kwargs: Mapping[str, Any],
    names: Sequence[tuple[str, str, str]],
) -> gym.Env[Any, Any]:
    """Runs in the worker, where a spawned process has registered neither the ids nor the user's names yet."""
    from metis_gym.registration import register_all
    from metis_gym.registries import adopt

    register_all()
    adopt(names)
    env = gym.make(env_id, disable_env_checker=True, **make_kwargs)
    for wrap in wrappers:
        env = wrap(env)
    return env
