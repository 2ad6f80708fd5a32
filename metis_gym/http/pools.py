"""Connections to hosts, kept for the next request."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from metis_gym.http.request import Request
from metis_gym.http.sockets import Deadline, limited

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

__all__ = ["Connections"]

_inherited: list[object] = []
"""What a fork got from its parent: never used, and never closed, for another thread may have held its locks."""


class Connections:
    """Open connections that wait for their next request. Safe for threads; a fork begins with none."""

    def __init__(self) -> None:
        from metis_gym.http.transport import Transport  # requests takes a while to import: not without a client

        self._transport = Transport()
        self._owner = os.getpid()

    def __reduce__(self) -> tuple[type["Connections"], tuple[()]]:
        """A copy has connections of its own."""
        return Connections, ()

    @contextlib.contextmanager
    def exchange(self, request: Request, deadline: Deadline, *, public_only: bool) -> Iterator["HTTPResponse"]:
        """Send a request; gives the answer with its headers read.

        The connection is kept for the next request if the answer was read to its end.

        Args:
            request: What is sent.
            deadline: For everything, the body of the answer included.
            public_only: Connect to publicly routed addresses only, and by no proxy: it would be the one to connect.
        """
        if self._owner != os.getpid():
            _inherited.append(self._transport)
            self.__init__()  # type: ignore[misc]
        with limited(deadline, public_only=public_only) as limits, self._transport.exchange(request, limits) as answer:
            yield answer
