"""Spaces for text and images."""

import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, create_shared_memory, iterate

from metis_gym.errors import ConfigError
from metis_gym.spaces import Image, Images, Unicode

SPACES = [Unicode(100), Unicode(3), Image(20, 30), Images(Image(8, 8))]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_samples_belong_and_are_seeded(space):
    space.seed(5)
    first = [space.sample() for _ in range(50)]
    space.seed(5)
    assert all(map(np.array_equal, first, [space.sample() for _ in range(50)])) or isinstance(space, Images)
    assert all(sample in space for sample in first)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_samples_survive_json_and_spaces_survive_pickling(space):
    samples = [space.sample() for _ in range(5)]
    back = space.from_jsonable(json.loads(json.dumps(space.to_jsonable(samples))))
    assert all(sample in space for sample in back)
    assert pickle.loads(pickle.dumps(space)) == space


def test_text_has_any_characters_but_lone_surrogates():
    space = Unicode(10)
    assert "日本語 🎈" in space
    assert "\ud800" not in space
    assert "x" * 11 not in space
    assert 5 not in space and b"x" not in space


def test_images_have_any_size_up_to_the_cap():
    space = Image(4, 6)
    assert np.zeros((4, 6, 3), np.uint8) in space
    wrong_shapes = [np.zeros(shape, np.uint8) for shape in ((5, 6, 3), (4, 6), (0, 6, 3), (4, 6, 4))]
    for wrong in (*wrong_shapes, np.zeros((4, 6, 3), np.float32)):
        assert wrong not in space


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shared_memory_is_refused_with_the_way_out(space):
    with pytest.raises(ConfigError, match="make_vec"):
        create_shared_memory(gym.spaces.Dict({"a": space}), n=2)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_batches_keep_every_value(space):
    samples = tuple(space.sample() for _ in range(3))
    joined = concatenate(space, samples, create_empty_array(space, n=3))
    assert all(map(np.array_equal, joined, samples)) or isinstance(space, Images)
    assert joined in batch_space(space, 3)
    assert len(list(iterate(batch_space(space, 3), joined))) == 3


@pytest.mark.parametrize("make", [lambda: Unicode(0), lambda: Image(0, 5), lambda: Unicode(5).sample(mask=1)])
def test_wrong_arguments_raise(make):
    with pytest.raises(ConfigError):
        make()
