"""Google Lens through SerpApi, against a local server; and prepared results in the reference's format."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image
from scripted_server import Reply

from metis_gym.errors import ConfigError, SearchError, SearchIndexError
from metis_gym.http import sockets
from metis_gym.images.transforms import fingerprint
from metis_gym.search import ImageQuery, make_image_engine
from metis_gym.search.engines.prepared import PreparedEngine

QUERY = ImageQuery(image=np.zeros((20, 30, 3), np.uint8), task_id="fvqa/train/7 a")


def png(value=9, size=(30, 20), mode="RGB"):
    stream = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value,) * len(mode)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def lens(server, monkeypatch):
    """Of the loopback interface, which stands in for the web: thumbnails are fetched from public addresses only."""
    monkeypatch.setattr(sockets, "is_public", lambda address: True)
    monkeypatch.setattr(sockets, "_is_own", lambda connection: False)
    monkeypatch.setenv("KEY", "k-123")

    def make(extra=""):
        template = "https://images.example/{fingerprint}.png"
        spec = f"serpapi_lens:api_key_env=KEY,image_url={template},url={server.url}/search,retries=0,cache=false"
        return make_image_engine(spec + extra)

    return make


def matches(server, count=2):
    entries = [
        {"position": n, "title": f"Match {n}", "link": f"https://m{n}.example", "thumbnail": f"{server.url}/{n}.png"}
        for n in range(count)
    ]
    return {"search_metadata": {"status": "Success"}, "visual_matches": entries}


def test_matches_come_back_with_their_thumbnails(lens, server):
    server.script(Reply(matches(server)), Reply(png(1)), Reply(png(2)))
    first, second = lens().search(QUERY, limit=5)
    assert (first.title, first.link, second.title) == ("Match 0", "https://m0.example", "Match 1")
    assert first.image.shape == (20, 30, 3) and (first.image == 1).all() and (second.image == 2).all()
    asked = server.requests[0]
    assert (asked.method, asked.path) == ("GET", "/search")
    address = f"https://images.example/{fingerprint(QUERY.image)}.png"
    assert asked.query == {"engine": "google_lens", "url": address, "api_key": "k-123"}
    assert "api_key" not in server.requests[1].query, "thumbnails are fetched without the key"


def test_thumbnails_can_be_left_out_and_are_fetched_for_wanted_hits_only(lens, server):
    server.script(Reply(matches(server)))
    assert [hit.image for hit in lens(",thumbnails=false").search(QUERY, limit=5)] == [None, None]
    server.script(Reply(matches(server, 9)), Reply(png()))
    assert len(lens().search(QUERY, limit=1)) == 1
    assert len(server.requests) == 3


def test_finding_nothing_is_no_failure(lens, server):
    server.script(
        Reply({"search_metadata": {"status": "Success"}, "error": "Google Lens hasn't returned any results."})
    )
    assert lens().search(QUERY, limit=5) == ()


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([Reply({"error": "Invalid API key: k-123"}, status=401)], r"HTTP 401 Unauthorized"),
        ([Reply({"search_metadata": {"status": "Error"}, "error": "no such image"})], "has an 'error'"),
        ([Reply([])], "an object with 'visual_matches'"),
        ([Reply({"visual_matches": {}})], "to be a list"),
        ([Reply({"visual_matches": ["a"]})], "matches with the texts"),
        ([Reply({"visual_matches": [{"title": "a", "link": "b", "thumbnail": "file:///etc/passwd"}]})], "an address"),
    ],
)
def test_failures_have_a_reason(lens, server, replies, reason):
    server.script(*replies)
    with pytest.raises(SearchError, match=reason) as raised:
        lens().search(QUERY, limit=5)
    assert "k-123" not in str(raised.value)


@pytest.mark.parametrize("thumbnail", [Reply(b"", status=404), Reply(b"<html>"), Reply(png()[:60])])
def test_a_thumbnail_that_cannot_be_had_is_a_failure(lens, server, thumbnail):
    server.script(Reply(matches(server)), thumbnail)
    with pytest.raises(SearchError, match="thumbnail"):
        lens().search(QUERY, limit=5)


def test_the_image_s_address_needs_a_place_to_fill_in():
    with pytest.raises(ConfigError, match=r"must hold \{task_id\} or \{fingerprint\}"):
        make_image_engine("serpapi_lens:api_key_env=KEY,image_url=https://images.example/a.png")


def test_task_ids_are_quoted(server, monkeypatch):
    monkeypatch.setenv("KEY", "k-123")
    server.script(Reply(matches(server, 0)))
    spec = f"serpapi_lens:api_key_env=KEY,image_url=https://p.example/{{task_id}},url={server.url},cache=false"
    make_image_engine(spec).search(QUERY, limit=5)
    assert server.requests[0].query["url"] == "https://p.example/fvqa%2Ftrain%2F7%20a"
    odd = ImageQuery(image=QUERY.image, task_id="a\ud800b")
    make_image_engine(spec).search(odd, limit=5)
    assert server.requests[1].query["url"] == "https://p.example/a%3Fb"


@pytest.fixture
def prepared(tmp_path):
    (tmp_path / "images").mkdir()
    for n in range(2):
        (tmp_path / f"images/{n}.png").write_bytes(png(n))
    (tmp_path / "images/broken.png").write_bytes(png()[:50])
    entries = {
        "fvqa_1": {
            "tool_returned_web_title": ["First", "Left out", "Second\nline"],
            "cached_images_path": ["images/0.png", None, str(tmp_path / "images/1.png")],
        },
        "fvqa_2": {"tool_returned_web_title": [], "cached_images_path": []},
        "fvqa_3": {"tool_returned_web_title": ["gone"], "cached_images_path": ["images/none.png"]},
        "fvqa_4": {"tool_returned_web_title": ["broken"], "cached_images_path": ["images/broken.png"]},
    }
    (tmp_path / "cache.json").write_text(json.dumps(entries))
    return PreparedEngine(path=str(tmp_path / "cache.json"))


def asked(task_id):
    return ImageQuery(image=QUERY.image, task_id=task_id)


@pytest.mark.parametrize("task_id", ["fvqa_1", "parquet/train/fvqa_1", "parquet:path=a/train/448/fvqa_1@0a1b2c3d"])
def test_prepared_results_come_back(prepared, task_id):
    first, second = prepared.search(asked(task_id), limit=5)
    assert (first.title, second.title) == ("First", "Second line")
    assert (first.image == 0).all() and (second.image == 1).all()
    assert len(prepared.search(asked(task_id), limit=1)) == 1


def test_prepared_results_may_be_empty(prepared):
    assert prepared.search(asked("fvqa_2"), limit=5) == ()


@pytest.mark.parametrize(
    ("task_id", "reason"),
    [("fvqa_9", "no results for task 'fvqa_9'"), ("fvqa_3", "images/none.png"), ("fvqa_4", "images/broken.png")],
)
def test_what_was_not_prepared_is_a_failure(prepared, task_id, reason):
    with pytest.raises(SearchError, match=reason):
        prepared.search(asked(task_id), limit=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read"),
        ("[]", "must hold an object"),
        ('{"a": []}', "entry 'a'"),
        ('{"a": {"tool_returned_web_title": ["x"], "cached_images_path": []}}', "entry 'a'"),
        ('{"a": {"tool_returned_web_title": [1], "cached_images_path": ["p"]}}', "entry 'a'"),
        ('{"a": {"tool_returned_web_title": ["x"], "cached_images_path": [2]}}', "entry 'a'"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(SearchIndexError, match=message):
        PreparedEngine(path=str(tmp_path / "c.json"))
    with pytest.raises(SearchIndexError, match="cannot read"):
        make_image_engine(f"prepared:path={tmp_path / 'none.json'}")


@pytest.mark.parametrize("way", ["up", "absolute", "link"])
def test_prepared_images_lie_in_the_folder_unless_others_are_allowed(tmp_path, way):
    (tmp_path / "in").mkdir()
    outside = tmp_path / "outside.png"
    outside.write_bytes(png())
    (tmp_path / "in" / "link.png").symlink_to(outside)
    name = {"up": "../outside.png", "absolute": str(outside), "link": "link.png"}[way]
    entry = {"tool_returned_web_title": ["x"], "cached_images_path": [name]}
    (tmp_path / "in" / "c.json").write_text(json.dumps({"fvqa_1": entry}))
    with pytest.raises(SearchError, match="leads out of"):
        PreparedEngine(path=str(tmp_path / "in" / "c.json")).search(asked("fvqa_1"), limit=5)
    engine = make_image_engine(f"prepared:path={tmp_path / 'in' / 'c.json'},allow_outside=true,cache=false")
    assert len(engine.search(asked("fvqa_1"), limit=5)) == 1


@pytest.mark.timeout(20)
def test_a_prepared_image_that_is_a_pipe_is_a_failed_search(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    entry = {"tool_returned_web_title": ["x"], "cached_images_path": ["pipe.png"]}
    (tmp_path / "c.json").write_text(json.dumps({"fvqa_1": entry}))
    with pytest.raises(SearchError, match="no regular file"):
        PreparedEngine(path=str(tmp_path / "c.json")).search(asked("fvqa_1"), limit=5)
