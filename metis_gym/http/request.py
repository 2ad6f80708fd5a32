"""What is asked, and the way there."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlencode, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from metis_gym.http.addresses import InvalidUrlError, split_url
from metis_gym.http.bodies import ACCEPTED

__all__ = ["Request", "Target", "read_proxy"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None

    @classmethod
    def of(
        cls, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, object], body: object
    ) -> "Request":
        """A request, its body as JSON unless it is None.

        Raises:
            InvalidUrlError: The address is none of the web.
        """
        parts = split_url(url)
        more = urlencode(params, errors="replace")
        query = f"{parts.query}&{more}" if parts.query and more else parts.query or more
        sent = {"User-Agent": "metis-gym", "Accept-Encoding": ACCEPTED, **headers}
        if body is not None:
            sent |= {"Content-Type": "application/json"}
        return cls(
            method=method,
            url=parts._replace(query=query).geturl(),
            headers=sent,
            body=None if body is None else json.dumps(body).encode(),
        )

    def redirected(self, place: str) -> "Request":
        """The same request elsewhere; another host, port or scheme gets none of its headers.

        Raises:
            InvalidUrlError: The place is none of the web.
        """
        try:
            there = split_url(urljoin(self.url, place))
        except InvalidUrlError:
            raise
        except ValueError as error:
            raise InvalidUrlError(f"the address cannot be read ({type(error).__name__})") from None
        here = split_url(self.url)
        if (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port):
            return Request(method=self.method, url=there.geturl(), headers=self.headers, body=None)
        return Request.of(self.method, there.geturl(), {}, {}, None)


@dataclass(frozen=True)
class Target:
    """Where a request goes: host, port, scheme, and how the way there is.

    Attributes:
        scheme: "http" or "https".
        host: Name or IP address.
        port: The port.
        proxy: Address of the proxy in between; empty for none.
        public_only: Only publicly routed addresses may be connected to.
    """

    scheme: str
    host: str
    port: int
    proxy: str
    public_only: bool

    @classmethod
    def of(cls, url: str, *, public_only: bool) -> "Target":
        """Read an address. Where only public addresses are allowed, no proxy is used: it would be the one to connect.

        Raises:
            InvalidUrlError: It is none of the web.
        """
        parts = split_url(url)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
        proxy = ""
        if not public_only and not proxy_bypass_environment(f"{host}:{port}"):
            proxies = getproxies_environment()
            proxy = proxies.get(parts.scheme, proxies.get("all", ""))
        return cls(parts.scheme, host, port, proxy, public_only)

    @property
    def place(self) -> str:
        """Host and port, as in an address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_proxy(address: str) -> tuple[str, int, dict[str, str]]:
    """Host, port and headers of a proxy.

    Raises:
        InvalidUrlError: It is none that is spoken here.
    """
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host = None
    if host is None or parts.scheme != "http":
        raise InvalidUrlError("the environment names a proxy whose address does not begin with http://")
    if parts.username is None:
        return host, port, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return host, port, {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
