"""Replies of hostile services: what a search does with them is bounded, and ends in hits or in a documented error."""

import json
import socket
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import Reply, ScriptedServer

from metis_gym.errors import SearchError
from metis_gym.http import sockets
from metis_gym.records import Passage
from metis_gym.search import ImageQuery, make_image_engine, make_text_engine, search_text
from metis_gym.search.engines.fts5 import Fts5Engine
from metis_gym.search.index import text as text_index
from metis_gym.search.services.web import Client, Policy

SPECS = {
    "serper": "serper:api_key_env=KEY,url={url}/s",
    "serpapi": "serpapi:api_key_env=KEY,url={url}/s",
    "brightdata": "brightdata:api_key_env=KEY,zone=z,url={url}/s",
    "retriever": "retriever:url={url}/s",
}
FIELDS = {"serper": "organic", "serpapi": "organic_results", "brightdata": "organic"}
KEY = "k-123-secret"


def page(title="t", text="s", link="l"):
    return {"title": title, "link": link, "snippet": text, "description": text}


def answer(name, pages):
    """The form that a service documents."""
    if name == "retriever":
        return {"result": [[{"document": {"contents": f"{p['title']}\n{p['snippet']}"}} for p in pages]]}
    return {FIELDS[name]: pages}


def failure_of(call):
    """The message of the documented error, empty if there was none; any other error passes through."""
    try:
        call()
    except SearchError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def server():
    with ScriptedServer() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def engine(name, server, extra="retries=0,timeout=20"):
    return make_text_engine(f"{SPECS[name].format(url=server.url)},cache=false,{extra}")


def check(hits, limit=10):
    assert len(hits) <= limit
    for hit in hits:
        for text in (hit.title, hit.link, hit.snippet):
            assert isinstance(text, str) and len(text.encode()) <= 10_000


LONG = {
    "a snippet of 7.5 MB": [page(text="tower of halworth " * 416_000)],
    "a snippet without spaces": [page(text="x" * 7_500_000)],
    "marks without end": [page(text="a" + "\u0301\u0316" * 600_000)],
    "a title of 7.5 MB": [page(title="tower " * 1_250_000)],
    "an address of 7.5 MB": [page(link="http://a/" + "x" * 7_500_000)],
    "100,000 hits": [page()] * 100_000,
    "ten of 700 kB": [page(text="tower halworth é " * 41_000)] * 10,
}


@pytest.mark.parametrize("what", LONG)
@pytest.mark.parametrize("name", ["serper", "retriever"])
def test_the_work_for_a_hit_is_bounded(server, name, what):
    body = json.dumps(answer(name, LONG[what]), ensure_ascii=False).encode()
    server.script(Reply(body))
    searching = engine(name, server)
    start = time.thread_time()
    failure_of(lambda: check(search_text(searching, "the tower of Halworth", (), limit=10)))
    assert time.thread_time() - start < 2.0


ODD_PAGES = [
    page(title="\ud800", text="\udfff a \ud83d", link="\ud800"),
    page(title="\x00\x1b[31m", text="\x00\x1b]0;x\x07"),
    page(title="", text="", link=""),
]


@pytest.mark.parametrize("odd", ODD_PAGES)
@pytest.mark.parametrize("name", SPECS)
def test_hits_are_unicode(server, name, odd):
    server.script(Reply(answer(name, [odd])))
    check(engine(name, server).search("tower", limit=10))


