"""The services behind text search, each against a server that gives the replies that it documents."""

import json

import pytest
from scripted_server import Reply

from metis_gym.errors import ConfigError, SearchError, SearchIndexError
from metis_gym.search import TextHit, make_text_engine
from metis_gym.search.contract import LIVE
from metis_gym.search.services.retriever import read_contents

PAGES = [
    ("Halworth - Encyclopedia", "https://a.example/halworth", "Halworth is a town on the river Yar."),
    ("History of Halworth", "https://b.example/", "It was founded in 1204."),
]
ORGANIC = [
    {"title": title, "link": link, "snippet": text, "position": n} for n, (title, link, text) in enumerate(PAGES, 1)
]
SERPER = {"searchParameters": {"q": "halworth", "type": "search"}, "organic": ORGANIC, "credits": 1}
SERPAPI = {"search_metadata": {"id": "65", "status": "Success"}, "organic_results": ORGANIC}
BRIGHT = {
    "general": {"search_engine": "google", "query": "halworth"},
    "organic": [{"link": link, "title": title, "description": text, "rank": 1} for title, link, text in PAGES],
}
RETRIEVED = {
    "result": [[{"document": {"id": "7", "contents": f'"{title}"\n{text}'}, "score": 12.5} for title, _, text in PAGES]]
}
SPECS = {
    "serper": "serper:api_key_env=KEY,url={url}/search",
    "serpapi": "serpapi:api_key_env=KEY,url={url}/search",
    "brightdata": "brightdata:api_key_env=KEY,zone=serp_1,url={url}/request",
    "retriever": "retriever:url={url}/retrieve",
}
GOOD = {"serper": SERPER, "serpapi": SERPAPI, "brightdata": BRIGHT, "retriever": RETRIEVED}
NOTHING = {
    "serper": {"searchParameters": {"q": "xyz"}, "organic": []},
    "serpapi": {
        "search_metadata": {"status": "Success"},
        "search_information": {"organic_results_state": "Fully empty"},
        "error": "Google hasn't returned any results for this query.",
    },
    "brightdata": {"general": {"query": "xyz"}},
    "retriever": {"result": [[]]},
}
WRONG_SHAPES = {
    "serper": [[], {}, None, 5, {"organic": {}}, {"organic": ["page"]}, {"organic": [{"title": "no link"}]}],
    "serpapi": [
        [],
        {},
        {"organic_results": "none"},
        {"organic_results": [{"title": 5, "link": "x"}]},
        {"organic_results": [{"title": "a", "link": "b", "snippet": ["c"]}]},
    ],
    "brightdata": ["<html></html>", {}, {"organic": None}, {"organic": [None]}],
    "retriever": [{}, {"result": []}, {"result": [[], []]}, {"result": [["text"]]}, {"result": [[{"document": {}}]]}],
}
ALL = sorted(SPECS)


@pytest.fixture
def make(server, monkeypatch):
    monkeypatch.setenv("KEY", "k-123")

    def make_engine(name, extra="retries=0"):
        return make_text_engine(f"{SPECS[name].format(url=server.url)},{extra},cache=false")

    return make_engine


@pytest.mark.parametrize("name", ALL)
def test_pages_come_back_in_order(make, server, name):
    server.script(Reply(GOOD[name]))
    hits = make(name).search("halworth", limit=10)
    links = [""] * 2 if name == "retriever" else [link for _, link, _ in PAGES]
    assert hits == tuple(
        TextHit(title=title, snippet=text, link=link) for (title, _, text), link in zip(PAGES, links, strict=True)
    )
    assert len(make(name).search("halworth", limit=1)) == 1


def test_requests_are_as_documented(make, server):
    server.script(Reply(SERPER))
    make("serper", "country=us,language=en").search("who founded it?", limit=10)
    server.script(Reply(SERPAPI))
    make("serpapi", "country=us").search("who founded it?", limit=10)
    server.script(Reply(BRIGHT))
    make("brightdata", "language=en").search("who founded it?", limit=10)
    server.script(Reply(RETRIEVED))
    make("retriever").search("who founded it?", limit=3)
    serper, serpapi, bright, retriever = server.requests
    assert (serper.method, serper.path, serper.headers["X-API-KEY"]) == ("POST", "/search", "k-123")
    assert serper.body == {"q": "who founded it?", "num": 10, "gl": "us", "hl": "en"}
    assert (serpapi.method, serpapi.path) == ("GET", "/search")
    wanted = {"engine": "google", "q": "who founded it?", "num": "10", "gl": "us", "api_key": "k-123"}
    assert serpapi.query == wanted
    assert (bright.method, bright.path, bright.headers["Authorization"]) == ("POST", "/request", "Bearer k-123")
    assert bright.body == {
        "zone": "serp_1",
        "url": "https://www.google.com/search?q=who+founded+it%3F&num=10&hl=en&brd_json=1",
        "format": "raw",
    }
    assert retriever.body == {"queries": ["who founded it?"], "topk": 3, "return_scores": True}


