"""Ties are exactly 0, and neither the order nor the size of the numbers matters."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.errors import ConfigError
from metis_gym.rewards.statistics import Scale, deviations, mean, rescale, spread, standardise, tied

VALUES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=20).map(np.array)


def test_all_165_tied_groups_are_exactly_zero():
    # In float32, 57 of these (2 to 16 episodes with 0 to 10 calls each) come out non-zero, up to 0.056.
    for size, calls in itertools.product(range(2, 17), range(11)):
        tied_rewards = np.full(size, 1.0 / (calls + 1))
        for eps in (0.0, 1e-6, 1e-300):
            assert (standardise(tied_rewards, Scale(eps=eps)) == 0.0).all()


def test_seven_thirds_have_no_spread():
    assert spread(np.full(7, 1 / 3)) == 0.0
    assert tied(np.full(7, 1 / 3))


def test_fewer_than_two_values_compare_with_nothing():
    assert standardise(np.array([]), Scale()).shape == (0,)
    assert standardise(np.array([5.0]), Scale()).tolist() == [0.0]
    assert mean(np.array([])) == 0.0


def test_mean_of_unit_fractions_is_exact():
    # 1/2 + 1/3 + 1/6 = 1, though 0.5 + 0.333… + 0.166… in float64 depends on the order without fsum.
    assert deviations(np.array([1 / 2, 1 / 3, 1 / 6]))[1] == 0.0


@given(values=VALUES, seed=st.integers(0, 2**32 - 1))
def test_order_does_not_matter_to_the_last_bit(values, seed):
    order = np.random.default_rng(seed).permutation(values.size)
    assert (standardise(values[order], Scale()) == standardise(values, Scale())[order]).all()


@given(values=VALUES, ddof=st.integers(0, 1))
def test_spread_against_exact_arithmetic(values, ddof):
    # Oracle: the variance in rational arithmetic, of the same deviations from the rounded mean.
    exact = [Fraction(float(x)) - Fraction(mean(values)) for x in values]
    if values.size > ddof and not tied(values):
        variance = sum(x * x for x in exact) / (values.size - ddof)
        assert spread(values, ddof) == pytest.approx(math.sqrt(variance), rel=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160])
def test_no_square_underflows_or_overflows(size):
    values = size * np.array([1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(standardise(values, Scale(ddof=0, eps=0.0)), [1, 1, -1, -1], rtol=1e-15)


def test_a_floor_keeps_small_differences_small():
    # Two episodes with ddof 1 are ±.707 whatever they differ by; a floor of .5 makes (.1, .090909) ±.0090909.
    close = np.array([1 / 10, 1 / 11])
    np.testing.assert_allclose(np.abs(standardise(close, Scale(eps=0.0))), 0.5**0.5, rtol=1e-12)
    np.testing.assert_allclose(standardise(close, Scale(eps=0.0, std_floor=0.5)), [1 / 110, -1 / 110], rtol=1e-12)


def test_rescale_leaves_zero_alone():
    rescaled = rescale(np.array([0.1, -0.1, 0.0]), Scale(eps=0.0))
    assert rescaled[2] == 0.0
    np.testing.assert_allclose(rescaled[:2], [1.0, -1.0], rtol=1e-12)  # sqrt((.01 + .01)/2) = .1


@pytest.mark.parametrize(("name", "value"), [("ddof", 2), ("ddof", 0.5), ("eps", -1e-9), ("std_floor", math.nan)])
def test_wrong_scale_is_refused_with_the_value(name, value):
    with pytest.raises(ConfigError, match=f"`{name}`.*actually: {value!r}"):
        Scale(**{name: value})
