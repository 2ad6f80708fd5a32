"""However slowly a server goes about it, a request ends at its deadline."""

import socket
import threading
import time

import pytest
from bounded_clients import OK, SLACK, TIMEOUT, WHOLE, client, failure
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError
from metis_gym.http import Deadline, sockets


def dripping(data):
    return lambda server, connection, request: server.drip(connection, data)


def forever(data):
    def behave(server, connection, request):
        while not server.is_over.wait(0.01):
            connection.sendall(data)

    return behave


SLOW = {
    "silence": lambda server, connection, request: server.is_over.wait(),
    "status line dripped": dripping(b"HTTP/1.1 200 " + b"O" * 5000),
    "headers dripped": dripping(OK + b"X-A: b\r\n" * 500),
    "one header dripped": dripping(OK + b"X-A: " + b"b" * 5000),
    "endless 100 Continue": forever(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless 103 Early Hints": forever(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "100 Continue with endless headers": dripping(b"HTTP/1.1 100 Continue\r\n" + b"A: b\r\n" * 500),
    "body dripped": dripping(OK + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000),
    "chunks dripped": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000),
    "a chunk's size dripped": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5000),
    "endless trailers": lambda server, connection, request: (
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
        forever(b"X: y\r\n")(server, connection, request),
    ),
    "redirects that drip": dripping(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n" * 500),
}


@pytest.mark.parametrize("what", SLOW)
def test_everything_ends_at_the_deadline(what):
    with RawServer(SLOW[what]) as server:
        message, seconds = failure(server.url, r"no answer within 0\.5 s|headers are too long", redirects=1000)
    assert seconds < TIMEOUT + SLACK, message


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x03\x40\x00" + b"\x02" * 5000])
def test_a_handshake_ends_at_the_deadline(hello):
    """TLS: a server that says nothing, and one that drips the longest record."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            for position in range(len(hello)):
                try:
                    connection.sendall(hello[position : position + 1])
                except OSError:
                    return
                if is_over.wait(0.02):
                    return
            is_over.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        _, seconds = failure(f"https://127.0.0.1:{listener.getsockname()[1]}/", "no answer within")
    finally:
        is_over.set()
        thread.join()
        listener.close()
    assert seconds < TIMEOUT + SLACK


def test_a_name_s_look_up_ends_at_the_deadline(monkeypatch):
    real, is_over = socket.getaddrinfo, threading.Event()

    def slow(host, *arguments, flags=0, **more):
        if flags:
            return real(host, *arguments, flags=flags, **more)
        is_over.wait(60)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    _, seconds = failure("http://slow.example/", "no answer within")
    is_over.set()
    assert seconds < TIMEOUT + SLACK


def test_many_addresses_share_the_deadline(monkeypatch):
    """Each of a name's addresses gets its share, so that one that is silent leaves time for the next."""
    with socket.socket() as full:  # a listener whose queue is full answers no further connection
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with RawServer(saying(WHOLE)) as server:
            silent = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())
            good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
            monkeypatch.setattr(sockets, "_look_up", lambda *_: [silent, good])
            assert client(timeout=2.0).fetch("GET", "http://two.example/") == b"[]"
            monkeypatch.setattr(sockets, "_look_up", lambda *_: [silent] * 1000)
            _, seconds = failure("http://many.example/", "no answer within")
        for filler in fillers:
            filler.close()
    assert seconds < TIMEOUT + SLACK


def test_one_deadline_may_bound_several_requests():
    with RawServer(SLOW["silence"]) as server:
        asking, start = client(timeout=60.0, retries=5), time.monotonic()
        deadline = Deadline(TIMEOUT)
        for _ in range(3):
            with pytest.raises(InfrastructureError, match="no answer within"):
                asking.fetch("GET", server.url, deadline=deadline)
    assert time.monotonic() - start < TIMEOUT + SLACK
