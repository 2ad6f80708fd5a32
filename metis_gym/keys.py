"""Keys to services: given explicitly, shown nowhere."""

import base64
import functools
import html
import json
import os
import re
from urllib.parse import quote, quote_plus

from metis_gym.errors import ConfigError

__all__ = ["ApiKey"]

_HIDDEN = "***"
_MIN_ENCODED = 8  # what encodes a shorter one may well be part of something else


class ApiKey:
    """A key, from an argument or from the environment variable that an argument names.

    Args:
        service: Whose key it is, for messages.
        value: The key itself.
        env: The name of the environment variable that holds it.

    Raises:
        ConfigError: Neither or both are given, the variable is not set, or the key cannot stand in a header.
    """

    def __init__(self, service: str, *, value: str | None, env: str | None) -> None:
        if (value is None) == (env is None):
            raise ConfigError(
                f"{service} needs its key as api_key_env, the name of an environment variable, or (in Python only) as "
                f"api_key; {'both were' if value is not None else 'neither was'} given"
            )
        if env is not None:
            value = os.environ.get(str(env), "")
            if not value:
                raise ConfigError(f"{service}: the environment variable {env!r}, named by api_key_env, is not set")
        self._value = str(value).strip()
        if not (self._value and self._value.isascii() and self._value.isprintable()):
            raise ConfigError(f"{service}: a key is one line of printable ASCII characters; this one is not")

    def __repr__(self) -> str:
        return f"ApiKey({_HIDDEN})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not pickled: make the engine anew from its arguments")

    def reveal(self) -> str:
        """The key, to be sent to its service and nowhere else."""
        return self._value

    def hide_in(self, text: str) -> str:
        """The text without the key: plain, or as it stands in an address, in JSON, in HTML or in base64."""
        for form in self._forms:
            text = form.sub(_HIDDEN, text)
        return text

    @functools.cached_property
    def _forms(self) -> tuple[re.Pattern[str], ...]:
        """The forms in which a service may repeat the key, the longest first, in either case."""
        value = self._value
        in_json = json.dumps(value)[1:-1]
        forms = {value, in_json, json.dumps(in_json)[1:-1], html.escape(value), html.escape(value, quote=False)}
        forms |= {form.replace("/", "\\/") for form in (value, in_json)}
        forms |= {quote_plus(value), quote(value), quote(value, safe="")}
        if len(value) < _MIN_ENCODED:
            return tuple(re.compile(re.escape(form)) for form in sorted(forms, key=len, reverse=True))
        forms |= {value.encode().hex(), *(_in_base64(value, before) for before in range(3))}
        return tuple(re.compile(re.escape(form), re.IGNORECASE) for form in sorted(forms, key=len, reverse=True))


def _in_base64(value: str, before: int) -> str:
    """What base64 makes of a text behind so many other bytes, and which does not depend on these or on what follows."""
    whole = base64.b64encode(b"\0" * before + value.encode()).decode()
    return whole[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
