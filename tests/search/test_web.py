"""Requests to services, against a real server: what comes back, what is tried again, what is never said."""

import gzip
import json
import logging
import socket
import time
from email.utils import formatdate

import pytest
from scripted_server import Reply

from metis_gym.errors import ConfigError, InfrastructureError, SearchError
from metis_gym.keys import ApiKey
from metis_gym.search.services.web import Client, Policy, check_url

SECRET = "s3cret/key+with&signs"


class Pauses(list):
    """Stands in for waiting, and remembers."""

    def __call__(self, seconds):
        self.append(seconds)


@pytest.fixture
def pauses():
    return Pauses()


def client(pauses, **policy):
    return Client(service="test", policy=Policy(**policy), key=ApiKey("test", value=SECRET, env=None), sleep=pauses)


def test_json_comes_back(server, pauses):
    server.script(Reply({"a": [1, "é"]}))
    assert client(pauses).json("POST", server.url, json={"q": "x"}, headers={"X-Key": "1"}) == {"a": [1, "é"]}
    assert server.requests[0].body == {"q": "x"} and server.requests[0].headers["X-Key"] == "1"


def test_chunked_and_compressed_answers(server, pauses):
    value = list(range(5000))
    server.script(Reply(value, chunked=True))
    assert client(pauses).json("GET", server.url) == value
    server.script(Reply(gzip.compress(json.dumps(value).encode()), headers={"Content-Encoding": "gzip"}, chunked=True))
    assert client(pauses).json("GET", server.url) == value


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusals_are_reasons_and_are_not_tried_again(server, pauses, status):
    server.script(Reply({"message": "Unauthorized."}, status=status))
    with pytest.raises(SearchError, match=rf"^test: HTTP {status} \w+[\w ]*$"):
        client(pauses).json("GET", server.url)
    assert len(server.requests) == 1 and pauses == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(server, pauses, status):
    server.script(Reply(status=status), Reply(status=status), Reply([1]))
    assert client(pauses, retries=2, first_wait=0.5).json("GET", server.url) == [1]
    assert pauses == [0.5, 1.0]


def test_attempts_are_bounded(server, pauses):
    server.script(Reply(b"quota used up", status=429))
    with pytest.raises(SearchError, match=r"HTTP 429 Too Many Requests \(3 of 3 attempts\)"):
        client(pauses, retries=2).json("GET", server.url)
    assert len(server.requests) == 3


def test_retry_after_is_respected(server, pauses):
    server.script(Reply(status=429, headers={"Retry-After": "7"}), Reply([1]))
    client(pauses).json("GET", server.url)
    assert pauses == [7.0]


def test_retry_after_may_be_a_date(server, pauses):
    server.script(Reply(status=503, headers={"Retry-After": formatdate(time.time() + 20, usegmt=True)}), Reply([1]))
    client(pauses).json("GET", server.url)
    assert 0 < pauses[0] <= 20
    server.script(Reply(status=503, headers={"Retry-After": formatdate(0, usegmt=True)}), Reply([1]))
    client(pauses).json("GET", server.url)
    assert pauses[1] == 0.0, "a date in the past"


