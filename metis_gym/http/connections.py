"""Connections of urllib3 over bounded sockets.

urllib3 speaks HTTP; the connections are opened by `connect`, so that each byte that it waits for counts. What fails is
carried past urllib3 and requests, whose own errors quote addresses, and with them keys.
"""

import contextlib
import http.client
import re
import socket
import time
import traceback
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from metis_gym.http.sockets import connect, current_limits

__all__ = ["CarriedError", "PlainConnection", "ProxyError", "TlsConnection"]

_MAX_IDLE_SECONDS = 30.0  # routers forget a connection in silence
_LENGTH = re.compile(r"[0-9]{1,15}")


class ProxyError(ConnectionError):
    """The proxy refused to connect to the service."""


class CarriedError(Exception):
    """Takes an error through libraries that would put one of their own in its place.

    Args:
        error: What happened.
    """

    def __init__(self, error: OSError | http.client.HTTPException) -> None:
        super().__init__()
        self.error = error

    def take(self) -> OSError | http.client.HTTPException:
        """The error, no longer held: once raised it refers to this one.

        Nor do the frames hold it that this one came through, so that no cycle is left for the garbage collector.
        """
        traceback.clear_frames(self.__traceback__)
        error, self.__traceback__ = self.error, None
        del self.error
        return error.with_traceback(None)


@contextlib.contextmanager
def _carrying() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise CarriedError(error) from None


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

    def read1(self, n: int = -1) -> bytes:
        """Read a part of the body; b"" at its end.

        Raises:
            CarriedError: There is no connection any more, or the body ends too early.
        """
        with _carrying():
            data = super().read1(n)
            if not data and self.length:
                raise http.client.IncompleteRead(data, self.length)
            return data


class PlainConnection(HTTPConnection):
    """A connection of urllib3 whose socket is bounded, and whose failures are carried past urllib3."""

    response_class = _Response
    _unsent: list[bytes] | None = None
    _last_used = 0.0

    def connect(self) -> None:
        """Connect, through a tunnel if there is a proxy that makes one."""
        with _carrying():
            super().connect()

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request, headers and body at once. A server that stops listening may have answered already."""
        with _carrying(), contextlib.suppress(BrokenPipeError):
            self._unsent, self._last_used = [], time.monotonic()
            try:
                super().request(*args, **options)
                parts = self._unsent
            finally:
                self._unsent = None
            super().send(b"".join(parts))

    @property
    def is_connected(self) -> bool:
        """Whether a kept connection is open, silent, and was used not long ago."""
        return super().is_connected and time.monotonic() - self._last_used < _MAX_IDLE_SECONDS

    def send(self, data: Any) -> None:
        """Send a part, or keep it until the request is complete."""
        if self._unsent is None:
            super().send(data)
        else:
            self._unsent.append(data)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as in urllib3
        """Read the headers of the answer."""
        with _carrying():
            return super().getresponse()

    def _new_conn(self) -> socket.socket:
        limits = current_limits()
        limits.has_connected = True
        return connect(self._dns_host, self.port, limits.deadline, public_only=limits.public_only)

    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except TimeoutError:
            raise
        except OSError:
            raise ProxyError from None


class TlsConnection(PlainConnection, HTTPSConnection):
    """A bounded connection that is encrypted."""
