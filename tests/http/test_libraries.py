"""What requests and urllib3 would do besides, unasked: credentials, cookies, logs, bodies that nobody reads."""

import contextlib
import gzip
import logging
import threading
import time
import tracemalloc

import pytest
from bounded_clients import OK, WHOLE, client, failure
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError


def test_credentials_of_netrc_are_not_sent(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\ndefault login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with RawServer(saying(WHOLE)) as server:
        client(timeout=5.0).fetch("GET", server.url)
    assert b"uthorization" not in server.requests[0]


def test_cookies_are_not_kept():
    answer = WHOLE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
    with RawServer(saying(answer, close=False)) as server:
        asking = client(timeout=5.0)
        for _ in range(2):
            asking.fetch("GET", server.url)
    assert len(server.requests) == 2 and b"ookie" not in server.requests[1]


@pytest.mark.parametrize(
    "line",
    [
        b"Set-Cookie: " + b"a=b;" * 15_000,
        b"Set-Cookie: a=b; Expires=" + b"1" * 60_000,
        b"Set-Cookie: a=b; Expires=1" + b" " * 60_000 + b"!",
        b"Set-Cookie: a=b; Expires=Mon, 01-Jan-" + b"9" * 60_000,
        b"\r\n".join([b"Set-Cookie: a=b"] * 90),
        b"X: " + b" \t" * 30_000 + b"\r\n y",
        b"Content-Type: text/html" + b";charset=" * 6_000,
        b"Content-Encoding: " + b"," * 60_000,
    ],
)
def test_headers_that_take_long_to_read_are_not_read_for_long(line):
    with RawServer(saying(OK + line + b"\r\nContent-Length: 2\r\n\r\n[]")) as server:
        start = time.process_time()
        with contextlib.suppress(InfrastructureError):
            client(timeout=20.0).fetch("GET", server.url)
    assert time.process_time() - start < 1.0


def test_addresses_are_not_logged(caplog):
    """They may hold a key. urllib3 logs them at DEBUG, and at WARNING if a header is odd."""
    caplog.set_level(logging.DEBUG)
    odd = OK + b"no colon here\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
    with RawServer(saying(odd)) as server:
        client(timeout=5.0).fetch("GET", f"{server.url}?api_key=secret")
    assert "secret" not in caplog.text
    logging.getLogger("urllib3.connectionpool").debug("somebody else's")
    assert "somebody else's" in caplog.text


@pytest.mark.parametrize("status", [b"302 Found", b"404 Not Found", b"503 Busy"])
def test_bodies_that_nobody_asked_for_are_not_unpacked(status):
    bomb = gzip.compress(b"x" * 100_000_000)
    head = b"HTTP/1.1 %s\r\nLocation: /\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (status, len(bomb))
    with RawServer(saying(head + bomb)) as server:
        tracemalloc.start()
        failure(server.url, "redirects more than|HTTP 404|HTTP 503", timeout=20.0, redirects=2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3_000_000


def test_a_kept_connection_that_the_server_closes_on_the_next_request_is_replaced():
    """The server lets go while the request is under way, which no look at the connection could have told."""
    answered = set()

    def behave(server, connection, request):
        if connection in answered:
            return "close"
        answered.add(connection)
        connection.sendall(WHOLE)
        return None

    with RawServer(behave) as server:
        asking = client(timeout=5.0)
        for number in range(4):
            assert asking.json("POST", server.url, json={"number": number}) == []
        assert server.accepted == 4 and len(server.requests) == 7


def test_a_new_connection_that_the_server_closes_is_not_asked_twice():
    with RawServer(lambda *_: "close") as server:
        failure(server.url, "no connection", timeout=5.0)
        assert len(server.requests) == 1


def test_threads_share_a_client_and_not_their_deadlines():
    def behave(server, connection, request):
        if request.startswith(b"GET /slow"):
            server.is_over.wait()
        connection.sendall(WHOLE)

    with RawServer(behave) as server:
        asking, failures, answers = client(timeout=3.0), [], []

        def ask_slowly():
            with pytest.raises(InfrastructureError, match="no answer within 3 s") as raised:
                asking.fetch("GET", server.url + "slow")
            failures.append(raised)

        def ask_often():
            for _ in range(40):
                answers.append(asking.fetch("GET", server.url))

        threads = [threading.Thread(target=target) for target in [ask_slowly, *[ask_often] * 6]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [b"[]"] * 240 and len(failures) == 1
    assert server.accepted <= 7
