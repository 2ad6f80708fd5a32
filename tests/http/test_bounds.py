"""What a hostile server sends, a request stays within its size, and ends in the one documented error."""

import gc
import gzip
import os
import socket
import zlib

import pytest
from bounded_clients import OK, WHOLE, client, failure, reply
from raw_server import RawServer, saying

from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.http import Client, Policy, check_url
from metis_gym.http.client import _seconds
from metis_gym.keys import ApiKey


@pytest.mark.parametrize(
    "head",
    [
        OK + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 60_000) for n in range(50)),
        OK + b"X: y\r\n" * 5000,
        OK + b"X: " + b"y" * 3_000_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"O" * 3_000_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
    ],
)
def test_headers_are_bounded(head):
    with RawServer(saying(head + b"\r\n[]")) as server:
        _, seconds = failure(server.url, "headers are too long|no valid HTTP", timeout=20.0)
    assert seconds < 10


def stacked(times):
    data = b"x" * 10_000_000
    for _ in range(times):
        data = gzip.compress(data)
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (reply(stacked(1), b"Content-Encoding: gzip"), "longer than 100,000 bytes"),
        (reply(stacked(2), b"Content-Encoding: gzip, gzip"), "no valid HTTP"),
        (reply(stacked(2), b"Content-Encoding: gzip", b"Content-Encoding: gzip"), "no valid HTTP"),
        (reply(zlib.compress(b"x"), b"Content-Encoding: deflate"), "no valid HTTP"),
        (reply(b"x", b"Content-Encoding: br"), "no valid HTTP"),
        (reply(b"x", b"Content-Encoding: zstd"), "no valid HTTP"),
        (reply(b"not gzip", b"Content-Encoding: gzip"), "no valid HTTP"),
        (reply(gzip.compress(b"x") * 3, b"Content-Encoding: gzip"), "no valid HTTP"),
        (reply(gzip.compress(os.urandom(99))[:-9], b"Content-Encoding: gzip"), "cut off"),
        (reply(b"x" * 100_001), "longer than 100,000 bytes"),
        (OK + b"\r\n" + b"x" * 200_000, "longer than 100,000 bytes"),
    ],
)
def test_bodies_are_bounded_as_they_unpack(data, reason):
    with RawServer(saying(data)) as server:
        failure(server.url, reason, timeout=20.0)


def test_no_more_than_the_bound_is_ever_unpacked(monkeypatch):
    import tracemalloc

    with RawServer(saying(reply(gzip.compress(b"x" * 200_000_000), b"Content-Encoding: gzip"))) as server:
        tracemalloc.start()
        failure(server.url, "longer than", timeout=60.0, max_bytes=100_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"220 smtp.example ESMTP secret-of-the-server\r\n",
        b"HTTP/9.9 200 secret-of-the-server\r\n\r\n",
        b"HTTP/1.1 secret-of-the-server\r\n\r\n",
        b"HTTP/1.1 99999 secret-of-the-server\r\n\r\n",
        b"HTTP/1.1 -1 secret-of-the-server\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nsecret-of-the-server",
        b"HTTP/1.1 404 secret-of-the-server\r\n\r\nsecret-of-the-server",
        b"HTTP/1.1 500 secret-of-the-server\r\n\r\nsecret-of-the-server",
        b"HTTP/1.1 302 Found\r\nLocation: http://secret-of-the-server/\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\nsecret-of-the-server",
        OK + b"Content-Length: 0x10\r\n\r\nsecret-of-the-server",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nsecret-of-the-server",
        OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nsecret-of-the-server",
        OK + b"Content-Length: 500\r\n\r\nsecret-of-the-server",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\nsecret-of-the-server",
        OK + b"Transfer-Encoding: secret-of-the-server\r\n\r\nsecret-of-the-server",
        OK + b"Transfer-Encoding: chunked\r\n\r\nsecret-of-the-server\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nsecret-of-the-server\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\nsecret-of-the-server\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nsecre",
        OK + b"Content-Encoding: secret-of-the-server\r\n\r\nx",
    ],
)
def test_odd_answers_are_our_error_and_are_not_quoted(data):
    with RawServer(saying(data)) as server:
        message, _ = failure(server.url, "test: ", timeout=5.0)
    assert "secret-of" not in message and "\x00" not in message


