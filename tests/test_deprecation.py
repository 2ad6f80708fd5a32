"""Former public names are what they were, and say what they are called now."""

import importlib

import pytest

FORMER = [
    ("metis_gym.records", "PictureArray", "metis_gym.records", "ImageArray"),
    ("metis_gym.records", "TitledPicture", "metis_gym.records", "TitledImage"),
    ("metis_gym.spaces", "Picture", "metis_gym.spaces", "Image"),
    ("metis_gym.spaces", "Pictures", "metis_gym.spaces", "Images"),
    ("metis_gym.search", "PictureHit", "metis_gym.search", "ImageHit"),
    ("metis_gym.search", "PictureQuery", "metis_gym.search", "ImageQuery"),
    ("metis_gym.search", "search_pictures", "metis_gym.search", "search_images"),
    ("metis_agents.sb3", "CloningConfig", "metis_agents.sb3", "SFTConfig"),
    ("metis_agents.rl", "judge", "metis_agents.rl", "compute_channels"),
    ("metis_agents.hdpo", "channel_loss", "metis_agents.rl", "channel_loss"),
    ("metis_agents.hdpo", "judge", "metis_agents.rl", "compute_channels"),
]


@pytest.mark.parametrize(("module", "former", "place", "name"), FORMER)
def test_a_former_name_works_and_warns(module, former, place, name):
    with pytest.warns(DeprecationWarning, match=f"is now {place}"):
        found = getattr(importlib.import_module(module), former)
    assert found is getattr(importlib.import_module(place), name)


@pytest.mark.parametrize("module", sorted({module for module, *_ in FORMER}))
def test_any_other_name_is_an_ordinary_error(module):
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(module).no_such_name  # noqa: B018
