"""Which addresses of the internet a stranger may send us to.

An address that stands in a service's reply may name anything: this machine, the local network, a cloud's metadata
server. Only addresses that are routed publicly are let through; forms of IPv6 that carry an IPv4 address are judged by
that. The lists follow IANA's special-purpose registries, not `ipaddress.is_global`, which differs between versions of
Python.
"""

import ipaddress
from urllib.parse import SplitResult, quote, urlsplit

from metis_gym.errors import ConfigError

__all__ = ["InvalidUrlError", "check_url", "is_public", "split_url"]

_CLOSED_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's own server for its machines, routed nowhere else
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_OPEN_6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
_MAPPED, _NAT64 = ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)
_MAX_URL = 65_536
_MAX_HOST = 253
_PLAIN = "!$%&'()*+,/:;=?@[]~"


class InvalidUrlError(ValueError):
    """An address that is none of the web. The message does not repeat it."""


def is_public(address: str) -> bool:
    """Whether this is an IP address that is routed publicly.

    Args:
        address: IPv4 or IPv6, as sockets give it.

    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2606:4700::1111")]
    [True, False, False, False, True]
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _CLOSED_4)
    inner = _embedded(ip)
    if inner is not None:
        return is_public(str(inner))
    return ip in _OPEN_6 and not any(ip in network for network in _CLOSED_6)


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped, NAT64, 6to4 or ISATAP address leads to."""
    number = int(ip)
    if ip in _MAPPED or ip in _NAT64:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if ip in _SIX_TO_FOUR:
        return ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF)
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return None


def split_url(url: str) -> SplitResult:
    """The parts of an address of the web: ASCII, without its fragment, with a host that DNS could know.

    >>> split_url("HTTP://Exämple.org/a b?q=é#top").geturl()
    'http://xn--exmple-cua.org/a%20b?q=%C3%A9'

    Raises:
        InvalidUrlError: It is too long, not of http or https, holds a user name, or cannot be read.
    """
    if len(url) > _MAX_URL:
        raise InvalidUrlError(f"an address has at most {_MAX_URL:,} characters, actually: {len(url):,}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if len(host) > _MAX_HOST:
            raise InvalidUrlError(f"a host's name has at most {_MAX_HOST} characters, actually: {len(host):,}")
        name = host if ":" in host else host.encode("idna").decode("ascii")
        path, query = (quote(part.encode("utf-8", "replace"), safe=_PLAIN) for part in (parts.path, parts.query))
    except InvalidUrlError:
        raise
    except ValueError as error:  # UnicodeError among them
        raise InvalidUrlError(f"the address cannot be read ({type(error).__name__})") from None
    if parts.scheme not in ("http", "https") or not name or not name.isprintable() or " " in name:
        raise InvalidUrlError("an address must begin with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise InvalidUrlError("an address must not hold a user name or a password")
    place = (f"[{name}]" if ":" in name else name) + ("" if port is None else f":{port}")
    return SplitResult(parts.scheme, place, path, query, "")


def check_url(service: str, url: object) -> str:
    """See that this is an address of the web, given by the user.

    Raises:
        ConfigError: It is not.
    """
    try:
        split_url(str(url))
    except InvalidUrlError as error:
        given = "one with a password, not repeated here" if "@" in str(url) else f"{url!r:.200}"
        raise ConfigError(
            f"{service}: the address must begin with http:// or https:// and name a host; {error}; actually: {given}"
        ) from None
    return str(url)
