"""The default mixture of `MetisVQA-v0`: perception and maths, with and without need for a tool."""

from typing import Any

from metis_gym.tasksets import Taskset, WeightedTaskset, make_taskset

__all__ = ["WEIGHTS", "mixture"]

WEIGHTS = {"charts": 0.25, "spotting": 0.25, "sums": 0.2, "patches": 0.15, "signs": 0.15}
"""Family → share of the tasks."""


def mixture(
    *,
    split: str = "train",
    view_size: int = 448,
    answers: str = "mixed",
    choices: int = 4,
    required_share: float = 0.5,
    max_source: int = 4096,
) -> Taskset:
    """All families by their weights, with the same options each."""
    options: dict[str, Any] = {
        "answers": answers,
        "choices": choices,
        "required_share": required_share,
        "max_source": max_source,
    }
    families = [
        (make_taskset(name, split=split, view_size=view_size, options=options), w) for name, w in WEIGHTS.items()
    ]
    return WeightedTaskset(families)
