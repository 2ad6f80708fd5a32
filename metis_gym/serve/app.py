"""The server's ASGI application: OpenEnv's, behind a guard that lets nothing else through.

OpenEnv's application has more routes than are needed here. Some of them make an environment for each request, beyond
any limit on sessions. The guard passes on `/ws`, the sessions, and `GET` of `/health`, `/schema` and `/spec`, which
tells what is served. Requests of browsers are refused: they name their origin.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import gymnasium as gym
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.types import ConcurrencyConfig

from metis_gym.backstage import backstage
from metis_gym.errors import ConfigError
from metis_gym.recording.choices import LEFT_OUT
from metis_gym.registration import find_spec
from metis_gym.serve.environment import MetisEnvironment
from metis_gym.serve.images import IMAGE_FORMATS
from metis_gym.serve.models import MetisAction, MetisObservation, MetisState

__all__ = ["FORMAT", "MIN_TOKEN", "Guard", "ServeConfig", "make_app"]

FORMAT = 1
"""The version of what `/spec` tells."""

MIN_TOKEN = 16
"""Fewest characters of a token."""

_READABLE = frozenset({"/health", "/schema", "/spec"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NO_ENTRY, _NOT_FOUND, _NOT_ALLOWED = 403, 404, 405
_CLOSED = 1008

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """What is served.

    Attributes:
        env_id: Id of the environment.
        env: Its arguments.
        sessions: Most sessions at a time.
        idle: Seconds after which a session that does nothing is ended.
        image_format: The form in which images are sent.
        token: What a client must show; empty on loopback only.
    """

    env_id: str = "MetisVQA-v0"
    env: Mapping[str, Any] = field(default_factory=dict)
    sessions: int = 16
    idle: float = 600.0
    image_format: str = "png"
    token: str = ""

    def __post_init__(self) -> None:
        if self.image_format not in IMAGE_FORMATS:
            raise ConfigError(
                f"Expect `image_format` to be {' or '.join(IMAGE_FORMATS)}, actually: {self.image_format!r}"
            )
        if self.sessions < 1 or not self.idle > 0:
            raise ConfigError(f"Expect sessions and idle above 0, actually: {self.sessions} and {self.idle}")
        if self.token and (len(self.token) < MIN_TOKEN or not self.token.isascii() or not self.token.isprintable()):
            raise ConfigError(f"Expect a token of at least {MIN_TOKEN} printable ASCII characters")

    def make_env(self, split: str | None = None) -> gym.Env[Any, Any]:
        """An environment, of another split than the arguments say where one is named."""
        kwargs = {**self.env, **({} if split is None else {"split": split})}
        return gym.make(self.env_id, disable_env_checker=True, **kwargs)


class Guard:
    """Refuses what is not a request of a client with the token.

    Args:
        app: What answers the others.
        token: What a client must show; empty for none, and then only requests to a loopback name pass.
        spec: The answer to `/spec`, JSON.
    """

    def __init__(self, app: App, token: str, spec: bytes) -> None:
        self._app, self._token, self._spec = app, token.encode(), spec

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        status = self._refusal(scope)
        if scope["type"] == "websocket":
            if status:
                await receive()
                await send({"type": "websocket.close", "code": _CLOSED})
            else:
                await self._app({**scope, "query_string": b""}, receive, send)
        elif status:
            await _answer(send, status, b'{"error": "refused"}')
        elif scope["path"] == "/spec":
            await _answer(send, 200, self._spec)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> int:
        """The status with which a request is refused; 0 where it is not."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        if b"origin" in headers or not self._is_known(headers):
            return _NO_ENTRY
        if scope["type"] == "websocket":
            return 0 if scope["path"] == "/ws" else _NOT_FOUND
        if scope["path"] not in _READABLE:
            return _NOT_FOUND
        return 0 if scope["method"] == "GET" else _NOT_ALLOWED

    def _is_known(self, headers: Mapping[bytes, bytes]) -> bool:
        if self._token:
            return hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + self._token)
        host = urlsplit("//" + headers.get(b"host", b"").decode("latin-1")).hostname
        return host in _LOOPBACK


def make_app(config: ServeConfig) -> App:
    """The application that serves a configuration.

    Raises:
        ConfigError: An argument of the environment is not valid; one environment is made to find out.
    """
    spec = find_spec(config.env_id)
    made = config.make_env()
    told = {
        "format": FORMAT,
        "env_id": config.env_id,
        "env": {name: value for name, value in {**spec.kwargs, **config.env}.items() if name not in LEFT_OUT},
        "dialect": backstage(made).dialect.name,
        "image_format": config.image_format,
    }
    split = str(config.env.get("split", "train"))
    made.close()

    class Session(MetisEnvironment):
        """A session of this configuration."""

        def __init__(self) -> None:
            super().__init__(config.make_env, split, config.image_format)

    app = create_fastapi_app(
        Session,
        MetisAction,
        MetisObservation,
        concurrency_config=ConcurrencyConfig(max_concurrent_envs=config.sessions, session_timeout=config.idle),
        env_name="metis",
        state_cls=MetisState,
        mode="simulation",
    )
    return Guard(app, config.token, json.dumps(told).encode())


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
