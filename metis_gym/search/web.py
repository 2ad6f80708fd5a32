"""One request to a service: bounded in time, in size and in attempts; it gives JSON or a `SearchError` with a reason.

Tried again: no connection, time-outs, 429 and 5xx, as often as the policy says, after the time that the service asks
for. Not tried again: everything else. Redirects are not followed, for they would carry the key elsewhere.
"""

import datetime
import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from metis_gym.errors import ConfigError, SearchError
from metis_gym.search.keys import ApiKey

if TYPE_CHECKING:
    import requests

__all__ = ["Client", "Policy", "check_url"]

_CHUNK = 65_536
_LONGEST_REASON = 300


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long and how often a service is asked.

    Attributes:
        timeout: Seconds for one attempt, from the first byte sent to the last one read.
        retries: Further attempts after the first.
        first_wait: Seconds before the second attempt where the service names none; doubled at each further one.
        longest_wait: Most seconds to wait; a service that asks for more is not asked again.
        max_bytes: Longest answer that is read.

    Raises:
        ConfigError: One of them is negative, or there is no time.
    """

    timeout: float = 20.0
    retries: int = 2
    first_wait: float = 0.5
    longest_wait: float = 30.0
    max_bytes: int = 8 << 20

    def __post_init__(self) -> None:
        """Check the values."""
        if self.timeout <= 0 or min(self.retries, self.first_wait, self.longest_wait, self.max_bytes) < 0:
            raise ConfigError(f"timeout must be positive and nothing else negative, actually: {self}")


@dataclass(frozen=True, kw_only=True)
class Client:
    """Asks one service.

    Attributes:
        service: Its name, for messages.
        policy: How long and how often.
        key: Kept out of every message; None if the service needs none.
        sleep: Waits.
    """

    service: str
    policy: Policy
    key: ApiKey | None = None
    sleep: Callable[[float], None] = field(default=time.sleep)

    def json(self, method: str, url: str, **request: Any) -> Any:
        """Send a request and read its answer as JSON.

        Args:
            method: "GET" or "POST".
            url: The address.
            **request: `headers`, `params` and `json` as requests takes them.

        Raises:
            SearchError: There is no answer, or none that is JSON; the message says why and holds no key.
        """
        body = self.fetch(method, url, **request)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self.error(f"the answer is not JSON ({error}): {_excerpt(body)}") from None

    def fetch(self, method: str, url: str, **request: Any) -> bytes:
        """Send a request and read its answer.

        Raises:
            SearchError: There is no answer; the message says why and holds no key.
        """
        for attempt in range(self.policy.retries + 1):
            try:
                return self._attempt(method, url, request)
            except _TryAgainError as problem:
                wait = problem.wait if problem.wait is not None else self.policy.first_wait * 2**attempt
                if attempt == self.policy.retries:
                    raise self.error(f"{problem} ({attempt + 1} of {attempt + 1} attempts)") from None
                if wait > self.policy.longest_wait:
                    raise self.error(f"{problem}; it asks for a pause of {wait:.0f} s") from None
                self.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def error(self, reason: str) -> SearchError:
        """An error with a reason, without the key."""
        text = f"{self.service}: {reason}"
        return SearchError(text if self.key is None else self.key.hide_in(text))

    def _attempt(self, method: str, url: str, request: Mapping[str, Any]) -> bytes:
        import requests

        deadline = time.monotonic() + self.policy.timeout
        try:
            with (
                requests.Session() as session,
                session.request(
                    method,
                    url,
                    timeout=self.policy.timeout,
                    stream=True,
                    allow_redirects=False,
                    auth=_leave_alone,
                    **request,
                ) as response,
            ):
                body = self._read(response, deadline)
        except requests.Timeout:
            raise _TryAgainError(f"no answer within {self.policy.timeout:g} s") from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _TryAgainError(f"no connection ({_cause(error)})") from None
        except (requests.RequestException, UnicodeError) as error:
            raise self.error(f"the request failed: {type(error).__name__}: {error}") from None
        if response.status_code == 200:
            return body
        reason = f"HTTP {response.status_code} {response.reason or ''}: {_excerpt(body)}"
        if response.status_code == 429 or response.status_code >= 500:
            raise _TryAgainError(reason, _seconds(response.headers.get("Retry-After", "")))
        raise self.error(reason)

    def _read(self, response: "requests.Response", deadline: float) -> bytes:
        """The body, unless it is too long or comes too slowly."""
        import requests
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        read = cast("Callable[..., bytes]", getattr(response.raw, "read1", response.raw.read))
        parts: list[bytes] = []
        size = 0
        try:
            while chunk := read(_CHUNK, decode_content=True):
                parts.append(chunk)
                size += len(chunk)
                if size > self.policy.max_bytes:
                    raise self.error(f"the answer is longer than {self.policy.max_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout
        except ReadTimeoutError:
            raise requests.ReadTimeout from None
        except HTTPError as error:
            raise requests.ConnectionError(error) from None
        return b"".join(parts)


class _TryAgainError(Exception):
    """An attempt failed in a way that may pass.

    Args:
        reason: What happened.
        wait: Seconds that the service asks to wait; None if it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def check_url(service: str, url: object) -> str:
    """See that this is an address of the web.

    Raises:
        ConfigError: It is not.
    """
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{service}: the address must begin with http:// or https://, actually: {url!r}")
    return str(url)


def _leave_alone(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
    """Authentication that does nothing: without one, requests would put that of a .netrc file over our header."""
    return request


def _cause(error: BaseException) -> str:
    """The kind of the innermost error; the texts of outer ones hold addresses."""
    wrapped = [getattr(error, "reason", None), *error.args, error.__cause__]
    inner = next((part for part in wrapped if isinstance(part, BaseException)), None)
    if inner is not None:
        return _cause(inner)
    said = error.strerror if isinstance(error, OSError) else ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _seconds(retry_after: str) -> float | None:
    """A Retry-After header: seconds, or a date.

    >>> _seconds("120"), _seconds("soon")
    (120.0, None)
    """
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _LONGEST_REASON].decode("utf-8", "replace").split())
    return (text[:_LONGEST_REASON] + "…") if len(text) > _LONGEST_REASON else text or "(no text)"
