"""Parts that scenes are made of: grain, light, reliefs, perspective, details that are concealed together."""

import numpy as np
import pytest

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.concealment import cell_sums, conceal_among
from metis_envs.scenes.draft import doubled
from metis_envs.scenes.drawing import faded
from metis_envs.scenes.materials import fall_of_light, sky
from metis_envs.scenes.noise import add_grain
from metis_envs.scenes.reliefs import RELIEFS, light_up
from metis_envs.scenes.sheets import Sheet, lay_sheet
from metis_envs.scenes.walls import WALLS


def test_grain_has_its_strength_and_stays_inside_its_part():
    image = np.full((200, 300, 3), 128, np.uint8)
    add_grain(image[20:120, 30:200], np.random.default_rng(0), 5.0)
    part = image[20:120, 30:200]
    # 17,000 draws: the standard error of a standard deviation of 5 is 5 / √34,000 = .03.
    assert part.std() == pytest.approx(5.0, abs=0.15)
    assert np.array_equal(part[..., 0], part[..., 1])
    assert np.array_equal(part[..., 0], part[..., 2])
    image[20:120, 30:200] = 128
    assert (image == 128).all()


def test_grain_neither_wraps_below_black_nor_above_white():
    image = np.zeros((64, 64, 3), np.uint8)
    image[32:] = 255
    add_grain(image, np.random.default_rng(1), 9.0)
    assert image[:32].max() < 100
    assert image[32:].min() > 155


def test_grain_for_more_than_it_reaches_is_refused():
    with pytest.raises(ValueError, match="at most 2048 pixels a side, actually: 2049 x 8"):
        add_grain(np.zeros((8, 2049, 3), np.uint8), np.random.default_rng(0), 4.0)


@pytest.mark.parametrize("size", [(7, 5), (8, 6)])
def test_doubling_repeats_each_pixel_and_cuts_what_is_beyond_the_scene(size):
    width, height = size
    half = np.random.default_rng(0).integers(0, 256, (-(-height // 2), -(-width // 2), 3), dtype=np.uint8)
    by_hand = half.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    assert np.array_equal(doubled(half, Canvas(width, height, 1)), by_hand)


def test_several_details_concealed_together_each_keep_their_sums():
    rng = np.random.default_rng(2)
    parts = ((0, 0, 16, 8), (20, 4, 44, 24), (0, 28, 64, 32))
    texts = rng.integers(0, 256, (3, 40, 64, 3), dtype=np.uint8)
    paper = rng.integers(90, 200, (40, 64, 3), dtype=np.uint8)

    def draw(scene, index):
        for left, top, right, bottom in parts:
            inside = scene[top + 1 : bottom - 1, left + 1 : right - 1]
            inside[:] = texts[index, top + 1 : bottom - 1, left + 1 : right - 1]

    scenes = [paper.copy() for _ in texts]
    for index, scene in enumerate(scenes):
        conceal_among(scene, parts, draw, index, (0, 1, 2), 4)
    assert not np.array_equal(scenes[0], scenes[1])
    for scene in scenes[1:]:
        assert np.array_equal(cell_sums(scene, 4), cell_sums(scenes[0], 4))
    for left, top, right, bottom in parts:
        scenes[0][top:bottom, left:right] = paper[top:bottom, left:right]
    assert np.array_equal(scenes[0], paper)


@pytest.mark.parametrize("relief", RELIEFS)
def test_a_relief_lights_what_was_drawn_and_nothing_else(relief):
    flat = np.full((60, 50, 3), 90, np.uint8)
    drawn = flat.copy()
    drawn[10:50, 10:40] = (160, 40, 44)
    lit = drawn.copy()
    light_up(lit, flat, relief, 3)
    is_thing = (drawn != flat).any(axis=2)
    assert np.array_equal(lit[~is_thing], flat[~is_thing])
    assert lit[is_thing].std(axis=0).max() > 3  # it has form
    assert (lit[is_thing][:, 0] >= 2 * lit[is_thing][:, 1]).all()  # and is red still


def test_light_falls_as_the_four_corners_say():
    plain = np.full((65, 129, 3), 200, np.uint8)
    lit = fall_of_light(plain, 1.0, 0.5, 0.25, 0.75)
    # The best lit corner stays; the others by their shares; the middle by the mean of the four, .625.
    for place, wanted in (((0, 0), 200), ((0, -1), 100), ((-1, -1), 50), ((-1, 0), 150), ((32, 64), 125)):
        assert np.abs(lit[place].astype(int) - wanted).max() <= 2


def test_a_point_of_a_sheet_comes_back_from_the_scene():
    canvas = Canvas(100, 80, 4)
    sheet = lay_sheet(np.random.default_rng(5), canvas, (40, 40, 300, 240), turn=9.0, tilt=0.2)
    assert isinstance(sheet, Sheet)
    left, top, x, y = 33.0, 21.0, 12.0, 7.0
    a, b, c, d, e, f, g, h = sheet.backwards(left, top, x, y)
    for point in ((20.0, 30.0), (130.0, 60.0), (250.0, 190.0)):
        across, down = sheet.at(*point)
        across, down = across - left, down - top
        depth = g * across + h * down + 1
        back = (a * across + b * down + c) / depth, (d * across + e * down + f) / depth
        assert back == pytest.approx((point[0] - x, point[1] - y), abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 40), (13, 64), (300, 448)])
def test_a_sky_has_no_seam_along_its_edges(shape):
    fill = sky((90, 150, 210), (244, 244, 242), cover=0.9)
    drawn = fill(np.random.default_rng(3), *shape)
    assert drawn.shape == (*shape, 3)
    if min(shape) > 100:  # neighbouring rows and columns differ no more at the edge than inside
        steps = np.abs(np.diff(drawn.astype(int), axis=0)).mean(axis=(1, 2))
        assert steps[:40].max() < 5 * np.median(steps) + 3


@pytest.mark.parametrize("seed", range(3))
def test_wooden_boards_run_on_without_steps(seed):
    wall = WALLS["boards"](np.random.default_rng(seed), 320, 400)[..., 0].astype(int)
    steps = np.abs(np.diff(wall, axis=0)).reshape(319, 20, 20).mean(axis=2)  # of strips of 20 columns
    assert steps.max() < 3  # fibres change by less than a grey level from row to row


def test_small_print_is_paler_than_large_print():
    assert faded((20, 20, 20), (220, 220, 220)) == (100, 100, 100)
