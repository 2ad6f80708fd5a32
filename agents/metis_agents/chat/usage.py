"""What a model used: tokens, requests, and how often it was cut off; and what that costs."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.registries import nearest

__all__ = ["Prices", "Usage", "read_prices", "total", "usage_of"]

_MILLION = 1_000_000.0
_MAX_COUNT = 10**12  # what is larger is no count of tokens, and sums of it would be no numbers any more


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one episode used, or many together.

    Attributes:
        requests: Answers of the model.
        prompt_tokens: Tokens that the model read, those of the cache included.
        completion_tokens: Tokens that the model wrote, those of its reasoning included.
        cached_tokens: Of the prompt tokens, those that the server had in its cache.
        reasoning_tokens: Of the completion tokens, those of a reasoning that the server does not show.
        estimated: Requests whose tokens were estimated, for the server did not say.
        cut: Turns that ended at the limit of tokens.
        refused: Episodes that ended because the model, or a filter before it, refused.
        overflow: Episodes that ended because the conversation did not fit the model's context any more.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: int = 0
    cut: int = 0
    refused: int = 0
    overflow: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(**{name: value + getattr(other, name) for name, value in dataclasses.asdict(self).items()})

    def to_json(self) -> dict[str, int]:
        """What is not 0."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}

    @classmethod
    def from_json(cls, read: Any) -> "Usage":
        """The inverse of `to_json`.

        Raises:
            ValueError: It is something else.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(read, dict) or not read.keys() <= names or not all(_is_count(n) for n in read.values()):
            raise ValueError(f"expected whole numbers by name ({', '.join(sorted(names))}), actually: {read!r:.80}")
        return cls(**read)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of a million tokens, in the user's currency.

    Attributes:
        read: Of prompt tokens.
        written: Of completion tokens.
        cached: Of prompt tokens that were in the server's cache; None if they cost what the others do.
    """

    read: float
    written: float
    cached: float | None = None

    def cost(self, usage: Usage) -> float:
        """What this usage costs.

        >>> Prices(read=1.0, written=10.0).cost(Usage(prompt_tokens=500_000, completion_tokens=100_000))
        1.5
        """
        cached = self.read if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (fresh * self.read + usage.cached_tokens * cached + usage.completion_tokens * self.written) / _MILLION


def total(usages: Iterable[Usage]) -> Usage:
    """All together."""
    return sum(usages, Usage())


def read_prices(text: str) -> Prices:
    """Read `in=…,out=…,cached=…`, prices of a million tokens.

    Raises:
        ConfigError: It cannot be read; the message says what is expected.

    >>> read_prices("in=0.2,out=1")
    Prices(read=0.2, written=1.0, cached=None)
    """
    expected = "expected in=PRICE,out=PRICE[,cached=PRICE] of a million tokens"
    given: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in ("in", "out", "cached"):
            raise ConfigError(f"--price {text}: {nearest(name.strip(), ('in', 'out', 'cached'))} {expected}")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(f"--price {text}: {value!r} is no number; {expected}") from None
    if not {"in", "out"} <= given.keys() or not all(0 <= price < float("inf") for price in given.values()):
        raise ConfigError(f"--price {text}: {expected}, none of them negative")
    return Prices(read=given["in"], written=given["out"], cached=given.get("cached"))


def usage_of(said: Any) -> Usage | None:
    """What a server says of one request, in OpenAI's form; None if it does not say, or says it in another form."""
    if not isinstance(said, Mapping):
        return None
    prompt, completion = said.get("prompt_tokens"), said.get("completion_tokens")
    if not (_is_count(prompt) and _is_count(completion)):
        return None
    cached = _detail(said, "prompt_tokens_details", "cached_tokens")
    return Usage(
        requests=1,
        prompt_tokens=int(prompt),  # type: ignore[arg-type]  # _is_count
        completion_tokens=int(completion),  # type: ignore[arg-type]
        cached_tokens=min(cached, int(prompt)),  # type: ignore[arg-type]
        reasoning_tokens=_detail(said, "completion_tokens_details", "reasoning_tokens"),
    )


def _detail(said: Mapping[str, Any], part: str, name: str) -> int:
    details = said.get(part)
    value = details.get(name) if isinstance(details, Mapping) else None
    return int(value) if _is_count(value) else 0  # type: ignore[arg-type]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
