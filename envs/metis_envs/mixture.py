"""The default mixture of `MetisVQA-v0`: perception, search and maths in the proportions of Metis' training data."""

from typing import Any

from metis_gym.tasksets import Taskset, WeightedTaskset, make_taskset

__all__ = ["WEIGHTS", "mixture"]

WEIGHTS = {
    "charts": 0.12,
    "spotting": 0.12,
    "signs": 0.06,
    "documents": 0.05,
    "patches": 0.05,
    "counting": 0.03,
    "relations": 0.02,
    "facts": 0.18,
    "landmarks": 0.15,
    "flags": 0.03,
    "sums": 0.07,
    "geometry": 0.06,
    "wordmaths": 0.06,
}
"""Family → share of the tasks. By ability: perception 45 %, search 36 %, maths 19 % (arXiv 2604.08545)."""


def mixture(
    *,
    split: str = "train",
    view_size: int = 448,
    answers: str = "mixed",
    choices: int = 4,
    required_share: float = 0.5,
    partial_share: float = 0.0,
    max_source: int = 4096,
) -> Taskset:
    """All families by their weights, with the same options each."""
    options: dict[str, Any] = {
        "answers": answers,
        "choices": choices,
        "required_share": required_share,
        "partial_share": partial_share,
        "max_source": max_source,
    }
    families = [
        (make_taskset(name, split=split, view_size=view_size, options=options), w) for name, w in WEIGHTS.items()
    ]
    return WeightedTaskset(families)
