"""What a run is where nothing else is said: the published settings of arXiv 2604.08545, or small ones for `tiny`.

Only what differs from the defaults of the fields stands here, by path.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from metis_agents.qwen3vl.model.models import TINY
from metis_agents.settings.flags import Defaults
from metis_gym.errors import MetisError
from metis_gym.tasksets import TASKSETS

__all__ = ["defaults_for"]

_ENVIRONMENT = {"answers": "open", "max_turns": 10, "dialect": "metis", "sandbox": "auto", "tools": None}
_SHARED: Mapping[str, Any] = {
    "trainer.group_size": 16,
    "cold_start.sft.batch": 16,
    "cold_start.grounding.batch": 64,
    "cold_start.grounding.lr": 2e-3,
    "capacity": 128,
}
_PUBLISHED: Mapping[str, Any] = {
    "batches": 200,
    "trainer.tasks": 128,
    "trainer.minibatches": 2,
    "trainer.lr": 1e-6,
    "trainer.micro_batch_tokens": 32_768,
    "budget.prompt": 24_576,
    "budget.response": 16_384,
    "budget.turn": 16_384,
    "budget.observation": 8_192,
    "cold_start.sft.steps": 0,
    "cold_start.sft.lr": 1e-5,
    "cold_start.grounding.steps": 0,
    "cold_start.habits.look": 640,
}
_SMALL: Mapping[str, Any] = {
    "batches": 60,
    "trainer.tasks": 16,
    "trainer.minibatches": 1,
    "trainer.lr": 1e-4,
    "trainer.micro_batch_tokens": 16_384,
    "budget.prompt": 4_096,
    "budget.response": 768,
    "budget.turn": 128,
    "budget.observation": 512,
    "cold_start.sft.steps": 700,
    "cold_start.sft.lr": 2e-3,
    "cold_start.grounding.steps": 1_000,
    "cold_start.habits.look": 64,
    "cold_start.train_vision": True,
}


def defaults_for(model: str = TINY, *, taskset: str = "patches", sized: str = "auto") -> Defaults:
    """The defaults of a run with a model.

    Args:
        model: Its name.
        taskset: What it plays; `patches` alone needs small images only.
        sized: "tiny" or "published" for the defaults of another model; "auto" for its own.
    """
    if (model if sized == "auto" else sized) == TINY:
        is_patches = all(part.startswith("patches") for part in taskset.split("+"))
        view_size, max_source = (64, 1_024) if is_patches else (384, 1_536)
        return Defaults(values={**_SHARED, **_SMALL, "env": _environment(taskset, view_size, max_source)})
    dtype = "bfloat16" if torch.cuda.is_available() else "float32"
    return Defaults(
        values={**_SHARED, **_PUBLISHED, "model.dtype": dtype, "env": _environment(taskset, 448, 4_096)},
        follows={"cold_start.lora": "model.lora", "cold_start.train_vision": "model.train_vision"},
    )


def _environment(taskset: str, view_size: int, max_source: int) -> dict[str, Any]:
    sizes = {"taskset": taskset, "view_size": view_size, "max_source": max_source}
    found = {**sizes, **_ENVIRONMENT, "grader_noise": 0.0}
    return found | {name: None for name in ("answers", "max_source") if not _takes(taskset, name)}


def _takes(taskset: str, name: str) -> bool:
    """Do all parts of a taskset have this parameter? Files hold their tasks as they are, and have none of them."""
    for part in taskset.split("+"):
        try:
            known = inspect.signature(TASKSETS.get(part.partition(":")[0].strip())).parameters
        except MetisError:
            continue  # the rest of a path with a plus, or no taskset: the environment says so
        if name not in known and not any(one.kind is one.VAR_KEYWORD for one in known.values()):
            return False
    return True
