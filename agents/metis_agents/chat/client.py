"""Asks a chat-completions endpoint, and tells apart what may pass, what is the model's own, and what ends the run.

| the server says | what happens |
|---|---|
| no connection, no answer in time, 408, 409, 429, 5xx, 200 without choices | asked again, then `EndpointError` |
| 400: the conversation is longer than the model's context | `ContextOverflowError`: the model's own doing |
| 400 that names `seed`, `stop` or `temperature` | asked without that field from now on, with a warning |
| any other status | `ConfigError` with the server's words: a wrong key, a wrong model, a malformed request |
"""

import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metis_agents.chat.limiter import Limiter
from metis_agents.chat.requests_log import RequestLog
from metis_agents.chat.usage import Usage, usage_of
from metis_gym.errors import ConfigError, EndpointError, InfrastructureError
from metis_gym.http import Answer, Client, Policy
from metis_gym.keys import ApiKey
from metis_gym.terminal import printable

__all__ = ["ChatClient", "Completion", "ContextOverflowError"]

_MAX_BYTES = 32 << 20
_MAX_MESSAGE = 2 << 20  # some 500,000 tokens: no turn is that long, and recordings take lines of 8 MiB
_FIRST_PAUSE, _MAX_PAUSE = 0.5, 60.0
_PASSING = (408, 409, 429)
_OPTIONAL = ("seed", "stop", "temperature")
_LIMITS = ("max_tokens", "max_completion_tokens")
_MAX_WORDS = 600
_MIN_SECRET = 8
_MAX_DEPTH = 64
_OVERFLOW = re.compile(
    r"context[ _](?:length|window|size)|max_model_len|maximum (?:model|input) length|range of input length|"
    r"input token count|too many (?:input |prompt )?tokens|prompt is too long|reduce the length",
    re.IGNORECASE,
)


class ContextOverflowError(Exception):
    """The conversation is longer than the model's context."""


