"""Requests by way of requests and urllib3, over bounded connections.

requests prepares a request and chooses the proxy; urllib3 keeps the connections and speaks HTTP.

requests' `Session` is not used: it reads `.netrc`, keeps cookies, and reads a redirect's body without a bound.
"""

import contextlib
import functools
import http.client
import logging
import math
import os
import ssl
import threading
from collections.abc import Iterator
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from metis_gym.http.addresses import InvalidUrlError
from metis_gym.http.connections import CarriedError, PlainConnection, TlsConnection
from metis_gym.http.request import Request
from metis_gym.http.sockets import Limits, TlsSocket, is_limited

__all__ = ["Transport"]

_MAX_HEADER_BYTES = 131_072  # of all headers together, of 1xx answers too; the buffer of the reader included
_MAX_IDLE = 8
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Transport:
    """Sends requests, and keeps connections. Safe for threads."""

    def __init__(self) -> None:
        self._adapter = _Adapter(pool_maxsize=_MAX_IDLE)

    @contextlib.contextmanager
    def exchange(self, request: Request, limits: Limits) -> Iterator[urllib3.HTTPResponse]:
        """Send a request; gives the answer with its headers read.

        Raises:
            OSError: There is no connection.
            http.client.HTTPException: The answer is no HTTP.
            InvalidUrlError: The request or its proxy is not what can be sent, or asked.
        """
        try:
            answer = self._send(request, limits)
            try:
                yield answer
            finally:
                if answer.closed:  # it was read to its end
                    answer.release_conn()
                else:
                    answer.close()
        except CarriedError as carried:
            raise carried.take() from None
        except urllib3.exceptions.HTTPError:
            raise http.client.HTTPException from None

    def _send(self, request: Request, limits: Limits) -> urllib3.HTTPResponse:
        """Ask; once more for each kept connection that the server closed just now."""
        prepared = _prepared(request)
        proxies = {} if limits.public_only else get_environ_proxies(request.url)
        while True:
            limits.allowance, limits.has_connected = _MAX_HEADER_BYTES, False
            try:
                answer = self._adapter.send(prepared, stream=True, proxies=proxies).raw
            except CarriedError as carried:
                if limits.has_connected or not isinstance(carried.error, ConnectionError):
                    raise
            else:
                limits.allowance = math.inf
                return cast(urllib3.HTTPResponse, answer)


def _prepared(request: Request) -> requests.PreparedRequest:
    """A request for requests. Its address is in order already, which is the longest part of `Request.prepare`."""
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = request.method, request.url
    try:
        prepared.prepare_headers(request.headers)
        prepared.prepare_body(request.body, None)
    except requests.RequestException as error:
        raise InvalidUrlError(f"it cannot be sent ({type(error).__name__})") from None
    return prepared


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = TlsConnection


class _Adapter(HTTPAdapter):
    """An adapter of requests whose pools hold bounded connections."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools, with connections of this package in them."""
        self._making_a_proxy_manager = threading.Lock()
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The pools of connections through a proxy, made at its first use."""
        with self._making_a_proxy_manager:
            if proxy in self.proxy_manager:
                return self.proxy_manager[proxy]
            is_socks = proxy.lower().startswith("socks")
            if not is_socks:  # to a proxy that is spoken to by https; older urllib3 takes the second
                options |= {"proxy_ssl_context": _tls_context(_bundle()), "ssl_context": _tls_context(_bundle())}
            manager = super().proxy_manager_for(proxy, **options)
            manager.pool_classes_by_scheme = _socks_pools() if is_socks else self.poolmanager.pool_classes_by_scheme
            return manager

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool of a request.

        Raises:
            InvalidUrlError: The request's address cannot be read, or its proxy's.
        """
        try:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        except (requests.RequestException, ValueError):
            is_direct = select_proxy(request.url, proxies) is None
            raise InvalidUrlError("the address cannot be read" if is_direct else _BAD_PROXY) from None

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Host and TLS of a request."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": _tls_context(_bundle())} if host["scheme"] == "https" else {}

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """An answer of which only `raw` is there. Its cookies are not read: odd ones raise warnings."""
        response = requests.Response()
        response.request = req
        response.raw = resp
        return response

    def cert_verify(self, *_: Any) -> None:
        """Nothing: the context holds the authorities. They would be read again for each connection."""


_BAD_PROXY = (
    "the environment names a proxy that cannot be asked; its address must begin with http://, https://, socks4:// or "
    "socks5://, and the latter need the package PySocks"
)


def _socks_pools() -> dict[str, type[urllib3.HTTPConnectionPool]]:
    from metis_gym.http.socks_proxies import SocksPool, SocksTlsPool  # needs PySocks

    return {"http": SocksPool, "https": SocksTlsPool}


def _bundle() -> str:
    return next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), DEFAULT_CA_BUNDLE_PATH)


@functools.lru_cache(maxsize=4)
def _tls_context(bundle: str) -> ssl.SSLContext:
    """A context that trusts the authorities of a bundle."""
    is_folder = os.path.isdir(bundle)
    context = ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
    context.sslsocket_class = TlsSocket
    return context


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Whether this was logged outside of a request of ours. urllib3's log quotes addresses, and with them keys."""
    return not is_limited()


for _name in ("connection", "connectionpool", "poolmanager", "response"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_is_not_ours)
