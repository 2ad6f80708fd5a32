"""The learning rate over a run: it rises during the warm-up, then stays or falls."""

import math

__all__ = ["SCHEDULES", "rate"]

SCHEDULES = ("constant", "linear", "cosine")


def rate(lr: float, batch: int, *, batches: int, schedule: str = "constant", warmup: int = 0) -> float:
    """The learning rate of a batch.

    Args:
        lr: The largest one.
        batch: Which batch, from 0 on.
        batches: Batches of the run.
        schedule: What follows the warm-up; one of `SCHEDULES`. Falling ones would reach 0 right after the last batch.
        warmup: Batches in which it rises.

    >>> [rate(1.0, batch, batches=6, schedule="linear", warmup=2) for batch in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if batch < warmup:
        return lr * (batch + 1) / warmup
    passed = min(1.0, (batch - warmup) / max(1, batches - warmup))
    share = {"constant": 1.0, "linear": 1.0 - passed, "cosine": 0.5 * (1.0 + math.cos(math.pi * passed))}
    return lr * share[schedule]