class _HttpClient(Client):
    raises = EndpointError


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model wrote.

    Attributes:
        message: The assistant's message, as the server sent it.
        finish_reason: Why it ended, in the server's word; empty if it does not say.
        stop: The stop string that ended it, where the server says so.
        usage: Tokens of this request; None if the server does not say.
    """

    message: Mapping[str, Any]
    finish_reason: str
    stop: str
    usage: Usage | None


@dataclass(frozen=True)
class _Passing:
    """Why an attempt failed that may be repeated."""

    reason: str
    wait: float | None = None


@dataclass(kw_only=True, eq=False)
class ChatClient:
    """Asks one endpoint. Safe for threads, which share one.

    Attributes:
        url: Of the chat completions.
        key: Sent as a bearer token; None for a server that needs none.
        timeout: Seconds for one attempt.
        attempts: How often a request is sent, at most.
        limiter: How many requests are on their way at a time.
        sleep: Waits.
        warnings: What the report must say, such as a field that the server refuses.
        log: Keeps requests and answers, where there is one.
    """

    url: str
    key: ApiKey | None
    timeout: float = 600.0
    attempts: int = 6
    limiter: Limiter = field(default_factory=lambda: Limiter(1))
    sleep: Callable[[float], None] = time.sleep
    warnings: list[str] = field(default_factory=list)
    log: RequestLog | None = None

    def __post_init__(self) -> None:
        """Connect nothing yet."""
        policy = Policy(timeout=self.timeout, retries=0, max_bytes=_MAX_BYTES)
        self._http = _HttpClient(service="the endpoint", policy=policy, key=self.key)
        self._dropped: set[str] = set()
        self._lock = threading.Lock()

    def complete(self, body: Mapping[str, Any]) -> Completion:
        """Have the model write its next turn.

        Args:
            body: The request, in OpenAI's form.

        Raises:
            EndpointError: No usable answer, however often it was asked.
            ContextOverflowError: The conversation is longer than the model's context.
            ConfigError: The server refuses the request for a reason that does not pass.
        """
        failed = _Passing("")
        for attempt in range(self.attempts):
            if attempt:
                self.sleep(_pause(attempt - 1, failed.wait))
            found = self._attempt(body)
            if isinstance(found, Completion):
                return found
            failed = found
        raise EndpointError(f"the endpoint: {failed.reason} ({self.attempts} of {self.attempts} attempts)")

    def _attempt(self, body: Mapping[str, Any]) -> Completion | _Passing:
        sent = {name: value for name, value in body.items() if name not in self._dropped}
        answer = self._asked(sent)
        if isinstance(answer, _Passing):
            return answer
        if 200 <= answer.status < 300:
            return self._read(answer, sent)
        words = self._words(answer)
        if self.log is not None:
            self.log.write(sent, {"status": answer.status, "said": words})
        if answer.status == 429:
            self.limiter.too_many()
        if answer.status in _PASSING or answer.status >= 500:
            return _Passing(f"HTTP {answer.status}{': ' if words else ''}{words}", answer.wait)
        return self._refused(answer.status, words, sent)

    def _asked(self, sent: Mapping[str, Any]) -> Answer | _Passing:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key.reveal()}"}
        try:
            with self.limiter.one_request():
                return self._http.ask("POST", self.url, headers=headers, json=sent)
        except InfrastructureError as error:
            if self.log is not None:
                self.log.write(sent, {"failure": str(error)})
            return _Passing(str(error).removeprefix("the endpoint: "))

    def _read(self, answer: Answer, sent: Mapping[str, Any]) -> Completion | _Passing:
        try:
            read = self._without_key(json.loads(answer.body, parse_constant=_refuse_constant))
        except (ValueError, RecursionError):
            read = None
        if self.log is not None:
            self.log.write(sent, {"status": 200, "answer": read})
        choices = read.get("choices") if isinstance(read, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(read, dict):
            return _Passing("an answer that is no JSON")
        failure = _failure_in(read, choice)
        if failure is not None:
            return _Passing(f"an answer that is an error: {self._said(failure)}", answer.wait)
        if not isinstance(choice, dict) or not isinstance(message, dict):
            return _Passing("an answer without choices")
        size = len(json.dumps(message))
        if size > _MAX_MESSAGE:
            return _Passing(f"a message of {size:,} bytes; at most {_MAX_MESSAGE:,} are taken")
        self.limiter.success()
        stop = choice.get("stop_reason")
        return Completion(
            message=message,
            finish_reason=str(choice.get("finish_reason") or ""),
            stop=stop if isinstance(stop, str) else "",
            usage=usage_of(read.get("usage")),
        )

    def _refused(self, status: int, words: str, sent: Mapping[str, Any]) -> Completion | _Passing:
        """A refusal that repeating will not change: shorten the request where that may help, else say it."""
        if status == 400 and _OVERFLOW.search(words):
            limits = [name for name in _LIMITS if name in sent and name in words]
            if limits:  # the prompt may fit, and only the room for the answer not
                return self._attempt({name: value for name, value in sent.items() if name not in limits})
            raise ContextOverflowError(words)
        named = [name for name in _OPTIONAL if name in sent and re.search(rf"\b{name}\b", words)]
        if status == 400 and named:
            self._drop(named, words)
            return self._attempt(sent)
        if 300 <= status < 400:
            words = f"a redirect, which is not followed; check base_url {words}".strip()
        raise ConfigError(f"the endpoint {self.url} answers HTTP {status}: {words or '(no words)'}")

    def _drop(self, names: list[str], words: str) -> None:
        with self._lock:
            fresh = [name for name in names if name not in self._dropped]
            self._dropped.update(fresh)
        for name in fresh:
            self.warn(f"the server refuses the field {name!r}, which is no longer sent: {words}")

    def warn(self, text: str) -> None:
        """Have the report say something, once."""
        with self._lock:
            if text not in self.warnings:
                self.warnings.append(text)

    def _words(self, answer: Answer) -> str:
        """What a refusal says, without the key."""
        try:
            said: Any = self._without_key(json.loads(answer.body))
        except (ValueError, RecursionError):
            said = answer.body.decode("utf-8", "replace")
        return self._said(said.get("error", said) if isinstance(said, dict) else said)

    def _said(self, said: Any) -> str:
        """The words of an error, as it was read from JSON."""
        if isinstance(said, dict):
            parts = [said.get(name) for name in ("message", "detail", "code", "param")]
            said = "; ".join(str(part) for part in parts if part) or json.dumps(said)
        return printable(self._hide(str(said)))[:_MAX_WORDS].strip()

    def _hide(self, text: str) -> str:
        return text if self.key is None else self.key.hide_in(text)

    def _without_key(self, read: Any, depth: int = 0) -> Any:
        """What was read, the key hidden in every text: a server may repeat it.

        A dummy key such as "none" is no secret, and may well be a word of the answer.

        Raises:
            ValueError: It is nested too deeply to be sent back.
        """
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
        if isinstance(read, str):
            return read if self.key is None or len(self.key.reveal()) < _MIN_SECRET else self._hide(read)
        if isinstance(read, list):
            return [self._without_key(item, depth + 1) for item in read]
        if isinstance(read, dict):
            return {
                self._without_key(name, depth + 1): self._without_key(item, depth + 1) for name, item in read.items()
            }
        return read


def _failure_in(read: Mapping[str, Any], choice: Any) -> Any:
    """What an answer of status 200 says in place of a turn: gateways report failures of the server behind them so."""
    choice = choice if isinstance(choice, dict) else {}
    if choice.get("finish_reason") == "error":
        return choice.get("error") or read.get("error") or "finish_reason is 'error'"
    return choice.get("error") or (read.get("error") if not choice else None)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and the infinities are no JSON, and could not be sent back


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds to wait after attempt number `attempt`: what the server asks for, or .5·2ᵏ with jitter; at most 60."""
    wait = _FIRST_PAUSE * 2.0 ** min(attempt, 30) if asked is None else asked
    return min(_MAX_PAUSE, wait * random.uniform(1.0, 1.25))
