"""Keys to services: given explicitly, shown nowhere."""

import logging
import os
from urllib.parse import quote_plus

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
        ConfigError: Neither or both are given, or the variable is not set.
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
        self._value = str(value)

    def __repr__(self) -> str:
        return f"ApiKey({_HIDDEN})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not pickled: make the engine anew from its arguments")

    def reveal(self) -> str:
        """The key, to be sent to its service and nowhere else."""
        return self._value

    def hide_in(self, text: str) -> str:
        """The text without the key, in plain form or as it stands in an address."""
        for form in (self._value, quote_plus(self._value)):
            text = text.replace(form, _HIDDEN)
        return text

    def hide_in_logs(self) -> None:
        """Keep the key out of what urllib3 logs of addresses, for services that want it there."""
        logging.getLogger("urllib3.connectionpool").addFilter(self._hide_in_record)

    def _hide_in_record(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(self.hide_in(part) if isinstance(part, str) else part for part in record.args)
        return True
