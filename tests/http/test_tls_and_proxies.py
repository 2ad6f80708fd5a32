"""Encrypted connections and proxies: what works goes on working under the deadline."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError
from metis_gym.http import Client, Policy, sockets

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


def client():
    return Client(service="test", policy=Policy(timeout=10.0, retries=0))


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


@pytest.fixture
def secure(certificate):
    """A server that speaks TLS; connections are kept."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    class SecureServer(RawServer):
        def _serve(self, connection):
            connection.settimeout(5)
            try:
                encrypted = context.wrap_socket(connection, server_side=True)
            except OSError:
                return
            super()._serve(encrypted)

    with SecureServer(saying(WHOLE, close=False)) as server:
        yield server


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
                while part := source.recv(65536):
                    target.sendall(part)

            back = threading.Thread(target=pump, args=(there, connection))
            back.start()
            pump(connection, there)
            there.shutdown(socket.SHUT_RDWR)
            back.join()
        return "close"

    return behave


def test_a_tunnel_through_a_proxy(secure, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with RawServer(relaying(secure)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        asking = client()
        assert asking.fetch("GET", "https://localhost:9/a", headers={"X-API-KEY": "k"}) == b"[]"
        asking._connections.__init__()  # lets the tunnel end
        assert proxy.requests[0].startswith(b"CONNECT localhost:9 HTTP/1.")
        assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.requests[0]
        assert b"X-API-KEY" not in proxy.requests[0] and b"X-API-KEY: k" in secure.requests[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_or_cannot_be_spoken_to(monkeypatch, scheme):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with RawServer(saying(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        with pytest.raises(InfrastructureError, match=r"HTTP 407|ProxyError"):
            client().fetch("GET", f"{scheme}://somewhere.example/")
    for address in ("ftp://127.0.0.1:1", "http://[", "http://a:b", "socks9://127.0.0.1:1"):
        monkeypatch.setenv(f"{scheme}_proxy", address)
        with pytest.raises(InfrastructureError, match="names a proxy"):
            client().fetch("GET", f"{scheme}://somewhere.example/")
