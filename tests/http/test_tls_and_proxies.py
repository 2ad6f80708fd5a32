"""Encrypted connections and proxies: what works goes on working under the deadline."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError
from metis_gym.http import Client, Policy, sockets

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


def client(timeout=10.0):
    return Client(service="test", policy=Policy(timeout=timeout, retries=0))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not there")
    folder = tmp_path_factory.mktemp("tls")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem -addext".split()
    subprocess.run([openssl, *made, names], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


class SecureServer(RawServer):
    """A server that speaks TLS."""

    def __init__(self, behave, certificate):
        super().__init__(behave)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)

    def _serve(self, connection):
        connection.settimeout(5)
        try:
            encrypted = self.context.wrap_socket(connection, server_side=True)
        except OSError:
            return
        super()._serve(encrypted)


@pytest.fixture
def secure(certificate):
    """A server that speaks TLS; connections are kept."""
    with SecureServer(saying(WHOLE, close=False), certificate) as server:
        yield server


@pytest.fixture(autouse=True)
def no_exceptions_for_proxies(monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


def test_a_certificate_is_checked(secure):
    with pytest.raises(InfrastructureError, match="certificate is not valid"):
        client().fetch("GET", f"https://localhost:{secure.port}/")
    assert secure.requests == []


def test_encrypted_connections_are_kept(secure, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    asking = client()
    for host in ("localhost", "localhost", "127.0.0.1"):
        assert asking.json("POST", f"https://{host}:{secure.port}/a", json={"q": "x" * 300_000}) == []
    assert secure.accepted == 2


def test_a_name_that_the_certificate_lacks_is_refused(secure, certificate, monkeypatch):
    there = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", secure.port))
    monkeypatch.setattr(sockets, "_look_up", lambda *_: [there])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with pytest.raises(InfrastructureError, match="certificate is not valid"):
        client().fetch("GET", f"https://other.example:{secure.port}/")


def relaying(secure):
    """A proxy that connects to the one server, whatever it is asked for."""

    def behave(server, connection, request):
        with socket.create_connection(("127.0.0.1", secure.port)) as there:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")

            def pump(source, target):
                with contextlib.suppress(OSError):  # one of them is gone
                    while part := source.recv(65536):
                        target.sendall(part)

            back = threading.Thread(target=pump, args=(there, connection))
            back.start()
            pump(connection, there)
            with contextlib.suppress(OSError):
                there.shutdown(socket.SHUT_RDWR)
            back.join()
        return "close"

    return behave


def test_a_tunnel_through_a_proxy(secure, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with RawServer(relaying(secure)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        asking = client()
        assert asking.fetch("GET", "https://localhost:9/a", headers={"X-API-KEY": "k"}) == b"[]"
        asking._connections.__init__()  # lets the tunnel end
        assert proxy.requests[0].startswith(b"CONNECT localhost:9 HTTP/1.")
        assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.requests[0]
        assert b"X-API-KEY" not in proxy.requests[0] and b"X-API-KEY: k" in secure.requests[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_or_cannot_be_spoken_to(monkeypatch, scheme):
    with RawServer(saying(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        with pytest.raises(InfrastructureError, match=r"HTTP 407|ProxyError"):
            client().fetch("GET", f"{scheme}://somewhere.example/")
    monkeypatch.setenv(f"{scheme}_proxy", "https://127.0.0.1:1")
    with pytest.raises(InfrastructureError, match="no connection"):
        client().fetch("GET", f"{scheme}://somewhere.example/")
    for address in ("ftp://127.0.0.1:1", "http://[", "http://a:b", "socks9://127.0.0.1:1"):
        monkeypatch.setenv(f"{scheme}_proxy", address)
        with pytest.raises(InfrastructureError, match="names a proxy"):
            client().fetch("GET", f"{scheme}://somewhere.example/")


def test_a_proxy_that_speaks_tls(secure, certificate, monkeypatch):
    """Plain requests are forwarded; for encrypted ones there is TLS inside TLS."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with SecureServer(saying(WHOLE), certificate) as proxy:
        monkeypatch.setenv("http_proxy", f"https://localhost:{proxy.port}")
        assert client().fetch("GET", "http://somewhere.example/a") == b"[]"
        assert proxy.requests[0].startswith(b"GET http://somewhere.example/a HTTP/1.1\r\n")
    with SecureServer(relaying(secure), certificate) as proxy:
        monkeypatch.setenv("https_proxy", f"https://localhost:{proxy.port}")
        asking = client()
        for _ in range(2):
            assert asking.json("POST", "https://127.0.0.1:9/a", json={"q": "x" * 300_000}) == []
        asking._connections.__init__()  # lets the tunnel end
        assert proxy.accepted == 1 and len(secure.requests) == 2