HOSTS = [
    "a" * 300,
    "a" * 100 + ".example",
    ".",
    "..",
    "a..b",
    "-",
    "\udfff",
    "\x00",
    "é" * 60,
    "[::1",
    "[zz]",
    "1.2.3.999",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_odd_hosts_are_our_error(host, scheme, monkeypatch):
    def nobody(*arguments, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    failure(f"{scheme}://{host}/", "test: ")


@pytest.mark.parametrize(
    "url", ["http://a:b/", "http://a:99999/", "http://a:-1/", "http://", "ftp://a/", "http://a/" + "x" * 70_000]
)
def test_odd_addresses_are_our_error(url):
    failure(url, "test: the request failed")
    with pytest.raises(ConfigError, match="must begin with http"):
        check_url("test", url)


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 9999 00:00:00 -9999",
        "Mon, 01 Jan 0000 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "9" * 400,
        "1" + "0" * 400,
        "-5",
        "NaN",
        "inf",
        "1e999",
        "٣",
        "\x00",
        "",
        ",",
        "Mon",
        "0",
    ],
)
def test_any_retry_after_is_bounded(value):
    seconds = _seconds(value)
    assert seconds is None or 0 <= seconds < 1e12
    pauses = []
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: " + value.encode() + b"\r\n\r\n"
    policy = Policy(timeout=5.0, retries=1, max_wait=3.0)
    asking = Client(service="test", policy=policy, sleep=pauses.append)
    with RawServer(saying(head)) as server, pytest.raises(InfrastructureError, match="HTTP 503 Service Unavailable"):
        asking.fetch("GET", server.url)
    assert all(0 <= pause <= 3.0 for pause in pauses)


@pytest.mark.parametrize("body", [b"[NaN]", b"[Infinity]", b"[" * 200_000, b"1" * 5000, b"[1," * 90_000, b"\xff", b""])
def test_what_is_no_json_is_our_error(body):
    with RawServer(saying(reply(body))) as server, pytest.raises(InfrastructureError, match="answer"):
        client(max_bytes=1_000_000, timeout=20.0).json("GET", server.url)


def test_many_values_are_our_error():
    body = b"[" + b"{}," * 400_000 + b"{}]"
    with RawServer(saying(reply(body))) as server, pytest.raises(InfrastructureError, match="more than 500,000 values"):
        client(max_bytes=8 << 20, timeout=20.0).json("GET", server.url)


@pytest.mark.parametrize("header", ["a\r\nX-Injected: 1", "é\u4e00"])
def test_headers_that_cannot_be_sent_are_our_error_and_are_not_quoted(header):
    with RawServer(saying(WHOLE)) as server, pytest.raises(InfrastructureError) as raised:
        client(timeout=5.0).fetch("GET", server.url, headers={"X": header})
    assert "Injected" not in str(raised.value)


@pytest.mark.parametrize("value", ["", " ", "a\nb", "é", "a\x00"])
def test_keys_are_one_line(value):
    with pytest.raises(ConfigError, match=r"one line of printable ASCII|neither was"):
        ApiKey("test", value=value, env=None)


@pytest.mark.parametrize("values", [{"timeout": float("nan")}, {"timeout": "5"}, {"timeout": 1e9}, {"retries": None}])
def test_policies_are_numbers(values):
    with pytest.raises(ConfigError, match="timeout must be positive"):
        Policy(**values)


FAILURES = {
    "cut off": OK + b"Content-Length: 20\r\n\r\n[]",
    "cut off in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n[]",
    "no chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n[]",
    "closed": b"",
    "refusal": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "long headers": OK + b"X: " + b"y" * 200_000,
    "long body": OK + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000,
    "other encoding": reply(b"[]", b"Content-Encoding: br"),
    "damaged": reply(b"nogzip", b"Content-Encoding: gzip"),
    "late": None,
}


@pytest.mark.parametrize("said", FAILURES.values(), ids=FAILURES)
def test_a_failed_request_leaves_nothing_to_the_garbage_collector(said):
    """A socket that waits for it stays open, or is closed in the middle of something else."""

    def behave(server, connection, request):
        connection.sendall(OK if said is None else said)
        if said is None:
            server.is_over.wait()
        return "close"

    with RawServer(behave) as server:
        asking = client(timeout=0.2 if said is None else 5.0, retries=1)
        with pytest.raises(InfrastructureError):
            asking.fetch("GET", server.url)  # imports what it needs
        gc.collect()
        gc.disable()
        try:
            message = ""
            try:
                asking.fetch("GET", server.url)
            except InfrastructureError as error:
                message = str(error)
            assert message
            assert gc.collect() == 0
        finally:
            gc.enable()
