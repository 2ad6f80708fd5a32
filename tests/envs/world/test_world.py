"""The invented world: who owns what, pages that answer, contradict or chatter, drawings that can be recognised."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_envs.world import KINDS, OWNERS, draw_fact, draw_landmark, draw_thing, draw_values, pages_of_task
from metis_envs.world.buildings import BUILDINGS
from metis_envs.world.names import TOWNS
from metis_envs.world.pages import list_page, near_copy, person_page
from metis_envs.world.pages import main_page as page_of
from metis_envs.world.sources import CURRENT, FORMS, OUTDATED, older_source, pages_of_candidates
from metis_envs.world.things import Thing, owner_of
from metis_gym.errors import ConfigError
from metis_gym.search.index.dhash import dhash, differing_bits

SEEDS = st.integers(0, 2**32)
TIMELESS = settings(deadline=None)


def stream(seed):
    return np.random.default_rng(seed)


@TIMELESS
@given(SEEDS, st.sampled_from(OWNERS))
def test_a_drawn_thing_belongs_to_who_drew_it(seed, owner):
    thing = draw_thing(stream(seed), owner=owner)
    assert owner_of(thing.name) == owner
    assert thing.town in TOWNS and thing.name.endswith(KINDS[thing.kind].noun)
    assert set(thing.facts) == {attribute.name for attribute in KINDS[thing.kind].attributes}


def test_half_of_all_names_are_the_corpus_and_each_split_has_a_quarter():
    rng = stream(0)
    names = [f"{draw_thing(rng, owner='corpus').name}{n}" for n in range(2000)]
    shares = [sum(owner_of(name) == owner for name in names) / len(names) for owner in OWNERS]
    # Standard deviation of a share of 2000: below 0.012.
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.05)


def test_facts_are_drawn_afresh():
    values = {draw_thing(stream(seed), owner="train", kind="tower").facts["height"] for seed in range(400)}
    # 18 to 240 m: 223 heights; 400 draws leave out a share of exp(-400/223) = 17 %.
    assert len(values) > 150


@TIMELESS
@given(SEEDS, st.sampled_from([attribute for kind in KINDS.values() for attribute in kind.attributes]))
def test_alternatives_are_different_and_change_one_fact_only(seed, attribute):
    rng = stream(seed)
    values = draw_values(rng, attribute, 8)
    assert len(set(values)) == 8
    kind = next(name for name, kind in KINDS.items() if attribute in kind.attributes)
    thing = draw_thing(rng, owner="train", kind=kind)
    for value in values:
        other = thing.with_fact(attribute, value)
        assert other.facts == {**thing.facts, attribute.name: value} and other.full_name == thing.full_name


def test_more_alternatives_than_there_are_is_told():
    with pytest.raises(ConfigError, match="'material' has not 40 different values"):
        draw_values(stream(0), KINDS["tower"].attribute("material"), 40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"owner": "me"}, "corpus, train, test"), ({"owner": "train", "kind": "castle"}, "bridge, gate")],
)
def test_wrong_wishes_name_what_is_right(arguments, message):
    with pytest.raises(ConfigError, match=message):
        draw_thing(stream(0), **arguments)


@TIMELESS
@given(SEEDS)
def test_the_main_page_states_every_fact(seed):
    rng = stream(seed)
    thing = draw_thing(rng, owner="test")
    page = page_of(rng, thing, 2015)
    assert all(value in page.text for value in thing.facts.values())
    assert thing.name in page.text and thing.town in page.text and "2015" in page.text
    assert "{" not in page.text + page.title


@TIMELESS
@given(SEEDS)
def test_a_near_copy_lacks_one_sentence(seed):
    rng = stream(seed)
    page = page_of(rng, draw_thing(rng, owner="test"), 2015)
    copy = near_copy(rng, page)
    whole, fewer = (text.rstrip(".").split(". ") for text in (page.text, copy.text))
    assert len(fewer) == len(whole) - 1 and set(fewer) < set(whole)
    assert (fewer[:2], fewer[-1]) == (whole[:2], whole[-1]), "what it is about, and its date"
    assert copy.link != page.link


@TIMELESS
@given(SEEDS)
def test_an_older_source_gives_another_value_and_its_year(seed):
    rng = stream(seed)
    thing = draw_thing(rng, owner="test")
    fact = draw_fact(rng, thing)
    values = draw_values(rng, fact.attribute, 3)
    page = older_source(rng, thing.with_fact(fact.attribute, values[0]), fact.attribute, values[1])
    assert thing.name in page.text and values[1] in page.text
    assert not re.search(rf"\b{re.escape(values[0])}\b", page.text)
    assert any(str(year) in f"{page.title} {page.text}" for year in OUTDATED)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_source_says_the_fact_and_the_year(form):
    for kind, traits in KINDS.items():
        for attribute in traits.attributes:
            thing = draw_thing(stream(3), owner="train", kind=kind)
            page = form(stream(4), thing, attribute, 2013)
            assert thing.facts[attribute.name] in page.text and thing.name in f"{page.title} {page.text}"
            assert "2013" in f"{page.title} {page.text}" and "{" not in page.text


@TIMELESS
@given(SEEDS, st.booleans())
def test_candidates_bring_the_same_for_each_and_the_newest_page_decides(seed, is_stale):
    rng = stream(seed)
    first = draw_thing(rng, owner="train", kind="tower")
    height = first.traits.attribute("height")
    values = draw_values(rng, height, 3)
    names = ("Halworth Tower", "Morgate Tower", "Elbrook Tower")
    things = [
        Thing(name=name, kind="tower", town=first.town, facts={**first.facts, "height": value})
        for name, value in zip(names, values, strict=True)
    ]
    older = (*values[1:], values[0])
    pages = pages_of_candidates(rng, things, height, older, is_stale=is_stale)
    for name, value, former in zip(names, values, older, strict=True):
        dated = [page for page in pages if name in f"{page.title} {page.text}" and page.link[-4:].isdigit()]
        assert len(dated) == 2
        newest = max(dated, key=lambda page: int(page.link[-4:]))
        assert (former if is_stale else value) in newest.text
        assert (int(newest.link[-4:]) in CURRENT) != is_stale


@TIMELESS
@given(SEEDS)
def test_what_a_task_brings_holds_the_answer_in_the_midst_of_pages_that_do_not(seed):
    rng = stream(seed)
    thing = draw_thing(rng, owner="train")
    fact = draw_fact(rng, thing)
    assert thing.full_name in fact.question and fact.question.endswith("?")
    pages = pages_of_task(rng, thing, fact.attribute)
    assert len(pages) == 6
    assert sum(page.title == f"{thing.name}, {thing.town}" for page in pages) == 1
    assert all(page.link.startswith("https://") and ".example/" in page.link for page in pages)


def test_the_page_that_answers_stands_anywhere():
    places = set()
    for seed in range(100):
        rng = stream(seed)
        thing = draw_thing(rng, owner="train")
        pages = pages_of_task(rng, thing, thing.traits.attributes[0])
        places.add([page.title for page in pages].index(f"{thing.name}, {thing.town}"))
    assert places == set(range(6))


def test_lists_and_people_name_what_they_are_about():
    rng = stream(1)
    things = [draw_thing(rng, owner="corpus", kind="mill", town="Oravik") for _ in range(2)]
    assert list_page("Oravik", "mill", things).text == f"The mills of Oravik: {things[0].name}, {things[1].name}."
    person = person_page(things[0])
    assert person.title == things[0].facts["architect"] and things[0].name in person.text


def test_every_kind_of_thing_can_be_drawn():
    assert set(BUILDINGS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_landmark_is_recognised_at_another_size_and_no_other_is(kind):
    small = dhash(draw_landmark(stream(7), kind, 256, 192))
    large = dhash(draw_landmark(stream(7), kind, 1600, 1200))
    others = np.stack([dhash(draw_landmark(stream(seed), kind, 256, 192)) for seed in range(100, 140)], axis=1)
    assert differing_bits(small[:, None], large)[0] <= 12  # of 242
    assert differing_bits(others, large).min() > 24


def test_the_same_stream_draws_the_same_landmark():
    first, second = (draw_landmark(stream(3), "tower", 320, 240) for _ in range(2))
    assert (first == second).all() and first.shape == (240, 320, 3) and first.flags.writeable


@pytest.mark.parametrize(("kind", "size", "message"), [("castle", (64, 64), "bridge"), ("tower", (4, 64), "16 x 16")])
def test_wrong_landmarks_are_refused(kind, size, message):
    with pytest.raises(ConfigError, match=message):
        draw_landmark(stream(0), kind, *size)
