"""What is asked of a service, checked before anything is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

from metis_gym.http.addresses import InvalidUrlError, split_url
from metis_gym.http.bodies import ACCEPTED

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it is sent: method, address, headers and body."""

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
