"""Connections to hosts, kept for the next request; and one exchange over them."""

import contextlib
import http.client
import math
import os
import re
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import cast

from metis_gym.http.addresses import split_url
from metis_gym.http.request import Request, Target, read_proxy
from metis_gym.http.sockets import BoundedSocket, Deadline, TlsSocket, connect, is_idle, start_tls

__all__ = ["Connections"]

_MAX_HEADER_BYTES = 131_072  # of all headers together, of 1xx answers too; the buffer of the reader included
_MAX_IDLE = 8
_MAX_IDLE_SECONDS = 30.0
_LENGTH = re.compile(r"[0-9]{1,15}")


class ProxyError(ConnectionError):
    """The proxy refuses."""


class Connections:
    """Open connections that wait for their next request. Safe for threads; a fork begins with none."""

    def __init__(self) -> None:
        self._idle: dict[Target, list[tuple[http.client.HTTPConnection, float]]] = {}
        self._owner = os.getpid()
        weakref.finalize(self, _close_all, self._idle)

    def __reduce__(self) -> tuple[type["Connections"], tuple[()]]:
        """A copy has connections of its own."""
        return Connections, ()

    @contextlib.contextmanager
    def exchange(self, request: Request, target: Target, deadline: Deadline) -> Iterator[http.client.HTTPResponse]:
        """Send a request; gives the answer with its headers read.

        A kept connection that the server has closed meanwhile is replaced. The connection is kept for the next request
        if the answer was read to its end.
        """
        connection = self._take(target)
        try:
            if connection is not None:
                try:
                    answer = _ask(connection, request, target, deadline)
                except ConnectionError:
                    connection.close()
                    connection = None
            if connection is None:
                connection = _open(target, deadline)
                answer = _ask(connection, request, target, deadline)
            with contextlib.closing(answer):
                yield answer
                is_complete = answer.isclosed() or answer.length == 0
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if is_complete and connection.sock is not None:
            self._keep(target, connection)
        else:
            connection.close()

    def _take(self, target: Target) -> http.client.HTTPConnection | None:
        if self._owner != os.getpid():
            _close_all(self._idle)
            self._owner = os.getpid()
        idle = self._idle.get(target, [])
        with contextlib.suppress(IndexError):  # another thread may take the last
            while idle:
                connection, since = idle.pop()
                if time.monotonic() - since < _MAX_IDLE_SECONDS and is_idle(_socket(connection)):
                    return connection
                connection.close()
        return None

    def _keep(self, target: Target, connection: http.client.HTTPConnection) -> None:
        idle = self._idle.setdefault(target, [])
        if len(idle) < _MAX_IDLE:
            idle.append((connection, time.monotonic()))
        else:
            connection.close()


def _close_all(idle: dict[Target, list[tuple[http.client.HTTPConnection, float]]]) -> None:
    while idle:
        _, connections = idle.popitem()
        while connections:
            connections.pop()[0].close()


def _open(target: Target, deadline: Deadline) -> http.client.HTTPConnection:
    """A new connection, through the proxy if there is one."""
    proxy = read_proxy(target.proxy) if target.proxy else None
    host, port = (target.host, target.port) if proxy is None else proxy[:2]
    sock: BoundedSocket = connect(host, port, deadline, public_only=target.public_only)
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.response_class = _Response
    connection.auto_open = 0
    try:
        if proxy is not None and target.scheme == "https":
            _open_tunnel(sock, target, proxy[2])
        connection.sock = start_tls(sock, target.host) if target.scheme == "https" else sock
    except BaseException:
        sock.close()
        raise
    return connection


def _ask(
    connection: http.client.HTTPConnection, request: Request, target: Target, deadline: Deadline
) -> http.client.HTTPResponse:
    """Send a request and read the headers of its answer."""
    sock = _socket(connection)
    sock.deadline, sock.allowance = deadline, _MAX_HEADER_BYTES
    parts = split_url(request.url)
    headers = {"Host": parts.netloc, **request.headers}
    place = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if target.proxy and target.scheme == "http":
        place = f"http://{parts.netloc}{place}"
        headers |= read_proxy(target.proxy)[2]
    connection.request(request.method, place, body=request.body, headers=headers)
    answer = connection.getresponse()
    sock.allowance = math.inf
    return answer


def _socket(connection: http.client.HTTPConnection) -> BoundedSocket | TlsSocket:
    return cast(BoundedSocket | TlsSocket, connection.sock)


class _Response(http.client.HTTPResponse):
    """An answer whose frame is beyond doubt."""

    def begin(self) -> None:
        """Read the headers; those of answers that only announce others are passed over.

        Raises:
            http.client.HTTPException: Length or transfer encoding are not what HTTP knows.
        """
        super().begin()
        while 101 < self.status < 200:
            self.headers = self.msg = None  # type: ignore[assignment]  # what makes `begin` read again
            super().begin()
        transfer = {name.strip().lower() for name in self.headers.get_all("Transfer-Encoding", [])}
        lengths = {length.strip() for length in self.headers.get_all("Content-Length", [])}
        if transfer - {"chunked"} or len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            raise http.client.HTTPException


def _open_tunnel(sock: BoundedSocket, target: Target, headers: Mapping[str, str]) -> None:
    """Have a proxy connect us to an encrypted host."""
    lines = [f"CONNECT {target.place} HTTP/1.1", f"Host: {target.place}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    sock.allowance = _MAX_HEADER_BYTES
    with contextlib.closing(http.client.HTTPResponse(sock, method="CONNECT")) as reply:
        reply.begin()
        if reply.status != 200:
            raise ProxyError
    sock.allowance = math.inf
