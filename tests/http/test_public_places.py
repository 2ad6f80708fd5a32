"""Addresses that a reply names lead to publicly routed places only."""

import ipaddress
import socket

import pytest
from bounded_clients import WHOLE, client, outsider
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError
from metis_gym.http import Client, Policy, sockets
from metis_gym.http.addresses import is_public

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
        monkeypatch.setenv("all_proxy", proxy.url)
        with pytest.raises(InfrastructureError, match="not public"):
            outsider().fetch("GET", "http://127.0.0.1:9/")
        assert proxy.accepted == 0
        monkeypatch.setenv("no_proxy", "")
        assert client(timeout=5.0).fetch("GET", "http://somewhere.example/a?b=c") == b"[]"
    assert proxy.requests[0].startswith(b"GET http://somewhere.example/a?b=c HTTP/1.1\r\nHost: somewhere.example\r\n")


def test_a_public_proxy_is_not_asked_either(monkeypatch):
    monkeypatch.setattr(sockets, "is_public", lambda address: True)
    monkeypatch.setattr(sockets, "_is_own", lambda connection: False)
    with RawServer(saying(WHOLE)) as proxy, RawServer(saying(WHOLE)) as server:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert outsider().fetch("GET", server.url) == b"[]"
        assert proxy.accepted == 0 and len(server.requests) == 1