@pytest.mark.parametrize(
    "body",
    [
        b'{"organic": ' + b"[" * 500_000,
        b'{"organic": [{"title": ' + b"9" * 100_000 + b"}]}",
        b'{"organic": [{"title": "t", "link": "l", "snippet": NaN}]}',
        b'{"organic": 1, "organic": [], "organic": {"a": "' + KEY.encode() + b'"}}',
        b"\xff\xfe{\x00}\x00",
        b'"' + b"\\ud800" * 1000 + b'"',
    ],
)
def test_odd_json_is_a_documented_error_that_quotes_nothing(server, body):
    server.script(Reply(body))
    with pytest.raises(SearchError) as raised:
        engine("serper", server).search("tower", limit=10)
    assert KEY not in str(raised.value) and len(str(raised.value)) < 300


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
    | st.sampled_from(["organic", "title", KEY, "http://127.0.0.1/x.png"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["title", "link", "snippet", "contents", "document", "thumbnail", "error", "status"]), inner
        )
    ),
    max_leaves=12,
)
ENVELOPES = st.sampled_from(
    [
        "organic",
        "organic_results",
        "result",
        "visual_matches",
        "search_metadata",
        "searchParameters",
        "general",
        "error",
    ]
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(reply=st.dictionaries(ENVELOPES, JSON | st.lists(JSON, max_size=3) | st.just([[]])) | JSON)
def test_any_reply_gives_hits_or_a_documented_error(server, reply):
    server.script(Reply(json.dumps(reply).encode()))
    for name in SPECS:
        said = failure_of(lambda name=name: check(engine(name, server).search("tower", limit=10)))
        assert KEY not in said and "127.0.0.1/x" not in said
    lens = make_image_engine(
        f"serpapi_lens:api_key_env=KEY,image_url=http://p.example/{{task_id}},url={server.url},cache=false,retries=0"
    )
    query = ImageQuery(image=np.zeros((9, 9, 3), np.uint8), task_id="t")
    assert KEY not in failure_of(lambda: lens.search(query, limit=3))


STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 100 Continue", b"HTTP/1.0 200", b"HTTP/1.1 302 Found", b"HTTP/1.1 503"]
)
HEADERS = st.sampled_from(
    [
        b"Content-Length: 2",
        b"Content-Length: 9",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Location: http://a b",
        b"Content-Encoding: gzip",
        b"Retry-After: 1e99",
        b"Connection: close",
        b"no colon",
        b": x",
        b" folded",
        b"X: \xff\x00",
    ]
)
BODIES = st.sampled_from([b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"zz\r\n", b"\x1f\x8b\x08\x00", b""]) | st.binary(max_size=40)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    status=STATUS | st.binary(max_size=30), headers=st.lists(HEADERS | st.binary(max_size=30), max_size=5), body=BODIES
)
def test_any_bytes_end_in_an_answer_or_a_documented_error(status, headers, body):
    said = b"\r\n".join([status, *headers, b"", body])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        asking = Client(service="t", policy=Policy(timeout=5.0, retries=0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert len(failure_of(lambda: len(asking.fetch("GET", address)))) < 200
        thread.join()


def make_env(server, **engines):
    env = gym.make("metis_gym:MetisVQA-v0", taskset="signs", tools=("text_search", "image_search"), **engines)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=503, headers={"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}),
        Reply(status=429, headers={"Retry-After": "9" * 400}),
        Reply({"organic": [page(text="x" * 7_500_000)]}),
        Reply({"organic": [page(title="\ud800", text="\udfff", link="\ud800\n\n")] * 99}),
        Reply({"organic": [{"title": 5}]}),
        Reply(b"[" * 300_000),
        Reply(b"x" * 9_000_000),
    ],
)
def test_a_step_ends_in_an_observation_or_unscored(server, reply):
    server.script(reply)
    env = make_env(server, text_engine=f"{SPECS['serper'].format(url=server.url)},cache=false,retries=0,timeout=20")
    start = time.thread_time()
    observation, _, terminated, truncated, info = env.step({"name": "text_search", "arguments": {"query": "tower"}})
    assert time.thread_time() - start < 3.0
    assert env.observation_space.contains(observation) and not terminated
    assert truncated == (info["scored"] is False)
    env.close()


PLACES = [
    "http://127.0.0.1:{port}/x.png",
    "http://localhost:{port}/",
    "http://169.254.169.254/latest/",
    "http://[::1]:{port}/",
]


@pytest.mark.parametrize("place", PLACES)
def test_thumbnails_of_this_machine_are_not_fetched(server, place):
    with ScriptedServer() as inside:
        inside.script(Reply(b"secret"))
        address = place.format(port=inside.url.rpartition(":")[2])
        server.script(Reply({"visual_matches": [{"title": "t", "link": "l", "thumbnail": address}]}))
        lens = f"serpapi_lens:api_key_env=KEY,image_url=http://p.example/{{task_id}},url={server.url},cache=false"
        env = make_env(server, image_engine=lens + ",retries=0,timeout=2")
        _, _, _, truncated, info = env.step({"name": "image_search", "arguments": {}})
        assert truncated and info["scored"] is False
        assert "not public" in str(env.unwrapped.failure) or "no connection" in str(env.unwrapped.failure)
        assert inside.requests == []
        env.close()


def test_all_thumbnails_share_one_deadline(server, monkeypatch):
    monkeypatch.setattr(sockets, "is_public", lambda address: True)
    monkeypatch.setattr(sockets, "_is_own", lambda connection: False)
    matches = [{"title": "t", "link": "l", "thumbnail": f"{server.url}/{n}"} for n in range(5)]
    server.script(Reply({"visual_matches": matches}), Reply(b"x", is_silent=True))
    spec = f"serpapi_lens:api_key_env=KEY,image_url=http://p.example/{{task_id}},url={server.url},cache=false"
    start = time.monotonic()
    with pytest.raises(SearchError, match="no answer within"):
        make_image_engine(f"{spec},timeout=1,retries=3").search(
            ImageQuery(image=np.zeros((9, 9, 3), np.uint8), task_id="t"), limit=5
        )
    assert time.monotonic() - start < 8.0


def test_a_task_s_own_long_passages_cost_little(tmp_path):
    text_index.write_text_index([Passage(title="a", text="b tower")], tmp_path / "t.sqlite")
    searching = Fts5Engine(path=str(tmp_path / "t.sqlite"))
    own = [
        Passage(title="t", text="tower of halworth " * 55_000),
        Passage(title="\ud800", text="é" + "\u0301\u0316" * 500_000),
    ]
    start = time.thread_time()
    hits = search_text(searching, "halworth tower", own, limit=10)
    assert time.thread_time() - start < 1.0
    check(hits)
    assert hits[0].title == "t"
