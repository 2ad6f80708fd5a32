"""Answers on disk: free and identical reruns, no failures kept, damage repaired, many processes."""

import json
import multiprocessing
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Reply

from metis_gym.errors import ConfigError, SearchError
from metis_gym.records import Passage
from metis_gym.search import ImageHit, ImageQuery, TextHit, make_text_engine, search_text
from metis_gym.search.services.cache import CachedImageEngine, CachedTextEngine, DiskCache

SERPER = {"searchParameters": {}, "organic": [{"title": "T", "link": "https://a.example", "snippet": "été 😀"}]}


class Counting:
    """A text engine that counts how often it is asked."""

    name = "counting"
    is_live = False

    def __init__(self, corpus="c1", parameters=None, failing=False):
        self.asked, self.corpus, self.parameters, self.failing = 0, corpus, parameters or {}, failing

    def fingerprint(self):
        return self.corpus

    def search(self, query, *, limit):
        self.asked += 1
        if self.failing:
            raise SearchError("down")
        return (TextHit(title=query[:9], snippet=f"answer {self.asked}", link="l", score=0.1 + self.asked),)

    def scores(self, query, passages):
        return [2.0] * len(passages)


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "answers")


def files(cache):
    return sorted(cache.folder.glob("*/*"))


def test_a_rerun_is_free_and_identical(cache):
    engine = Counting()
    first = CachedTextEngine(engine, cache).search("halworth", limit=10)
    assert CachedTextEngine(engine, DiskCache(cache.folder)).search("halworth", limit=10) == first
    assert engine.asked == 1 and first[0].score == 1.1


def test_everything_that_an_answer_depends_on_is_in_its_name(cache):
    engines = [Counting(), Counting(corpus="c2"), Counting(parameters={"gl": "us"}), Counting(parameters={"gl": "de"})]
    engines.append(Counting())
    engines[-1].name = "other"
    for engine in engines:
        CachedTextEngine(engine, cache).search("a", limit=10)
        CachedTextEngine(engine, cache).search("a", limit=5)
        CachedTextEngine(engine, cache).search("A", limit=5)
    assert [engine.asked for engine in engines] == [3] * 5


@given(st.text())
def test_any_query_can_be_kept(tmp_path_factory, query):
    cached = CachedTextEngine(Counting(), DiskCache(tmp_path_factory.getbasetemp() / "any"))
    assert cached.search(query, limit=1) == cached.search(query, limit=1)


def test_failures_are_not_kept(cache):
    engine = Counting(failing=True)
    for _ in range(2):
        with pytest.raises(SearchError):
            CachedTextEngine(engine, cache).search("a", limit=10)
    assert engine.asked == 2 and files(cache) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"answer 1", b"answer 7"),
        lambda data: data.replace(b'"query": "a"', b'"query": "b"'),
        lambda data: b"[1]",
        lambda data: b"null",
        lambda data: b"\xff" * 10,
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b'"format": 1', b'"format": 0'),
    ],
)
def test_damaged_answers_are_asked_for_again(cache, damage):
    engine = Counting()
    cached = CachedTextEngine(engine, cache)
    cached.search("a", limit=10)
    (path,) = files(cache)
    assert damage(path.read_bytes()) != path.read_bytes()
    path.write_bytes(damage(path.read_bytes()))
    assert cached.search("a", limit=10)[0].snippet == "answer 2"
    assert cached.search("a", limit=10)[0].snippet == "answer 2"
    assert engine.asked == 2 and files(cache) == [path]


def test_a_folder_that_cannot_be_written_is_a_failed_search(tmp_path):
    (tmp_path / "file").write_text("")
    cached = CachedTextEngine(Counting(), DiskCache(tmp_path / "file" / "answers"))
    with pytest.raises(SearchError, match="cannot be kept"):
        cached.search("a", limit=10)