@pytest.mark.parametrize("is_inner", [True, False])
def test_tls_inside_tls_ends_at_the_deadline(certificate, monkeypatch, is_inner):
    """The proxy's answer is dripped, or the first record that comes through the tunnel is."""
    hello = b"HTTP/1.1 200 OK\r\n\r\n" if is_inner else b""
    dripped = b"\x16\x03\x03\x40\x00" + b"\x02" * 5000 if is_inner else b"HTTP/1.1 200 O" + b"K" * 5000

    def behave(server, connection, request):
        connection.sendall(hello)
        server.drip(connection, dripped)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with SecureServer(behave, certificate) as proxy:
        monkeypatch.setenv("https_proxy", f"https://localhost:{proxy.port}")
        start = time.monotonic()
        with pytest.raises(InfrastructureError, match=r"no answer within 0\.5 s"):
            client(timeout=0.5).fetch("GET", "https://127.0.0.1:9/a")
        assert time.monotonic() - start < 2.5


@pytest.mark.parametrize("entry", ["127.0.0.0/8", "127.0.0.1", "*", "localhost, 127.0.0.0/16"])
def test_hosts_that_are_asked_without_the_proxy(monkeypatch, entry):
    """Ranges of addresses, too."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with RawServer(saying(WHOLE)) as server:
        monkeypatch.setenv("no_proxy", entry)
        assert client().fetch("GET", server.url) == b"[]"
        monkeypatch.setenv("no_proxy", "10.0.0.0/8")
        with pytest.raises(InfrastructureError, match="no connection"):
            client().fetch("GET", server.url)


class SocksServer(RawServer):
    """SOCKS 5; whatever host is asked for, it answers itself, by TLS if there is a context."""

    def __init__(self, behave, context=None, drip=b""):
        super().__init__(behave)
        self.context, self.dripped, self.asked = context, drip, []

    def _serve(self, connection):
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            connection.recv(3)
            connection.sendall(b"\x05\x00")
            self.asked.append(connection.recv(300))
            if self.dripped:
                self.drip(connection, self.dripped)
            connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            super()._serve(self.context.wrap_socket(connection, server_side=True) if self.context else connection)
        connection.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_socks_proxy(secure, certificate, monkeypatch, scheme):
    pytest.importorskip("socks", reason="PySocks, which speaks SOCKS, is not there")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with SocksServer(saying(WHOLE, close=False), secure.context if scheme == "https" else None) as proxy:
        monkeypatch.setenv("all_proxy", f"socks5h://127.0.0.1:{proxy.port}")
        asking = client()
        for _ in range(2):
            assert asking.fetch("GET", f"{scheme}://localhost:9/a") == b"[]"
        assert proxy.asked == [b"\x05\x01\x00\x03\x09localhost\x00\x09"]
        assert proxy.requests[0].startswith(b"GET /a HTTP/1.1\r\nHost: localhost:9\r\n")


def test_a_slow_socks_proxy_ends_at_the_deadline(monkeypatch):
    pytest.importorskip("socks", reason="PySocks, which speaks SOCKS, is not there")
    with SocksServer(saying(WHOLE), drip=b"\x05\x00\x00\x03\xff" + b"a" * 257) as proxy:
        monkeypatch.setenv("all_proxy", f"socks5h://127.0.0.1:{proxy.port}")
        start = time.monotonic()
        with pytest.raises(InfrastructureError, match=r"no answer within 0\.5 s"):
            client(timeout=0.5).fetch("GET", "http://localhost:9/a")
        assert time.monotonic() - start < 2.5
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1")
    with pytest.raises(InfrastructureError, match=r"no connection \(ProxyError\)"):
        client().fetch("GET", "http://localhost:9/a")


def test_without_pysocks_the_error_says_what_is_missing(monkeypatch):
    def missing(*arguments, **options):
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    monkeypatch.setenv("all_proxy", "socks5://user:secret@127.0.0.1:1")
    with pytest.raises(InfrastructureError, match=r"names a proxy.*need the package PySocks") as raised:
        client().fetch("GET", "http://localhost:9/a")
    assert "secret" not in str(raised.value)
