"""Means and spreads that are exact where it matters, and do not depend on the order of the numbers.

A float32 standard deviation of seven equal rewards of 1/3 is not 0, and dividing by it turns nothing into a signal
(the released code of arXiv 2604.08545 praises all seven by +0.0289). Here everything is float64, sums are correctly
rounded (`math.fsum`), and equal numbers have deviation and spread *exactly* 0.

Axes: N is any number of values. Empty input is allowed everywhere and gives nothing back.
"""

import math
from dataclasses import dataclass

import numpy as np

from metis_gym.parameters import check_parameters, number, whole
from metis_gym.rewards.contract import Floats

__all__ = ["Scale", "deviations", "mean", "spread", "standardise", "tied"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How deviations are divided by a standard deviation: `x / (max(std, std_floor) + eps)`.

    Attributes:
        ddof: 1 divides the squares by n − 1 (the papers' choice), 0 by n.
        eps: Added to the standard deviation.
        std_floor: Least standard deviation. With `ddof=1` two episodes are always ±0.707, whether they made 0 and 9
            calls or 9 and 10; a floor keeps small differences small.
    """

    ddof: int = whole(1, low=0, high=1)
    eps: float = number(1e-6, low=0)
    std_floor: float = number(0.0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)


def tied(values_N: Floats) -> bool:
    """Whether there is nothing to compare: all values are equal, or there are fewer than two.

    >>> tied(np.array([1 / 3] * 7)), tied(np.array([0.0, 1.0]))
    (True, False)
    """
    return values_N.size < 2 or bool(values_N.min() == values_N.max())


def mean(values_N: Floats) -> float:
    """The mean, correctly rounded before the division; 0 for no values.

    >>> mean(np.array([1 / 2, 1 / 3, 1 / 6])) == 1 / 3
    True
    """
    return math.fsum(values_N) / values_N.size if values_N.size else 0.0


def deviations(values_N: Floats) -> Floats:
    """The values less their mean; exactly 0 when they are tied.

    >>> deviations(np.array([1.0, 1.0, 0.0, 0.0]))
    array([ 0.5,  0.5, -0.5, -0.5])
    """
    if tied(values_N):
        return np.zeros_like(values_N)
    centred_N: Floats = values_N - mean(values_N)
    return centred_N


def spread(values_N: Floats, ddof: int = 1) -> float:
    """The standard deviation; exactly 0 when the values are tied.

    >>> spread(np.array([1.0, 1.0, 0.0, 0.0]), ddof=0)
    0.5
    """
    return _root_mean_square(deviations(values_N), ddof)


def standardise(values_N: Floats, scale: Scale) -> Floats:
    """`(x − mean) / (max(std, std_floor) + eps)`; exactly 0 when the values are tied.

    >>> standardise(np.array([1.0, 1.0, 0.0, 0.0]), Scale(ddof=0, eps=0.0))
    array([ 1.,  1., -1., -1.])
    """
    return _divided(deviations(values_N), scale)


def rescale(values_N: Floats, scale: Scale) -> Floats:
    """Divide by the standard deviation values whose mean is 0 by construction, so that a 0 stays exactly 0.

    >>> rescale(np.array([3.0, 0.0, 0.0, -3.0]), Scale(ddof=0, eps=0.0)).round(6)
    array([ 1.414214,  0.      ,  0.      , -1.414214])
    """
    return _divided(values_N, scale)


def _divided(centred_N: Floats, scale: Scale) -> Floats:
    divisor = max(_root_mean_square(centred_N, scale.ddof), scale.std_floor) + scale.eps
    if divisor == 0.0:
        return np.zeros_like(centred_N)
    quotient_N: Floats = centred_N / divisor
    return quotient_N


def _root_mean_square(centred_N: Floats, ddof: int) -> float:
    """Scaled by the largest entry first, so that no square under- or overflows."""
    largest = float(np.abs(centred_N).max(initial=0.0))
    if largest == 0.0 or centred_N.size <= ddof:
        return 0.0
    return largest * math.sqrt(math.fsum((centred_N / largest) ** 2) / (centred_N.size - ddof))
