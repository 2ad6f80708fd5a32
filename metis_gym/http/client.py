"""The client: attempts, redirects, and what its failures are called.

A request has one deadline over names, connecting, TLS, sending, headers, redirects and the body. Bytes are bounded as
they come and as they unpack. It is tried again after a time-out, without a connection and after 429 and 5xx, as often
as the policy says and after the pause that the service asks for; all else is final. Errors hold our own words only:
nothing that a service sent, and no key.

It is requests and urllib3 below, over sockets of our own: they offer no deadline over headers, and unpack a body as
often as its headers say. Proxies are those of the environment (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`),
and so is the bundle of authorities (`REQUESTS_CA_BUNDLE`). Only HTTP/1.1, no cookies, no `.netrc`.
"""

import datetime
import email.utils
import http.client
import json
import math
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.http.addresses import InvalidUrlError
from metis_gym.http.bodies import TooLongError, read_body
from metis_gym.http.pools import Connections
from metis_gym.http.request import Request
from metis_gym.http.sockets import Deadline, PrivateAddressError, TooMuchError
from metis_gym.keys import ApiKey

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

__all__ = ["Client", "Policy"]

_MAX_VALUES = 500_000
_MAX_SECONDS = 86_400.0
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long and how often a service is asked.

    Attributes:
        timeout: Seconds for one attempt, from the look-up of its name to the last byte of its answer.
        retries: Further attempts after the first.
        first_wait: Seconds before the second attempt where the service names none; doubled at each further one.
        max_wait: Most seconds to wait; a service that asks for more is not asked again.
        max_bytes: Longest answer that is read, as it is after unpacking.
        redirects: How many redirects of a GET request are followed. Headers go to no other host.

    Raises:
        ConfigError: One of them is negative or no number, or there is no time.
    """

    timeout: float = 20.0
    retries: int = 2
    first_wait: float = 0.5
    max_wait: float = 30.0
    max_bytes: int = 8 << 20
    redirects: int = 0

    def __post_init__(self) -> None:
        """Refuse values that are no finite numbers or make no sense together."""
        values: tuple[object, ...] = tuple(vars(self).values())
        are_numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
        if not are_numbers or not 0 < self.timeout <= _MAX_SECONDS or min(vars(self).values()) < 0:
            raise ConfigError(
                f"timeout must be positive, at most {_MAX_SECONDS:g} s, and nothing else negative; actually: {self}"
            )


@dataclass(frozen=True, kw_only=True)
class Client:
    """Asks one service. Safe for threads; a fork may go on using it. Connections are kept and used again.

    Attributes:
        service: Its name, for messages.
        policy: How long and how often.
        key: Kept out of every message; None if the service needs none.
        public_only: Ask nobody but hosts with publicly routed addresses, and no proxy: for addresses that stood in a
            reply. Addresses that a user named need no such bound.
        sleep: Waits.
    """

    raises: ClassVar[type[InfrastructureError]] = InfrastructureError
    """What a failed request raises; a subclass names its own."""

    service: str
    policy: Policy
    key: ApiKey | None = None
    public_only: bool = False
    sleep: Callable[[float], None] = field(default=time.sleep)
    _connections: Connections = field(default_factory=Connections, init=False, repr=False, compare=False)

    def json(self, method: str, url: str, **request: Any) -> Any:
        """Send a request and read its answer as JSON.

        Args:
            method: "GET" or "POST".
            url: The address.
            **request: What `fetch` takes besides.

        Raises:
            InfrastructureError: There is no answer, or none that is JSON; the message says why and holds no key.
        """
        body = self.fetch(method, url, **request)
        if sum(map(body.count, (b"{", b"[", b","))) > _MAX_VALUES:
            raise self.error(f"the answer has more than {_MAX_VALUES:,} values")
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise self.error(f"the answer is not JSON ({type(error).__name__})") from None

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        json: object = None,
        deadline: Deadline | None = None,
    ) -> bytes:
        """Send a request and read its answer.

        Args:
            method: "GET" or "POST".
            url: The address.
            headers: Headers to be sent.
            params: Added to the address.
            json: Sent as the body, unless it is None.
            deadline: Of all attempts together, where there is one besides the policy's for each.

        Raises:
            InfrastructureError: There is no answer; the message says why and holds no key.
        """
        try:
            asked = Request.of(method, url, headers or {}, params or {}, json)
        except InvalidUrlError as error:
            raise self.error(f"the request failed: {error}") from None
        for attempt in range(int(self.policy.retries) + 1):
            try:
                return self._attempt(asked, deadline)
            except _TryAgainError as problem:
                wait = problem.wait if problem.wait is not None else self.policy.first_wait * 2.0 ** min(attempt, 30)
                is_too_late = deadline is not None and deadline.left() <= min(wait, self.policy.max_wait)
                if attempt >= self.policy.retries or is_too_late:
                    raise self.error(f"{problem} ({attempt + 1} of {self.policy.retries + 1} attempts)") from None
                if wait > self.policy.max_wait and problem.wait is not None:
                    raise self.error(f"{problem}; it asks for a pause of {wait:.0f} s") from None
                self.sleep(min(wait, self.policy.max_wait))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def error(self, reason: str) -> InfrastructureError:
        """An error with a reason, without the key."""
        text = f"{self.service}: {reason}"
        return self.raises(text if self.key is None else self.key.hide_in(text))

    def _attempt(self, asked: Request, deadline: Deadline | None) -> bytes:
        """One attempt: the one boundary at which errors of the network become ours."""
        try:
            limit = Deadline(self.policy.timeout) if deadline is None else deadline.capped(self.policy.timeout)
            return self._follow(asked, limit)
        except TimeoutError:
            raise _TryAgainError(f"no answer within {self.policy.timeout:g} s") from None
        except PrivateAddressError:
            raise self.error("its address leads to a place that is not public, which is not asked") from None
        except InvalidUrlError as error:
            raise self.error(f"the request failed: {error}") from None
        except TooLongError:
            raise self.error(f"the answer is longer than {self.policy.max_bytes:,} bytes") from None
        except TooMuchError:
            raise self.error("the answer's headers are too long") from None
        except ssl.SSLCertVerificationError:
            raise self.error("the request failed: its certificate is not valid") from None
        except (http.client.IncompleteRead, EOFError):
            raise _TryAgainError("no connection (the answer was cut off)") from None
        except OSError as error:
            raise _TryAgainError(f"no connection ({_cause(error)})") from None
        except (http.client.HTTPException, zlib.error, ValueError, LookupError, TypeError) as error:
            raise self.error(f"the request failed: this is no valid HTTP ({type(error).__name__})") from None

    def _follow(self, asked: Request, deadline: Deadline) -> bytes:
        """Send a request and, if the policy says so, follow redirects to its answer."""
        for _ in range(int(self.policy.redirects) + 1):
            with self._connections.exchange(asked, deadline, public_only=self.public_only) as answer:
                if answer.status == 200:
                    return read_body(answer, int(self.policy.max_bytes))
                place = answer.headers.get("Location", "")
                if answer.status not in _REDIRECTS or not place or asked.body is not None or not self.policy.redirects:
                    raise self._refusal(answer)
            asked = asked.redirected(place)
        raise self.error(f"it redirects more than {self.policy.redirects} times")

    def _refusal(self, answer: "HTTPResponse") -> Exception:
        phrases = {status.value: f" {status.phrase}" for status in HTTPStatus}
        reason = f"HTTP {answer.status}{phrases.get(answer.status, '')}"
        if answer.status == 429 or answer.status >= 500:
            return _TryAgainError(reason, _seconds(answer.headers.get("Retry-After", "")))
        return self.error(reason)


class _TryAgainError(Exception):
    """An attempt failed in a way that may pass.

    Args:
        reason: What happened.
        wait: Seconds that the service asks to wait; None if it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and the infinities are no JSON


def _cause(error: OSError) -> str:
    """The kind of an error, and what the system says of it."""
    return f"{type(error).__name__}: {error.strerror}" if error.strerror else type(error).__name__


def _seconds(retry_after: str) -> float | None:
    """A Retry-After header: seconds, or a date. None for anything else.

    >>> _seconds("120"), _seconds("soon"), _seconds("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
    (120.0, None, None)
    """
    text = retry_after.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
        aware = when if when.tzinfo is not None else when.replace(tzinfo=datetime.UTC)
        return max(0.0, (aware - datetime.datetime.now(datetime.UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError):
        return None
