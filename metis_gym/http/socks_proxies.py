"""Connections through SOCKS proxies, by PySocks."""

import socket

import urllib3
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

from metis_gym.http.connections import PlainConnection, ProxyError
from metis_gym.http.sockets import BoundedSocket, current_limits, within

__all__ = ["SocksPool", "SocksTlsPool"]


class _SocksConnection(PlainConnection, SOCKSConnection):
    def _new_conn(self) -> socket.socket:
        limits = current_limits()
        limits.has_connected = True
        self.timeout = limits.deadline.remaining()  # of each call to the system; of all of them together: `within`
        try:
            opened = within(limits.deadline, lambda: SOCKSConnection._new_conn(self))
        except urllib3.exceptions.NewConnectionError:  # which is a ConnectTimeoutError, too
            raise ProxyError from None
        except urllib3.exceptions.ConnectTimeoutError:
            raise TimeoutError from None
        bounded = BoundedSocket(opened.family, opened.type, opened.proto, fileno=opened.detach())
        bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bounded


class _SocksTlsConnection(_SocksConnection, SOCKSHTTPSConnection):
    """An encrypted connection through a SOCKS proxy."""


class SocksPool(urllib3.HTTPConnectionPool):
    """Connections to one host through a SOCKS proxy."""

    ConnectionCls = _SocksConnection


class SocksTlsPool(urllib3.HTTPSConnectionPool):
    """Encrypted connections through a SOCKS proxy."""

    ConnectionCls = _SocksTlsConnection
