"""The proof of necessity, over every family; readers and a learned probe are slow tests."""

import numpy as np
import pytest

from metis_envs.families.family import SearchFamily
from metis_envs.necessity import read, views_differ
from metis_gym.records import Necessity
from metis_gym.registration import FAMILY_IDS
from metis_gym.tasksets import make_taskset

FAMILIES = tuple(FAMILY_IDS.values())


def family(name, **options):
    return make_taskset(name, split="train", view_size=448, options=options)


WITH_REQUIRED = [name for name in FAMILIES if Necessity.REQUIRED in family(name).necessities]
WITH_NONE = [name for name in FAMILIES if Necessity.NONE in family(name).necessities]
SEARCHED = [name for name in FAMILIES if isinstance(family(name), SearchFamily)]
HIDDEN = [name for name in WITH_REQUIRED if name not in SEARCHED]


@pytest.mark.parametrize("name", WITH_REQUIRED)
def test_views_of_all_answers_are_equal_to_the_bit(name):
    kind = family(name, required_share=1.0, max_source=2240)
    for seed in range(6):
        blueprint, brief = kind.blueprint(seed)
        compared = np.random.default_rng(seed).permutation(blueprint.seen(0))[:5]
        assert views_differ(blueprint, brief, compared.tolist()) == []


@pytest.mark.parametrize("name", HIDDEN)
def test_sources_of_all_answers_differ_inside_the_region_only(name):
    blueprint, _ = family(name, required_share=1.0, max_source=1792).blueprint(3)
    left, top, right, bottom = blueprint.region
    first, second = (blueprint.render(state).copy() for state in blueprint.seen(0)[:2])
    assert not np.array_equal(first[top:bottom, left:right], second[top:bottom, left:right])
    first[top:bottom, left:right] = second[top:bottom, left:right] = 0
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_to_be_searched_for_stands_in_the_overlay_alone(name):
    for seed in range(6):
        blueprint, _ = family(name, required_share=1.0).blueprint(seed)
        first, second = blueprint.render(0), blueprint.render(1)
        assert np.array_equal(first, second)  # not even a crop of the source tells them apart
        told = [written(blueprint.overlay(index, first)) for index in (0, 1)]
        assert blueprint.answers[0] in told[0]
        assert blueprint.answers[1] in told[1]
        assert told[0] != told[1]


def written(overlay):
    return " ".join([page.text for page in overlay.passages] + [page.title for page in overlay.titled_images])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_proof_would_fail_on_a_legible_detail(name):
    blueprint, brief = family(name, required_share=0.0, max_source=1792).blueprint(3)
    assert views_differ(blueprint, brief, [0, 1]) != []


def _states(blueprint):
    """The states that a reader has to tell apart: those of the keys in a chain, else the answers."""
    return blueprint.seen(0) if blueprint.keys > 1 else range(len(blueprint.answers))


def share_read(kind, seeds, *, full_resolution, necessity):
    rng = np.random.default_rng(1)
    hits = []
    for seed in seeds:
        blueprint, brief = kind.blueprint(seed)
        if brief.necessity is necessity:
            candidates = [int(state) for state in rng.permutation(_states(blueprint))[:6]]
            read_as = read(blueprint, brief, candidates[0], rng, candidates=candidates, full_resolution=full_resolution)
            hits.append(read_as == candidates[0])
    return float(np.mean(hits)), len(hits)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_NONE)
def test_a_reader_reads_what_needs_no_tool_from_the_view(name):
    share, count = share_read(
        family(name, required_share=0.0), range(120), full_resolution=False, necessity=Necessity.NONE
    )
    assert count == 120
    assert share >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", HIDDEN)
def test_a_reader_reads_what_needs_a_tool_from_the_crop_and_guesses_from_the_view(name):
    kind = family(name, required_share=1.0)
    share, _ = share_read(kind, range(80), full_resolution=True, necessity=Necessity.REQUIRED)
    assert share >= 0.95
    guessed, count = share_read(kind, range(80), full_resolution=False, necessity=Necessity.REQUIRED)
    # Chance is at most 1/4 (four candidates or more): four standard errors above it.
    assert guessed <= 0.25 + 4 * np.sqrt(0.25 * 0.75 / count)
