"""Sockets with one deadline over everything: names, connecting, TLS, each byte sent and received.

A time-out of a socket starts afresh with every byte that comes, so that a server that sends one byte now and then is
waited for without end. Here each call to the system gets what is left until the deadline. (Reads and handshakes of TLS
loop inside Python's `ssl`, which counts their time-out over the whole loop.)
"""

import functools
import math
import os
import queue
import socket
import ssl
import sys
import threading
import time
from typing import Any, cast

from metis_gym.http.addresses import is_public

__all__ = [
    "BoundedSocket",
    "Deadline",
    "PrivateAddressError",
    "TlsSocket",
    "TooMuchError",
    "connect",
    "is_idle",
    "start_tls",
]

_MAX_ADDRESSES = 8
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


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


class BoundedSocket(socket.socket):
    """A socket whose calls end at `deadline`, and that receives at most `allowance` bytes."""

    deadline: Deadline
    allowance: float = math.inf

    def recv_into(self, *args: Any) -> int:
        """Receive what there is, before the deadline.

        Raises:
            TimeoutError: The deadline has come.
            TooMuchError: More than the allowance came.
        """
        _await(self)
        return _counted(self, super().recv_into(*args))

    def sendall(self, *args: Any) -> None:
        """Send everything before the deadline."""
        self.settimeout(self.deadline.remaining())
        super().sendall(*args)


class TlsSocket(ssl.SSLSocket):
    """The same, encrypted."""

    deadline: Deadline
    allowance: float = math.inf

    def recv_into(self, *args: Any) -> int:
        """Receive what there is, before the deadline.

        Raises:
            TimeoutError: The deadline has come.
            TooMuchError: More than the allowance came.
        """
        _await(self)
        return _counted(self, super().recv_into(*args))

    def send(self, *args: Any) -> int:
        """Send a part; `sendall` calls this until everything is sent."""
        self.settimeout(self.deadline.remaining())
        return super().send(*args)


def _await(receiver: BoundedSocket | TlsSocket) -> None:
    """Give a socket what is left of its time; and have what comes acknowledged at once.

    Otherwise a server that sends its headers and its body apart waits 40 ms in between on a connection that was kept.
    """
    receiver.settimeout(receiver.deadline.remaining())
    if sys.platform == "linux":
        receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _counted(receiver: BoundedSocket | TlsSocket, count: int) -> int:
    receiver.allowance -= count
    if receiver.allowance < 0:
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
            connection.deadline = deadline
            return connection
    raise AssertionError("unreachable: the last address is connected to or raises")


def _is_own(connection: socket.socket) -> bool:
    """Did we connect to this machine, by a public address of its own?"""
    return bool(connection.getsockname()[0] == connection.getpeername()[0])


def _look_up(host: str, port: int, deadline: Deadline) -> list[Any]:
    """The addresses of a host. Names are looked up in a thread of their own: the system's look-up has no time-out."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass
    answer: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except UnicodeError:
            answer.put(OSError("not a name"))
        except OSError as error:
            answer.put(error)

    threading.Thread(target=ask, name="metis-gym name look-up", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.remaining())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    return found


def start_tls(plain: BoundedSocket, host: str) -> TlsSocket:
    """Encrypt a connection, having checked the host's certificate.

    Raises:
        TimeoutError: The deadline has come.
        OSError: The host has no valid certificate, or speaks no TLS.
    """
    deadline = plain.deadline
    try:
        plain.settimeout(deadline.remaining())
        bundle = next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), "")
        encrypted = cast(TlsSocket, _tls_context(bundle).wrap_socket(plain, server_hostname=host))
    except BaseException:
        plain.close()
        raise
    encrypted.deadline = deadline
    return encrypted


@functools.lru_cache(maxsize=4)
def _tls_context(bundle: str) -> ssl.SSLContext:
    """A context that trusts the authorities of a bundle; of Mozilla's, which `certifi` brings, if none is named."""
    if not bundle:
        import certifi

        bundle = certifi.where()
    is_folder = os.path.isdir(bundle)
    context = ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
    context.sslsocket_class = TlsSocket
    return context


def is_idle(connection: BoundedSocket | TlsSocket) -> bool:
    """Is a kept connection open and silent? Whatever came unasked for is no answer to the next question."""
    try:
        connection.settimeout(0)
        socket.socket.recv(connection, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except (OSError, ValueError):
        return False
    return False
