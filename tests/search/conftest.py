"""Small corpora and a local server; property tests are not timed; the helpers next to the tests can be imported."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

from scripted_server import ScriptedServer  # noqa: E402
from small_corpora import random_corpus  # noqa: E402

from metis_gym.search.index.text import write_text_index  # noqa: E402


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ScriptedServer() as running:
        yield running


@pytest.fixture(scope="session")
def corpus():
    return random_corpus(600, seed=0)


@pytest.fixture(scope="session")
def index_path(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "small.sqlite"
    assert write_text_index(corpus, path) == len(corpus)
    return path
