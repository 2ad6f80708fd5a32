"""What a hostile server does, a request ends in time, within its size, and in the one documented error."""

import gzip
import ipaddress
import os
import socket
import threading
import time
import zlib

import pytest
from raw_server import RawServer, saying

from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.http import Client, Deadline, Policy, check_url, sockets
from metis_gym.http.addresses import is_public
from metis_gym.http.client import _seconds
from metis_gym.keys import ApiKey

TIMEOUT = 0.5
SLACK = 2.0  # a busy machine; every one of these servers goes on for a minute or for ever
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\n[]"


def client(**settings):
    policy = Policy(**{"timeout": TIMEOUT, "retries": 0, "max_bytes": 100_000, **settings})
    return Client(service="test", policy=policy, sleep=lambda seconds: None)


def failure(url, reason, **settings):
    """The failed request's message, and the seconds that it took."""
    start = time.monotonic()
    with pytest.raises(InfrastructureError, match=reason) as raised:
        client(**settings).fetch("GET", url)
    return str(raised.value), time.monotonic() - start


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


def reply(body, *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


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
    policy = Policy(timeout=5.0, retries=1, longest_wait=3.0)
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


CLOSED = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "172.31.0.1",
    "192.0.0.8",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "64:ff9b:1::7f00:1",
    "2001::7f00:1",
    "2606:4700::5efe:7f00:1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", CLOSED)
def test_places_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8"])
def test_forms_that_hold_an_ipv4_address_are_judged_by_it(inner):
    number = int(ipaddress.IPv4Address(inner))
    forms = [0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80 | 1]
    for form in forms:
        assert is_public(str(ipaddress.IPv6Address(form))) == (inner == "8.8.8.8")


def test_public_places_are_public():
    for address in ("8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::200e"):
        assert is_public(address)


def outsider(**settings):
    policy = Policy(**{"timeout": 5.0, "retries": 0, "redirects": 3, **settings})
    return Client(service="test", policy=policy, public_only=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0", "[::ffff:127.0.0.1]"]
)
def test_addresses_of_replies_do_not_reach_this_machine(host):
    with RawServer(saying(WHOLE)) as server:
        with pytest.raises(InfrastructureError, match=r"not public|no connection"):
            outsider().fetch("GET", f"http://{host}:{server.port}/")
        assert server.accepted == 0


def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch):
    """DNS rebinding: each look-up is judged, and it is the judged address that is connected to."""
    answers = iter([("8.8.8.8",), ("127.0.0.1",)])
    real_connect, connected = socket.socket.connect, []

    def look_up(host, port, *arguments, flags=0, **more):
        if flags:
            raise socket.gaierror("a name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    def connect(self, address):
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(sockets.BoundedSocket, "connect", connect)
    with pytest.raises(InfrastructureError, match="not public"):
        Client(
            service="test", policy=Policy(retries=1, timeout=5.0), public_only=True, sleep=lambda seconds: None
        ).fetch("GET", "http://rebinding.example/")
    assert connected == ["8.8.8.8"]
    assert real_connect is socket.socket.connect


def test_a_redirect_does_not_lead_to_this_machine(monkeypatch):
    """The first host counts as public here; what it redirects to is judged anew."""
    with RawServer(saying(WHOLE)) as inside:
        place = f"http://localhost:{inside.port}/".encode()
        with RawServer(saying(b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\n\r\n")) as outside:
            judged = iter([True, False, False])
            monkeypatch.setattr(sockets, "is_public", lambda address: next(judged))
            monkeypatch.setattr(sockets, "_is_own", lambda connection: False)
            with pytest.raises(InfrastructureError, match="not public"):
                outsider().fetch("GET", outside.url)
        assert inside.accepted == 0


def test_this_machine_s_own_public_address_is_refused(monkeypatch):
    with RawServer(saying(WHOLE)) as server:
        monkeypatch.setattr(sockets, "is_public", lambda address: True)
        with pytest.raises(InfrastructureError, match="not public"):
            outsider().fetch("GET", server.url)
        assert server.requests == []


def test_addresses_of_replies_are_not_asked_through_a_proxy(monkeypatch):
    with RawServer(saying(WHOLE)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(InfrastructureError, match="not public"):
            outsider().fetch("GET", "http://127.0.0.1:9/")
        assert proxy.accepted == 0
        monkeypatch.setenv("no_proxy", "")
        assert client(timeout=5.0).fetch("GET", "http://somewhere.example/a?b=c") == b"[]"
    assert proxy.requests[0].startswith(b"GET http://somewhere.example/a?b=c HTTP/1.1\r\nHost: somewhere.example\r\n")


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


def test_one_deadline_may_bound_several_requests():
    with RawServer(SLOW["silence"]) as server:
        asking, start = client(timeout=60.0, retries=5), time.monotonic()
        deadline = Deadline(TIMEOUT)
        for _ in range(3):
            with pytest.raises(InfrastructureError, match="no answer within"):
                asking.fetch("GET", server.url, deadline=deadline)
    assert time.monotonic() - start < TIMEOUT + SLACK


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_uses_connections_of_its_own():
    with RawServer(saying(WHOLE, close=False)) as server:
        asking = client(timeout=5.0)
        asking.fetch("GET", server.url)
        asking._connections._owner -= 1  # as in a child: the process is another
        asking.fetch("GET", server.url)
        assert server.accepted == 2
