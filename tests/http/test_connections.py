"""Redirects, and connections that are kept."""

import copy
import os
import pickle
import threading
import warnings

import pytest
from bounded_clients import WHOLE, client
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError
from metis_gym.http import Client, Policy, connections


def test_redirects_are_bounded_keep_to_the_web_and_carry_nothing_elsewhere():
    key = {"X-API-KEY": "k-123", "Cookie": "c"}
    with RawServer(saying(WHOLE)) as other:
        place = other.url.encode()

        def behave(server, connection, request):
            path = request.split(b" ")[1]
            to = {b"/": b"/second", b"/second": place, b"/loop": b"/loop", b"/file": b"file:///etc/passwd"}[path]
            connection.sendall(b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\nLocation: " + to + b"\r\n\r\n")

        with RawServer(behave) as server:
            asking = client(redirects=3, timeout=5.0)
            assert asking.fetch("GET", server.url, headers=key) == b"[]"
            assert b"k-123" in server.requests[1] and b"k-123" not in other.requests[0]
            assert b"ookie" not in other.requests[0]
            for path, reason in (("loop", "redirects more than 3"), ("file", "must begin with http")):
                with pytest.raises(InfrastructureError, match=reason):
                    asking.fetch("GET", server.url + path)
            with pytest.raises(InfrastructureError, match="HTTP 307"):
                asking.fetch("POST", server.url, json={"a": 1})


def test_connections_are_used_again_and_replaced_when_the_server_closed_them():
    with RawServer(saying(WHOLE, close=False)) as server:
        asking = client(timeout=5.0)
        for _ in range(5):
            assert asking.fetch("GET", server.url) == b"[]"
        assert server.accepted == 1
    closing = threading.Event()

    def behave(server, connection, request):
        connection.sendall(WHOLE)
        return "close" if len(server.requests) == 1 else None

    with RawServer(behave) as server:
        asking = client(timeout=5.0)
        for _ in range(3):
            assert asking.fetch("GET", server.url) == b"[]"
        assert server.accepted == 2
    assert not closing.is_set()


def test_what_came_unasked_for_answers_nothing():
    """A second answer sent with the first does not become the answer to the next question."""
    with RawServer(saying(WHOLE + WHOLE.replace(b"[]", b"{}"), close=False)) as server:
        asking = client(timeout=5.0)
        assert [asking.fetch("GET", server.url) for _ in range(3)] == [b"[]"] * 3


def test_connections_that_were_idle_for_long_are_not_used_again(monkeypatch):
    """Routers forget them in silence, so that a request would wait for its whole time-out."""
    with RawServer(saying(WHOLE, close=False)) as server:
        asking = client(timeout=5.0)
        asking.fetch("GET", server.url)
        monkeypatch.setattr(connections, "_MAX_IDLE_SECONDS", 0.0)
        asking.fetch("GET", server.url)
        assert server.accepted == 2


def test_a_copy_has_connections_of_its_own():
    with RawServer(saying(WHOLE, close=False)) as server:
        asking = Client(service="test", policy=Policy(timeout=5.0))
        asking.fetch("GET", server.url)
        for copied in (pickle.loads(pickle.dumps(asking)), copy.deepcopy(asking)):
            assert copied == asking and copied.fetch("GET", server.url) == b"[]"
        assert server.accepted == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_uses_connections_of_its_own():
    with RawServer(saying(WHOLE, close=False)) as server:
        asking = client(timeout=5.0)
        asking.fetch("GET", server.url)
        asking._connections._owner -= 1  # as in a child: the process is another
        asking.fetch("GET", server.url)
        assert server.accepted == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_and_its_parent_do_not_read_each_other_s_answers():
    with RawServer(saying(WHOLE, close=False)) as server:
        asking = client(timeout=5.0)
        asking.fetch("GET", server.url)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are other threads: those of the server
            child = os.fork()
        if child == 0:
            os._exit(0 if asking.fetch("GET", server.url) == b"[]" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert asking.fetch("GET", server.url) == b"[]"
        assert server.accepted == 2
