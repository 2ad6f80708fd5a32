"""The view, and details that it cannot hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metis_envs.scenes.view import box_view, conceal


@given(st.integers(1, 9), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_view_pixel_is_the_mean_of_its_cell(factor, rows, columns, seed):
    source = np.random.default_rng(seed).integers(0, 256, (rows * factor, columns * factor, 3), dtype=np.uint8)
    means = source.reshape(rows, factor, columns, factor, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(box_view(source, factor) - means).max() <= 1.0


@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_equal_cell_sums_give_equal_views(factor, seed):
    """What the proof rests on: the view depends on the sums of cells and on nothing else."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 256, (4 * factor, 4 * factor, 3), dtype=np.uint8)
    cells = source.reshape(4, factor, 4, factor, 3).transpose(0, 2, 4, 1, 3).reshape(4, 4, 3, -1)
    shuffled = (
        rng.permuted(cells, axis=-1).reshape(4, 4, 3, factor, factor).transpose(0, 3, 1, 4, 2).reshape(source.shape)
    )
    assert np.array_equal(box_view(source, factor), box_view(np.ascontiguousarray(shuffled), factor))


@settings(max_examples=60)
@given(
    st.integers(2, 6).flatmap(
        lambda k: st.tuples(
            st.just(k), hnp.arrays(np.float64, (2 * k, 3 * k, 3), elements=st.floats(-400, 400, allow_nan=False))
        )
    ),
    st.tuples(*[st.integers(20, 235)] * 3),
)
def test_concealed_details_keep_every_cell_sum(factor_and_detail, base):
    factor, detail = factor_and_detail
    drawn = conceal(detail, base, factor).astype(np.int64)
    sums = drawn.reshape(2, factor, 3, factor, 3).sum(axis=(1, 3))
    assert (sums == np.array(base) * factor**2).all()
    assert (box_view(drawn.astype(np.uint8), factor) == np.array(base)).all()


def test_a_concealed_detail_is_there_at_full_resolution():
    detail = np.zeros((12, 12, 3))
    detail[4:8] = -100  # a dark bar across the middle, a third of each cell's height
    drawn = conceal(detail, (128, 128, 128), 12)
    # minus the mean of −100/3: the bar is 66⅔ darker than the base, the rest 33⅓ lighter
    assert np.abs(drawn[4:8].astype(float) - (128 - 200 / 3)).max() < 1
    assert np.abs(np.delete(drawn, range(4, 8), axis=0).astype(float) - (128 + 100 / 3)).max() < 1


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="cannot be cut into 3 x 3 cells"):
        box_view(np.zeros((10, 9, 3), np.uint8), 3)
