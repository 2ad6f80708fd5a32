"""`openai:`: any chat-completions endpoint as an agent: hosted models, or a vLLM or SGLang server beside us."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metis_agents.chat.agent import ChatAgent
from metis_agents.chat.client import ChatClient, Completion, ContextOverflowError
from metis_agents.chat.images import ImageFormat
from metis_agents.chat.limiter import Limiter
from metis_agents.chat.messages import Conversation
from metis_agents.chat.requests_log import RequestLog
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.http import check_url
from metis_gym.keys import ApiKey

__all__ = ["EndpointAgent", "read_extra"]

_STUB = "stub"
_LIMITS = ("max_tokens", "max_completion_tokens")


class EndpointAgent(ChatAgent):
    """Asks a chat-completions endpoint for each turn.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server's address, such as "http://127.0.0.1:8000/v1"; "stub" starts one that answers with a
            script, in this process ("stub?faults=0.2" for one that fails now and then).
        api_key_env: Name of the environment variable that holds the key; none for a server that needs no key.
        api_key: The key itself, in Python only.
        temperature: Of sampling; none leaves it to the server.
        max_tokens: Most tokens of a turn; none leaves it to the server.
        max_tokens_field: "max_tokens", or "max_completion_tokens", which some servers want instead.
        extra: JSON that is merged into each request, such as '{"top_k": 20}'.
        image_format: "png", "jpeg", or "auto": PNG up to 4 megapixels, JPEG above.
        view_side: Longest side of an image that is sent; larger ones are reduced.
        view_pixels: Most pixels of an image that is sent; larger ones are reduced.
        max_request_bytes: Longest request; beyond it all images are sent as JPEG, and then it is a `BudgetError`.
        timeout: Seconds that an answer may take.
        attempts: How often a request is sent before the episode is given up as unscored.
        label: Names its rows in tables; the model's name if none.

    Raises:
        ConfigError: An argument is not valid.
    """

    def __init__(
        self,
        *,
        model: str = "",
        base_url: str = "",
        api_key_env: str | None = None,
        api_key: str | None = None,
        temperature: float | None = 0.0,
        max_tokens: int | None = 8192,
        max_tokens_field: str = "max_tokens",
        extra: str | Mapping[str, Any] = "",
        image_format: str = "auto",
        view_side: int | None = None,
        view_pixels: int | None = None,
        max_request_bytes: int = 20_000_000,
        timeout: float = 600.0,
        attempts: int = 6,
        label: str | None = None,
    ) -> None:
        self._given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        is_stub = isinstance(base_url, str) and base_url.partition("?")[0] == _STUB
        if not base_url or not (model or is_stub):
            raise ConfigError(
                "an endpoint needs model= and base_url=, such as openai:model=NAME,base_url=http://127.0.0.1:8000/v1; "
                "base_url=stub plays with a script, offline"
            )
        if max_tokens_field not in _LIMITS:
            raise ConfigError(f"max_tokens_field must be one of {', '.join(_LIMITS)}, actually: {max_tokens_field!r}")
        if not isinstance(attempts, int) or attempts < 1:
            raise ConfigError(f"attempts must be at least 1, actually: {attempts!r}")
        self._model = str(model or _STUB)
        self._extra = read_extra(extra)
        self._images = ImageFormat(kind=image_format, view_side=view_side, view_pixels=view_pixels)
        self._max_bytes = max_request_bytes
        self._options = {"temperature": temperature, max_tokens_field: max_tokens}
        key = None if api_key is None and api_key_env is None else ApiKey("openai", value=api_key, env=api_key_env)
        url = _stub_url(base_url) if is_stub else check_url("openai", base_url)
        self._client = ChatClient(
            url=url.rstrip("/") + self.path, key=key, timeout=timeout, attempts=attempts, limiter=Limiter(1)
        )
        settings = {key: value for key, value in self._given.items() if key not in _NOT_SETTINGS}
        super().__init__(label or self._model, {**settings, "model": self._model, "extra": self._extra})

    path = "/chat/completions"
    """What follows the server's address."""

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is made anew from the arguments; one that was given the key itself is not pickled."""
        if self._given["api_key"] is not None:
            raise TypeError("a key is not pickled: give api_key_env, or make the agent anew from its arguments")
        return _make, (type(self), self._given)

    @property
    def warnings(self) -> Sequence[str]:
        """Fields that the server refused."""
        return tuple(self._client.warnings)

    def expect(self, parallel: int) -> None:
        """So many clones will ask at a time."""
        self._client.limiter.widen(parallel)

    def log_requests(self, path: Path) -> None:
        """Keep requests and answers in a file."""
        self._client.log = RequestLog(path)

    def complete(self, conversation: Conversation, seed: int) -> Completion:
        """Ask the endpoint."""
        has_begun = any(message["role"] == "assistant" for message in conversation.messages)
        try:
            return self._client.complete(self.body(conversation, seed))
        except ContextOverflowError:
            if not has_begun:
                self._client.warn(_TOO_LONG)
            raise
        except BudgetError as error:
            if not has_begun:
                raise
            raise ContextOverflowError(str(error)) from None  # it is what the model wrote, and what it asked for

    def body(self, conversation: Conversation, seed: int) -> dict[str, Any]:
        """The request for the next turn.

        Raises:
            BudgetError: It is larger than a request may be.
        """
        if len(conversation.messages) <= _FIRST_MESSAGES:
            self._images = self._images.fresh()  # images of earlier episodes are not needed any more
        body: dict[str, Any] = {
            "model": self._model,
            "messages": conversation.rendered(self._images, self._max_bytes),
            **{key: value for key, value in self._options.items() if value is not None},
            "seed": seed,
        }
        if self._stops:
            body["stop"] = list(self._stops)
        if conversation.is_open:  # as vLLM and SGLang call it
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if conversation.tools:
            body |= {"tools": conversation.tools, "tool_choice": "auto"}
        return body | self._extra


_NOT_SETTINGS = ("api_key", "api_key_env", "timeout", "attempts", "label")
_FIRST_MESSAGES = 2
_TOO_LONG = (
    "the first prompt of an episode is longer than the model's context: serve the model with a longer one, or show "
    "smaller images (--env.view-size)"
)


def read_extra(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request, from JSON or a mapping.

    Raises:
        ConfigError: It is no JSON object.
    """
    if isinstance(given, Mapping):
        return dict(given)
    try:
        read = json.loads(given) if given else {}
    except ValueError as error:
        raise ConfigError(f"extra must be a JSON object such as '{{\"top_k\": 20}}', actually: {given!r}") from error
    if not isinstance(read, dict):
        raise ConfigError(f"extra must be a JSON object such as '{{\"top_k\": 20}}', actually: {given!r}")
    return read


def _make(kind: type[EndpointAgent], given: Mapping[str, Any]) -> EndpointAgent:
    return kind(**given)


def _stub_url(base_url: str) -> str:
    from metis_agents.chat.stub import shared_stub

    return shared_stub(base_url.partition("?")[2])
