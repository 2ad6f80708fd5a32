"""The default corpus and collection: large, always the same, and real work to search."""

import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_envs.world import draw_fact, draw_landmark, draw_thing, images_of_task, pages_of_task
from metis_envs.world.collection import DefaultCollection, image_of
from metis_envs.world.corpus import DefaultCorpus, generated_passages, generated_things
from metis_envs.world.real_text import library_passages, licence_passages, python_passages
from metis_envs.world.things import owner_of
from metis_gym.search import ImageQuery, search_images, search_text
from metis_gym.search.engines.dhash import DhashEngine
from metis_gym.search.engines.fts5 import Fts5Engine
from metis_gym.search.index.images import ImageIndex, write_image_index
from metis_gym.search.index.text import write_text_index

GENERATED_SHA256 = "547dac753623a90fa0a080ad720bd390e4a30abf7ba83ae2704baded918f7a9a"
"""Of all generated passages. It changes with `GENERATION` of the corpus, and never otherwise."""


@pytest.fixture(scope="module")
def generated():
    return list(generated_passages())


@pytest.fixture(scope="module")
def text_engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.sqlite"
    write_text_index(generated_passages(3_000), path)
    return Fts5Engine(path=str(path))


@pytest.fixture(scope="module")
def image_index(tmp_path_factory):
    path = tmp_path_factory.mktemp("collection") / "images.sqlite"
    write_image_index(DefaultCollection(landmarks=300, pieces=2).images(), path)
    return path


@pytest.fixture(scope="module")
def image_engine(image_index):
    return DhashEngine(path=str(image_index))


def test_the_generated_part_is_the_same_everywhere(generated):
    digest = hashlib.sha256()
    for passage in generated:
        digest.update(repr((passage.title, passage.text, passage.link)).encode())
    assert digest.hexdigest() == GENERATED_SHA256


def test_there_are_fifty_thousand_passages(generated):
    assert len(generated) + sum(1 for _ in python_passages()) >= 50_000


def test_every_generated_passage_is_labelled_so(generated):
    assert all(passage.link.partition("/")[2].split("/")[1].endswith(".example") for passage in generated)


def test_there_are_near_copies_contradictions_chatter_lists_and_people(generated):
    sites = Counter(passage.link.split("/")[2].removesuffix(".example") for passage in generated)
    copies = sum(sites[site] for site in ("mirror", "reader", "archive", "copies"))
    older = sum(sites[site] for site in ("surveys", "courier", "handbooks", "files"))
    assert min(copies, older, sites["travellers"], sites["lists"], sites["people"]) >= 4_000


def test_no_thing_of_the_corpus_could_be_asked_for_by_a_task():
    things = list(itertools.islice(generated_things(), 2_000))
    assert {owner_of(thing.name) for thing in things} == {"corpus"}
    assert len({thing.full_name for thing in things}) == len(things)


def test_names_are_shared_so_that_a_search_finds_namesakes(text_engine):
    hits = text_engine.search("How high is the Falford Tower in Oravik?", limit=10)
    assert len(hits) == 10
    assert any("Oravik" in hit.title + hit.snippet for hit in hits)
    assert any("Falford" in hit.title + hit.snippet for hit in hits)


@pytest.mark.parametrize("number", range(0, 3_000, 300))
def test_a_fact_of_the_corpus_is_found_among_the_first_results(text_engine, number):
    thing = next(itertools.islice(generated_things(), number, None))
    hits = text_engine.search(f"the {thing.full_name}", limit=5)
    assert f"{thing.name}, {thing.town}" in {hit.title.removesuffix(" (copy)") for hit in hits}


def test_the_page_that_answers_a_task_is_found_but_not_always_first(text_engine):
    places = Counter()
    for seed in range(120):
        rng = np.random.default_rng(seed)
        thing = draw_thing(rng, owner="train")
        fact = draw_fact(rng, thing)
        hits = search_text(text_engine, fact.question, pages_of_task(rng, thing, fact.attribute), limit=10)
        titles = [hit.title for hit in hits]
        place = titles.index(f"{thing.name}, {thing.town}")
        assert re.search(rf"\b{re.escape(fact.value)}\b", hits[place].snippet)
        places[place] += 1
    assert max(places) < 6
    assert places[0] < 60


def test_real_text_is_that_of_this_python():
    passages = list(python_passages())
    assert len(passages) > 3_000
    assert any(p.title == "Python library: json.dumps" and "JSON formatted" in p.text for p in passages)
    assert any("PYTHON SOFTWARE FOUNDATION LICENSE" in p.text for p in passages)
    assert all(p.link.startswith("pydoc:") for p in passages)