def test_too_long_a_pause_is_a_reason(server, pauses):
    server.script(Reply(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(SearchError, match="asks for a pause of 3600 s"):
        client(pauses, max_wait=30).json("GET", server.url)
    assert len(server.requests) == 1 and pauses == []


@pytest.mark.parametrize("body", [b"", b"{", b"<html>busy</html>", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_a_reason(server, pauses, body):
    server.script(Reply(body))
    with pytest.raises(SearchError, match="the answer is not JSON"):
        client(pauses).json("GET", server.url)


def test_huge_answers_are_not_read(server, pauses):
    server.script(Reply(b"x" * 300_000))
    with pytest.raises(SearchError, match="longer than 100,000 bytes"):
        client(pauses, max_bytes=100_000).json("GET", server.url)


def test_small_files_that_unpack_to_huge_ones_are_not_read(server, pauses):
    server.script(Reply(gzip.compress(b"x" * 50_000_000), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(SearchError, match="longer than 100,000 bytes"):
        client(pauses, max_bytes=100_000).json("GET", server.url)


def test_silence_is_a_time_out(server, pauses):
    server.script(Reply([1], is_silent=True))
    with pytest.raises(SearchError, match=r"no answer within 0\.1 s \(2 of 2 attempts\)"):
        client(pauses, timeout=0.1, retries=1).json("GET", server.url)


def test_an_answer_that_drips_is_a_time_out(server, pauses):
    server.script(Reply(b"[" + b"1," * 1000 + b"1]", drips=200))
    with pytest.raises(SearchError, match=r"no answer within 0\.3 s"):
        client(pauses, timeout=0.3, retries=0).json("GET", server.url)


def test_an_answer_that_is_cut_off_is_tried_again(server, pauses):
    server.script(Reply([1, 2, 3], cut_after=3), Reply([1]))
    assert client(pauses).json("GET", server.url) == [1]


def test_no_server_is_a_reason(pauses):
    with socket.socket() as held:  # bound but not listening: nobody answers here
        held.bind(("127.0.0.1", 0))
        with pytest.raises(SearchError, match=r"no connection \(.*refused"):
            client(pauses, retries=0).json("GET", f"http://127.0.0.1:{held.getsockname()[1]}")


def test_redirects_are_not_followed(server, pauses):
    server.script(Reply(status=302, headers={"Location": "http://elsewhere.example/"}))
    with pytest.raises(SearchError, match="HTTP 302"):
        client(pauses).json("GET", server.url, headers={"X-API-KEY": SECRET})
    assert len(server.requests) == 1


def test_failures_are_infrastructure():
    assert issubclass(SearchError, InfrastructureError)


def test_a_netrc_file_does_not_replace_the_key(server, pauses, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.script(Reply([1]))
    client(pauses).json("GET", server.url, headers={"Authorization": "Bearer mine"})
    assert server.requests[0].headers["Authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"error": f"Invalid API key {SECRET}"}, status=401),
        Reply(status=302, headers={"Location": f"http://{SECRET}/"}),
        Reply(f"<{SECRET}>".encode()),
        Reply(status=500),
        Reply([1], is_silent=True),
        Reply(b"x" * 99, cut_after=3),
    ],
)
def test_the_key_is_in_no_message_and_no_log(server, pauses, caplog, reply):
    caplog.set_level(logging.DEBUG)
    server.script(reply)
    asking = client(pauses, timeout=0.5 if reply.is_silent else 20.0, retries=1)
    with pytest.raises(SearchError) as raised:
        asking.json("GET", server.url, params={"api_key": SECRET, "q": "x"})
    assert server.requests[0].query["api_key"] == SECRET, "the service got it"
    error, said = raised.value, []
    while error is not None:
        said.append(f"{error} {error!r}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for text in (*said, caplog.text, repr(asking)):
        assert SECRET not in text and "s3cret%2Fkey" not in text


def test_keys_are_explicit(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "abc")
    assert ApiKey("serper", value=None, env="SOME_KEY").reveal() == "abc"
    with pytest.raises(ConfigError, match="'OTHER_KEY', named by api_key_env, is not set"):
        ApiKey("serper", value=None, env="OTHER_KEY")
    for value, env in ((None, None), ("abc", "SOME_KEY")):
        with pytest.raises(ConfigError, match="serper needs its key as api_key_env"):
            ApiKey("serper", value=value, env=env)


@pytest.mark.parametrize("policy", [{"timeout": 0}, {"retries": -1}, {"max_bytes": -1}, {"max_wait": -0.5}])
def test_impossible_policies_are_refused(policy):
    with pytest.raises(ConfigError, match="timeout must be positive"):
        Policy(**policy)


@pytest.mark.parametrize("url", ["ftp://a.example", "google.serper.dev/search", "http://", "file:///etc/passwd", 5])
def test_addresses_are_of_the_web(url):
    with pytest.raises(ConfigError, match="must begin with http"):
        check_url("serper", url)
