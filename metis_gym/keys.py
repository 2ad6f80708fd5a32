"""Keys to services: given explicitly, shown nowhere."""

import json
import os
from urllib.parse import quote, quote_plus

from metis_gym.errors import ConfigError

__all__ = ["ApiKey"]

_HIDDEN = "***"


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
        """The text without the key, in plain form or as it stands in an address or in JSON."""
        for form in (self._value, quote_plus(self._value), quote(self._value, safe=""), json.dumps(self._value)[1:-1]):
            text = text.replace(form, _HIDDEN)
        return text
