"""Sockets with one deadline over everything: names, connecting, TLS, each byte sent and received.

The bounds are those of the request in progress, `current_limits()`: a library that opens, wraps and keeps the sockets
has no need to know them. A time-out of a socket starts afresh with every byte that comes, so that a server that sends
one byte now and then is waited for without end. Here each call to the system gets what is left until the deadline.
(Reads and handshakes of TLS loop inside Python's `ssl`, which counts their time-out over the whole loop.)
"""

import contextlib
import math
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from metis_gym.http.addresses import is_public

__all__ = [
    "BoundedSocket",
    "Deadline",
    "Limits",
    "PrivateAddressError",
    "TlsSocket",
    "TooMuchError",
    "connect",
    "current_limits",
    "is_limited",
    "limited",
    "within",
]

_MAX_ADDRESSES = 8
_Made = TypeVar("_Made")


class TooMuchError(Exception):
    """More bytes came than were allowed."""


class PrivateAddressError(Exception):
    """A name leads to this machine, a local network or another place that is not public."""


class Deadline:
    """A moment to come.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left, more than 0.

        Raises:
            TimeoutError: None are.
        """
        left = self.left()
        if left <= 0:
            raise TimeoutError
        return left

    def left(self) -> float:
        """Seconds that are left; 0 or less when it is over."""
        return self._ends - time.monotonic()

    def capped(self, seconds: float) -> "Deadline":
        """This deadline, or one so many seconds from now if that is earlier."""
        return Deadline(min(seconds, self.remaining()))


@dataclass
class Limits:
    """The bounds of one request.

    Attributes:
        deadline: When each call to the system ends.
        public_only: Connect to publicly routed addresses only.
        allowance: How many bytes may still be received.
        has_connected: Whether a connection was opened; else one was used that had been kept.
    """

    deadline: Deadline
    public_only: bool = False
    allowance: float = math.inf
    has_connected: bool = False


_limits: ContextVar[Limits] = ContextVar("limits of metis_gym.http")


@contextlib.contextmanager
def limited(deadline: Deadline, *, public_only: bool) -> Iterator[Limits]:
    """Bound all that sockets of this module do in this thread, as long as the context is open."""
    limits = Limits(deadline, public_only)
    token = _limits.set(limits)
    try:
        yield limits
    finally:
        _limits.reset(token)


def current_limits() -> Limits:
    """The bounds of this thread's request."""
    return _limits.get()


def is_limited() -> bool:
    """Whether a request is in progress in this thread."""
    return _limits.get(None) is not None


class BoundedSocket(socket.socket):
    """A socket whose calls keep to the bounds of the request in progress."""

    def recv_into(self, *args: Any) -> int:
        """Receive what there is, before the deadline.

        Raises:
            TimeoutError: The deadline has come.
            TooMuchError: More than the allowance came.
        """
        _await(self)
        return _counted(super().recv_into(*args))

    def sendall(self, *args: Any) -> None:
        """Send everything before the deadline."""
        self.settimeout(current_limits().deadline.remaining())
        super().sendall(*args)


class TlsSocket(ssl.SSLSocket):
    """A socket with TLS whose handshake, too, ends by the deadline."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree upon keys before the deadline."""
        self.settimeout(current_limits().deadline.remaining())
        super().do_handshake(block)

    def recv_into(self, *args: Any) -> int:
        """Receive what there is, before the deadline.

        Raises:
            TimeoutError: The deadline has come.
            TooMuchError: More than the allowance came.
        """
        _await(self)
        return _counted(super().recv_into(*args))

    def recv(self, *args: Any) -> bytes:
        """The same: what TLS inside TLS is read with, where a proxy is spoken to by https."""
        _await(self)
        data = super().recv(*args)
        _counted(len(data))
        return data

    def send(self, *args: Any) -> int:
        """Send a part; `sendall` calls this until everything is sent."""
        self.settimeout(current_limits().deadline.remaining())
        return super().send(*args)


def _await(receiver: BoundedSocket | TlsSocket) -> None:
    """Give a socket what is left of the time; and have what comes acknowledged at once.

    Otherwise a server that sends its headers and its body apart waits 40 ms in between on a connection that was kept.
    """
    receiver.settimeout(current_limits().deadline.remaining())
    if sys.platform == "linux":
        receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _counted(count: int) -> int:
    limits = current_limits()
    limits.allowance -= count
    if limits.allowance < 0:
        raise TooMuchError
    return count


def connect(host: str, port: int, deadline: Deadline, *, public_only: bool = False) -> BoundedSocket:
    """Connect to the first address of a host that answers.

    Args:
        host: A name or an IP address.
        port: The port.
        deadline: For everything together: the name is looked up and its addresses are tried one after the other.
        public_only: Refuse addresses that are not routed publicly, and this machine's own. It is the very address that
            is connected to that is judged, so a name that leads elsewhere the next time gains nothing.

    Raises:
        PrivateAddressError: No address of the host is allowed.
        TimeoutError: The deadline has come.
        OSError: No address can be reached.
    """
    found = _look_up(host, port, deadline)[:_MAX_ADDRESSES]
    allowed = [entry for entry in found if not public_only or is_public(str(entry[4][0]))]
    if not allowed:
        raise PrivateAddressError
    for number, (family, kind, protocol, _, address) in enumerate(allowed, start=1):
        connection = BoundedSocket(family, kind, protocol)
        try:
            connection.settimeout(deadline.remaining() / (len(allowed) - number + 1))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if public_only and _is_own(connection):
                raise PrivateAddressError
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError) or number == len(allowed):
                raise
        else:
            return connection
    raise AssertionError("unreachable: the last address is connected to or raises")


def _is_own(connection: socket.socket) -> bool:
    """Whether we connected to this machine itself, by one of its public addresses."""
    return bool(connection.getsockname()[0] == connection.getpeername()[0])


def _look_up(host: str, port: int, deadline: Deadline) -> list[Any]:
    """The addresses of a host. Names are looked up in a thread of their own: the system's look-up has no time-out."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass
    try:
        return within(deadline, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise OSError("not a name") from None


def within(deadline: Deadline, work: Callable[[], _Made]) -> _Made:
    """Have something done that knows no time-out, in a thread of its own.

    Raises:
        TimeoutError: The deadline has come. A connection that is opened later is closed.
    """
    made: Future[_Made] = Future()

    def run() -> None:
        try:
            made.set_result(work())
        except Exception as error:  # noqa: BLE001 — the boundary of a thread: whoever waits raises it
            made.set_exception(error)

    threading.Thread(target=run, name="metis-gym connecting", daemon=True).start()
    try:
        return made.result(timeout=deadline.remaining())
    except TimeoutError:
        made.add_done_callback(_close)
        raise


def _close(late: "Future[Any]") -> None:
    if late.exception() is None and isinstance(late.result(), socket.socket):
        late.result().close()
