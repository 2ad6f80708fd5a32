"""The optional engine: the same measure as the default one, over all passages."""

import sys
import threading

import pytest

from metis_gym.errors import MissingDependencyError
from metis_gym.search import make_text_engine
from metis_gym.search.engines.bm25s import Bm25sEngine
from metis_gym.search.engines.fts5 import Fts5Engine

bm25s = pytest.importorskip("bm25s")

QUERIES = ["wort299", "wort010 wort011", "wort010 wort150 wort298", "wort120 nowhere wort123", "wort014 wort012"]


@pytest.fixture(scope="module")
def engine(index_path):
    return make_text_engine(f"bm25s:path={index_path}")


@pytest.mark.parametrize("query", QUERIES)
def test_hits_are_those_of_the_default_engine(engine, index_path, query):
    assert engine.search(query, limit=10) == Fts5Engine(path=str(index_path)).search(query, limit=10)


def test_scores_of_passages_are_those_in_the_corpus(engine, corpus):
    scores = engine.scores("wort150 wort200", corpus)
    for hit in engine.search("wort150 wort200", limit=20):
        assert scores[int(hit.link.rpartition("/")[2])] == hit.score


@pytest.mark.parametrize("query", ["", "the", "nowhere", "\x00"])
def test_finding_nothing_is_an_empty_answer(engine, query):
    assert engine.search(query, limit=10) == ()


def test_words_in_most_passages_find_nothing(engine, index_path):
    assert Fts5Engine(path=str(index_path)).search("wort000", limit=10)
    assert engine.search("wort000", limit=10) == ()


def test_more_wanted_than_there_are(engine, corpus):
    assert 10 < len(engine.search("wort010", limit=10_000)) < len(corpus)


def test_the_first_search_may_come_from_many_threads(index_path):
    fresh = Bm25sEngine(path=str(index_path))
    found = []
    threads = [threading.Thread(target=lambda: found.append(fresh.search(QUERIES[2], limit=5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch, index_path):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metis-gym\[search\]'"):
        Bm25sEngine(path=str(index_path))