def test_the_oldest_answers_go_when_it_grows_too_large(tmp_path):
    cache = DiskCache(tmp_path / "answers", max_bytes=10_000)
    cached = CachedTextEngine(Counting(), cache)
    for number in range(200):
        cached.search(f"query {number}", limit=10)
        newest = max(files(cache), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, ns=(number * 10**9, number * 10**9))
    sizes = [path.stat().st_size for path in files(cache)]
    # Looked after at every 64th write: at most 63 answers above the bound.
    assert sum(sizes) <= 10_000 + 64 * max(sizes)
    kept = {json.loads(path.read_text())["key"]["query"] for path in files(cache)}
    assert "query 199" in kept and "query 0" not in kept
    with pytest.raises(ConfigError, match="positive"):
        DiskCache(tmp_path, max_bytes=0)


class Slow(Counting):
    """Gives another answer in every process."""

    def search(self, query, *, limit):
        return (TextHit(title="", snippet=f"answer of {os.getpid()}", link=""),)


def _ask(folder, barrier, queue):
    cached = CachedTextEngine(Slow(), DiskCache(folder))
    answers = []
    for number in range(30):
        barrier.wait()
        answers.append(cached.search(f"query {number}", limit=10)[0].snippet)
    queue.put(answers)


def test_processes_that_ask_at_once_get_one_answer(cache):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_ask, args=(cache.folder, barrier, queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    answers = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert all(given == answers[0] for given in answers)
    assert len(files(cache)) == 30 and all(path.suffix == ".json" for path in files(cache))


def test_services_are_kept_by_default_and_without_their_key(server, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KEY", "k-123")
    server.script(Reply(SERPER))
    spec = f"serper:api_key_env=KEY,url={server.url}"
    first = make_text_engine(spec).search("summer", limit=10)
    monkeypatch.setenv("KEY", "another")
    again = make_text_engine(f"{spec},timeout=3").search("summer", limit=10)
    assert first == again and first[0].snippet == "été 😀"
    assert len(server.requests) == 1
    kept = list((tmp_path / "metis-gym/answers").rglob("*.json"))
    assert len(kept) == 1 and "k-123" not in kept[0].read_text() + str(kept[0])
    make_text_engine(f"{spec},cache=false").search("summer", limit=10)
    make_text_engine(f"{spec},cache={tmp_path / 'mine'},cache_mb=1").search("summer", limit=10)
    assert len(server.requests) == 3 and list((tmp_path / "mine").rglob("*.json"))


def test_a_task_s_own_passages_are_in_no_kept_answer(cache):
    cached = CachedTextEngine(Counting(), cache)
    own = [Passage(title="own", text="own text", link="own")]
    assert [hit.link for hit in search_text(cached, "a", own, limit=10)] == ["own", "l"]
    assert [hit.link for hit in search_text(cached, "a", (), limit=10)] == ["l"]
    assert "own text" not in files(cache)[0].read_text()


class CountingImages:
    """An image engine that counts how often it is asked."""

    name = "counting"
    is_live = True
    parameters = {}

    def __init__(self):
        self.asked = 0

    def fingerprint(self):
        return "c"

    def search(self, query, *, limit):
        self.asked += 1
        noise = np.random.default_rng(self.asked).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        return (ImageHit(title="a", image=noise, link="l", distance=0.5), ImageHit(title="b", image=None))

    def distances(self, query, images):
        return None


def test_images_are_kept_without_loss(cache):
    engine = CountingImages()
    cached = CachedImageEngine(engine, cache)
    query = ImageQuery(image=np.zeros((9, 9, 3), np.uint8), task_id="t")
    first, again = cached.search(query, limit=5), cached.search(query, limit=5)
    assert engine.asked == 1
    assert np.array_equal(first[0].image, again[0].image) and again[1].image is None
    assert (again[0].title, again[0].link, again[0].distance) == ("a", "l", 0.5)
    cached.search(ImageQuery(image=np.ones((9, 9, 3), np.uint8), task_id="t"), limit=5)
    cached.search(ImageQuery(image=np.zeros((9, 9, 3), np.uint8), task_id="u"), limit=5)
    assert engine.asked == 3