def test_an_installation_that_lacks_parts_gives_fewer_passages(tmp_path):
    (tmp_path / "broken.py").write_text(
        '"""Documentation that is long enough to be a passage of its own, but:"""\ndef ('
    )
    (tmp_path / "test").mkdir()
    (tmp_path / "test/left_out.py").write_text('"""' + "Tests are left out, however long they are. " * 3 + '"""')
    (tmp_path / "kept.py").write_text('"""' + "This module is kept, for it says enough of itself. " * 40 + '"""')
    kept = list(library_passages(tmp_path))
    assert {p.title for p in kept} == {"Python library: kept"}
    assert list(licence_passages(tmp_path)) == []


def test_versions_name_what_they_are_made_of():
    assert DefaultCorpus().version != DefaultCorpus(things=5).version
    assert sys.version.split()[0] in DefaultCorpus().version
    assert DefaultCollection().version != DefaultCollection(landmarks=5).version


def test_a_landmark_of_the_collection_is_found_by_a_large_image_of_it(image_engine):
    for thing in itertools.islice(generated_things(), 0, 300, 30):
        query = ImageQuery(image=image_of(thing, 1024, 768), task_id="")
        hits = image_engine.search(query, limit=5)
        assert hits[0].title == f"{thing.name}, {thing.town}"
        assert hits[0].distance < 0.1


def test_a_fresh_landmark_is_found_by_its_task_only_then_its_fact_by_its_name(image_engine, text_engine):
    for look in range(12):
        rng = np.random.default_rng(look)
        thing = draw_thing(rng, owner="test")
        fact = draw_fact(rng, thing)
        query = ImageQuery(image=draw_landmark(np.random.default_rng(look), thing.kind, 800, 600), task_id="")
        album = images_of_task(rng, thing, look)
        name = f"{thing.name}, {thing.town}"
        first, second = search_images(image_engine, query, album, limit=5)[:2]
        assert first.title == name and first.distance < 0.1 < second.distance
        assert name not in {hit.title for hit in search_images(image_engine, query, (), limit=5)}
        hits = search_text(text_engine, first.title, pages_of_task(rng, thing, fact.attribute), limit=5)
        assert name in {hit.title for hit in hits}


def test_postcards_are_near_copies_of_their_landmarks(image_engine):
    images = list(DefaultCollection(landmarks=60, pieces=1).images())
    postcards = [entry for entry in images if entry.title.startswith("Postcard")]
    assert len(postcards) >= 5
    for entry in postcards:
        hits = image_engine.search(ImageQuery(image=entry.image, task_id=""), limit=2)
        assert hits[0].title == entry.title and hits[0].distance < 0.02
        assert hits[1].title.split(",")[0] in entry.title


def test_the_collection_is_the_same_in_another_process(image_index):
    code = (
        "import sys; from pathlib import Path; from metis_envs.world.collection import DefaultCollection;"
        "from metis_gym.search.index.images import ImageIndex, write_image_index;"
        "write_image_index(DefaultCollection(landmarks=300, pieces=2).images(), Path(sys.argv[1]));"
        "print(ImageIndex(Path(sys.argv[1])).fingerprint)"
    )
    other = image_index.with_name("again.sqlite")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "5"}
    done = subprocess.run([sys.executable, "-c", code, str(other)], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == ImageIndex(image_index).fingerprint


@pytest.mark.slow
def test_an_environment_searches_the_defaults_without_being_told_where(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tools = ("text_search", "image_search")
    env = gym.make("MetisVQA-v0", taskset="signs", tools=tools, text_engine="fts5:cache=false")
    env.reset(seed=1)
    assert list(tmp_path.iterdir()) == []  # nothing is built before it is needed
    query = {"name": "text_search", "arguments": {"query": "towers of Oravik"}}
    assert "Towers of Oravik" in env.step(query)[0]["text"]
    observation, *_, info = env.step({"name": "image_search", "arguments": {}})
    assert info["scored"] and info["tool_errors"] == 0.0 and "A search for the image found" in observation["text"]
    told = [record.message.split(" in ")[0] for record in caplog.records if record.message.startswith("building")]
    assert told == [
        "building the text corpus 'default'",
        "building the image collection 'default'",
    ]
    assert len(ImageIndex(next(tmp_path.rglob("images-*.sqlite"))).hashes[0]) >= 5_000
    assert np.unique(ImageIndex(next(tmp_path.rglob("images-*.sqlite"))).hashes, axis=1).shape[1] >= 4_900
