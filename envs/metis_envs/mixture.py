"""The default mixture of `MetisVQA-v0`: perception, search and maths in the proportions of Metis' training data.

At least a quarter of its tasks needs two calls or more, and at least a tenth two different tools. Only families of
chains have such tasks, and half of those need no tool, so that nothing but looking tells; that takes more than half of
what they weigh. So a larger share of their tasks needs a tool than in the other families.
"""

from typing import Any

from metis_gym.tasksets import Taskset, WeightedTaskset, make_taskset

__all__ = ["CHAINED", "WEIGHTS", "chained_share", "mixture"]

WEIGHTS = {
    "charts": 0.12,
    "spotting": 0.12,
    "signs": 0.06,
    "documents": 0.05,
    "patches": 0.05,
    "counting": 0.03,
    "relations": 0.02,
    "plaques": 0.14,
    "landmarks": 0.10,
    "timetables": 0.09,
    "facts": 0.02,
    "flags": 0.01,
    "tariffs": 0.10,
    "areas": 0.02,
    "sums": 0.02,
    "geometry": 0.02,
    "wordmaths": 0.02,
    "ledgers": 0.01,
}
"""Family → share of the tasks. By ability: perception 45 %, search 36 %, maths 19 % (arXiv 2604.08545)."""

CHAINED = ("landmarks", "plaques", "tariffs", "timetables")
"""The families that have chains."""

_EXPONENT = 0.55


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
    """All families by their weights, with the same options each, but for the `chained_share`."""
    options: dict[str, Any] = {
        "answers": answers,
        "choices": choices,
        "required_share": required_share,
        "partial_share": partial_share,
        "max_source": max_source,
    }
    parts = []
    for name, weight in WEIGHTS.items():
        part = make_taskset(name, split=split, view_size=view_size, options=options)
        if name in CHAINED:
            share = min(chained_share(required_share), 1 - partial_share)
            part = make_taskset(name, split=split, view_size=view_size, options={**options, "required_share": share})
        parts.append((part, weight))
    return WeightedTaskset(parts)


def chained_share(required_share: float) -> float:
    """The share of tasks that need a tool in families of chains, given that of the other families.

    >>> [round(chained_share(share), 2) for share in (0.0, 0.5, 1.0)]
    [0.0, 0.68, 1.0]
    """
    return round(float(required_share**_EXPONENT), 2)
