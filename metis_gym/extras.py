"""The optional parts of an installation: which packages each extra brings, and which of them are here.

`metis-gym doctor` reports them, and the command line names the extra where one is missing.
"""

import importlib.util
from collections.abc import Mapping, Sequence

__all__ = ["EXTRAS", "extra_of", "missing"]

EXTRAS: Mapping[str, Sequence[str]] = {
    "envs": ("matplotlib", "skimage", "sklearn", "math_verify", "threadpoolctl"),
    "agents": (
        *("torch", "transformers", "stable_baselines3", "peft", "safetensors", "scipy", "tensorboard", "tyro"),
        *("docstring_parser", "rich", "tqdm"),
    ),
    "data": ("pyarrow", "datasets"),
    "docker": ("docker",),
    "search": ("bm25s",),
    "vllm": ("vllm",),
    "trl": ("trl",),
    "openenv": ("openenv", "uvicorn", "websockets"),
    "verl": ("verl", "transfer_queue"),
    "inspect": ("inspect_ai",),
}
"""Extra → the import names of what it brings."""


def extra_of(module: str) -> str | None:
    """The extra that brings a module; None where none does.

    >>> extra_of("sklearn.linear_model"), extra_of("somebody_else")
    ('envs', None)
    """
    top = module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)


def missing(extra: str) -> list[str]:
    """The modules of an extra that are not installed. Nothing is imported."""
    return [module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]