@pytest.mark.parametrize("name", ALL)
def test_finding_nothing_is_no_failure(make, server, name):
    server.script(Reply(NOTHING[name]))
    assert make(name).search("xyz", limit=10) == ()


@pytest.mark.parametrize("name", ALL)
def test_other_shapes_are_failures_with_a_reason(make, server, name):
    for answer in WRONG_SHAPES[name]:
        server.script(Reply(answer))
        with pytest.raises(SearchError, match=f"{name}: expected .*actually"):
            make(name).search("halworth", limit=10)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply({"message": "Unauthorized.", "statusCode": 403}, status=403), "HTTP 403 Forbidden"),
        (Reply(b"<html>", status=502), "HTTP 502"),
        (Reply(b"slow down", status=429, headers={"Retry-After": "1"}), "HTTP 429 Too Many"),
        (Reply(b"not json"), "not JSON"),
        (Reply({}, is_silent=True), "no answer within"),
    ],
)
def test_failures_have_a_reason(make, server, name, reply, reason):
    server.script(reply)
    with pytest.raises(SearchError, match=reason):
        make(name, f"retries=0,timeout={0.3 if reply.is_silent else 20}").search("halworth", limit=10)


def test_a_failed_search_of_serpapi_is_a_failure(make, server):
    server.script(Reply({"search_metadata": {"status": "Error"}, "error": "We couldn't get valid results"}))
    with pytest.raises(SearchError, match="serpapi: the search failed: the answer has an 'error'"):
        make("serpapi").search("halworth", limit=10)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("query", ["a\udfffb", "x" * 1_000_000, "\x00", '"a" AND (b', "東京 \U0001f600", "a\n\nb"])
def test_any_query_is_sent(make, server, name, query):
    server.script(Reply(GOOD[name]))
    assert len(make(name).search(query, limit=10)) == 2


def test_a_page_may_lack_its_snippet(make, server):
    server.script(Reply({"organic": [{"title": "a", "link": "https://a.example"}]}))
    assert make("serper").search("a", limit=10)[0].snippet == ""


def test_a_retriever_may_leave_out_scores(make, server):
    server.script(Reply({"result": [[{"id": "7", "contents": '"T"\ntext'}]]}))
    assert make("retriever").search("a", limit=10)[0].title == "T"
    assert (read_contents("only text").title, read_contents("only text").text) == ("", "only text")


def test_keys_stay_out_of_parameters_and_specs(make, server):
    for name in ALL:
        engine = make(name)
        assert engine.fingerprint() == LIVE and engine.is_live
        assert "k-123" not in json.dumps(dict(engine.parameters)) + repr(engine) + str(vars(engine))
    with pytest.raises(ConfigError, match="api_key_env=NAME"):
        make_text_engine("serper:api_key=k-123")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("serpr:api_key_env=KEY", "Did you mean 'serper'"),
        ("serper", "api_key_env, the name of an environment variable"),
        ("serper:api_key_env=NO_SUCH_VARIABLE", "'NO_SUCH_VARIABLE', named by api_key_env, is not set"),
        ("serper:api_key_env=KEY,contry=us", "Did you mean 'country'"),
        ("serper:api_key_env=KEY,url=example.org", "must begin with http"),
        ("serper:api_key_env=KEY,timeout=0", "timeout must be positive"),
        ("retriever:url=ftp://a.example", "must begin with http"),
        ("fts5:path=/a,corpus=b", "a path or a corpus, not both"),
        ("fts5:cache_mb=many", "number of megabytes"),
        ("brightdata:api_key_env=KEY", "needs the parameter 'zone'"),
        ("retriever", "needs the parameter 'url'"),
    ],
)
def test_wrong_specs_name_what_is_right(monkeypatch, spec, message):
    monkeypatch.setenv("KEY", "k-123")
    with pytest.raises(ConfigError, match=message):
        make_text_engine(spec)


def test_a_missing_index_is_found_at_once(tmp_path):
    with pytest.raises(SearchIndexError, match="metis-gym index"):
        make_text_engine(f"fts5:path={tmp_path / 'none.sqlite'}")
