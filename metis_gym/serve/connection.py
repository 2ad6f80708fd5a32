"""A session on one of several servers. What goes wrong on the way is an `InfrastructureError`: failed, not wrong."""

import contextlib
import functools
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from metis_gym.errors import ConfigError, InfrastructureError, MissingDependencyError
from metis_gym.http import Client, Policy, check_url

__all__ = ["Session", "read_spec", "read_token"]

_MAX_BYTES = 256 << 20
"""Longest message of a server: the images of one turn."""
_CONNECT = 20.0
_FORMAT = 1
_turn = itertools.count()


def read_token(variable: str) -> str:
    """The token that an environment variable holds; empty where none is named.

    Raises:
        ConfigError: The variable is not set.
    """
    if not variable:
        return ""
    token = os.environ.get(variable, "").strip()
    if not token:
        raise ConfigError(f"the environment variable {variable!r}, named by token_env, is not set")
    return token


def read_spec(urls: Sequence[str], token: str) -> Mapping[str, Any]:
    """What the servers serve; they must all serve the same.

    Raises:
        ConfigError: There is no address, one is not valid, or two servers serve different environments.
        InfrastructureError: A server cannot be asked, or refuses.
    """
    if isinstance(urls, str) or not urls:
        raise ConfigError(f"Expect the addresses of servers, such as ['http://127.0.0.1:8000'], actually: {urls!r}")
    first, *others = (_spec_of(url.rstrip("/"), token) for url in urls)
    for url, other in zip(urls[1:], others, strict=True):
        if other != first:
            raise ConfigError(f"Expect all servers to serve the same environment, actually: {urls[0]} and {url} differ")
    spec: Mapping[str, Any] = json.loads(first)
    return spec


@functools.lru_cache(maxsize=1024)
def _spec_of(url: str, token: str) -> str:
    """What a server serves, as JSON with sorted keys."""
    service = "the environments"
    check_url(service, url)
    client = Client(service=f"{service} at {url}", policy=Policy(timeout=_CONNECT, retries=2))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = client.json("GET", f"{url}/spec", headers=headers)
    known = isinstance(answer, dict) and isinstance(answer.get("env_id"), str) and isinstance(answer.get("env"), dict)
    if not known or answer.get("format") != _FORMAT:
        raise ConfigError(
            f"Expect a server of `metis-gym serve` of format {_FORMAT} at {url}, actually: another kind or version"
        )
    return json.dumps(answer, sort_keys=True)


class Session:
    """A session: one environment on one server, as long as the connection lasts.

    Args:
        urls: The servers. Sessions are spread over them; one that has no room is passed over.
        token: What the servers want to be shown; empty for nothing.
        timeout: Seconds to wait for an answer: the longest time that a turn's tools may take.
    """

    def __init__(self, urls: Sequence[str], token: str, timeout: float) -> None:
        self._urls, self._token, self._timeout = tuple(url.rstrip("/") for url in urls), token, timeout
        self._socket: Any = None
        self._open = contextlib.ExitStack()

    def begin(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Start an episode, on a new connection if the old one is gone, and on another server if one has no room.

        Raises:
            InfrastructureError: No server can begin it.
        """
        failures: list[str] = []
        if self._socket is not None:
            try:
                return self._ask({"type": "reset", "data": dict(request)})
            except InfrastructureError as error:
                failures.append(str(error))
                self.close()
        start = next(_turn)
        for place in range(len(self._urls)):
            try:
                self._connect(self._urls[(start + place) % len(self._urls)])
                return self._ask({"type": "reset", "data": dict(request)})
            except InfrastructureError as error:
                failures.append(str(error))
                self.close()
        raise InfrastructureError("no server could begin the episode: " + "; ".join(failures))

    def act(self, text: str) -> Mapping[str, Any]:
        """Take a turn. It is never sent twice: code must not run twice.

        Raises:
            InfrastructureError: The connection or the server failed.
        """
        if self._socket is None:
            raise InfrastructureError("the connection is lost")
        try:
            return self._ask({"type": "step", "data": {"text": text}})
        except InfrastructureError:
            self.close()
            raise

    def close(self) -> None:
        """End the session; the server frees it at once."""
        self._socket = None
        with contextlib.suppress(Exception):  # it is closed in any case
            self._open.close()

    def _connect(self, url: str) -> None:
        try:
            from websockets.exceptions import WebSocketException
            from websockets.sync.client import connect
        except ImportError as error:
            raise MissingDependencyError.of("websockets", "openenv", "Playing on other machines") from error
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        try:
            connecting: Any = connect(
                f"{scheme}://{parts.netloc}{parts.path}/ws",
                additional_headers={"Authorization": f"Bearer {self._token}"} if self._token else None,
                compression=None,
                open_timeout=_CONNECT,
                max_size=_MAX_BYTES,
                **({"proxy": None} if parts.hostname in ("localhost", "127.0.0.1", "::1") else {}),
            )
            self._socket = self._open.enter_context(connecting)
        except (OSError, TimeoutError, WebSocketException) as error:
            raise InfrastructureError(f"cannot connect to {url}: {type(error).__name__}") from error

    def _ask(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        from websockets.exceptions import WebSocketException

        try:
            self._socket.send(json.dumps(message))
            answer = json.loads(self._socket.recv(timeout=self._timeout))
        except (OSError, TimeoutError, ValueError, RecursionError, WebSocketException) as error:
            raise InfrastructureError(f"the connection failed: {type(error).__name__}") from error
        data = answer.get("data") if isinstance(answer, dict) else None
        if isinstance(data, dict) and answer.get("type") == "observation" and isinstance(data.get("observation"), dict):
            return data
        said = str(data.get("message", ""))[:200] if isinstance(data, dict) else ""
        raise InfrastructureError(f"the server gave no observation: {said or 'its answer cannot be read'}")
