"""Concealment: equal sums, to the unit, for drawings of every kind; and what stays legible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_envs.scenes.concealment import cell_sums, conceal, mean_sums
from metis_envs.scenes.view import box_view


def drawings(seed, count, factor, cells, extreme):
    rng = np.random.default_rng(seed)
    shape = (cells[0] * factor, cells[1] * factor, 3)
    if extreme:  # nothing but black and white: every cell needs the bisection
        return [(255 * rng.integers(0, 2, shape)).astype(np.uint8) for _ in range(count)]
    paper = rng.integers(180, 240, shape, dtype=np.uint8)
    drawn = []
    for _ in range(count):
        image = paper.copy()
        for _ in range(6):
            top, left = (int(rng.integers(side)) for side in shape[:2])
            image[top : top + 2, left : left + 5] = rng.integers(0, 256, 3)
        drawn.append(image)
    return drawn


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(1, 7),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.booleans(),
)
def test_the_views_of_all_drawings_become_equal_to_the_bit(seed, count, factor, cells, extreme):
    plain = drawings(seed, count, factor, cells, extreme)
    target = mean_sums(plain, factor)
    hidden = [conceal(image, target, factor) for image in plain]
    for image in hidden:
        assert image.dtype == np.uint8
        assert np.array_equal(cell_sums(image, factor), target)
        assert np.array_equal(box_view(image, factor), box_view(hidden[0], factor))


@pytest.mark.parametrize("value", [0, 255])
def test_every_reachable_target_is_reached(value):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    reached = conceal(image, np.full((2, 3, 3), value * 16), 4)
    assert (reached == value).all()


@pytest.mark.parametrize("target", [-1, 255 * 16 + 1])
def test_a_target_that_no_drawing_has_is_refused(target):
    with pytest.raises(ValueError, match="from 0 to 4080"):
        conceal(np.zeros((4, 4, 3), np.uint8), np.full((1, 1, 3), target), 4)


def test_what_does_not_differ_stays_as_it_is():
    plain = drawings(3, 2, 4, (20, 20), extreme=False)
    plain[1] = plain[0].copy()
    plain[1][40:44, 40:44] = 9
    hidden = conceal(plain[0], mean_sums(plain, 4), 4)
    reach = 3 * 4
    hidden[40 - reach : 44 + reach, 40 - reach : 44 + reach] = 0
    plain[0][40 - reach : 44 + reach, 40 - reach : 44 + reach] = 0
    assert np.array_equal(hidden, plain[0])


def test_the_sums_are_those_that_the_view_is_made_of():
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    by_hand = [
        [image[y : y + 4, x : x + 4].astype(int).sum(axis=(0, 1)) for x in range(0, 20, 4)] for y in range(0, 12, 4)
    ]
    assert np.array_equal(cell_sums(image, 4), np.array(by_hand))
