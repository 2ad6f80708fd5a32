"""Names for things that users choose by name: families, tools, dialects, reward designs, graders.

An entry is a string `"module:attribute"` until somebody asks for it, so that importing the core stays light. Users add
their own with one decorator and may then use the name anywhere a built-in name goes.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from metis_gym.errors import ConfigError, UnknownNameError

__all__ = ["Registry", "format_spec", "nearest", "parse_spec"]

T = TypeVar("T")


def nearest(name: str, valid: tuple[str, ...]) -> str:
    """Say which valid names are closest to `name`, as the end of an error message.

    >>> nearest("acuracy", ("accuracy", "coupled"))
    "Did you mean 'accuracy'? Valid names: accuracy, coupled."
    """
    close = difflib.get_close_matches(name, valid, n=2, cutoff=0.6)
    hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}Valid names: {', '.join(valid) if valid else '(none)'}."


class Registry(Generic[T]):
    """A table from names to classes or functions that build a `T`.

    Args:
        kind: What the entries are, for error messages ("reward design").
        builtin: Name → `"module:attribute"` of what builds it.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries: dict[str, str | Callable[..., T]] = dict(builtin)

    def names(self) -> tuple[str, ...]:
        """All names that may be used, sorted."""
        return tuple(sorted(self._entries))

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Add an entry, as a decorator of the class or function that builds it.

        Raises:
            ConfigError: The name is taken by something else.
        """

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            known = self._entries.get(name)
            if known is not None and _path(known) != _path(factory):
                raise ConfigError(
                    f"the {self.kind} {name!r} is registered already, as {_path(known)}; choose another name"
                )
            self._entries[name] = factory
            return factory

        return add

    def get(self, name: str) -> Callable[..., T]:
        """Return what builds the entry `name`.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest.
        """
        if name not in self._entries:
            raise UnknownNameError(f"unknown {self.kind} {name!r}. {nearest(name, self.names())}")
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = cast("Callable[..., T]", getattr(importlib.import_module(module), attribute))
            self._entries[name] = entry
        return entry

    def create(self, name: str, **parameters: Any) -> T:
        """Build the entry `name` with `parameters`.

        Raises:
            UnknownNameError: No such name.
            ConfigError: A parameter that the entry does not take, with the nearest one, or one that it needs and lacks.
        """
        factory = self.get(name)
        valid = inspect.signature(factory).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in valid.values()):
            for parameter in parameters:
                if parameter not in valid:
                    hint = nearest(parameter, tuple(valid))
                    raise ConfigError(f"the {self.kind} {name!r} has no parameter {parameter!r}. {hint}")
        for key, taken in valid.items():
            if taken.kind is taken.KEYWORD_ONLY and taken.default is taken.empty and key not in parameters:
                raise ConfigError(f"the {self.kind} {name!r} needs the parameter {key!r}")
        return factory(**parameters)


def _path(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    return f"{getattr(entry, '__module__', '?')}:{getattr(entry, '__qualname__', '?')}"


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Split `"name:key=value,key=value"` into the name and its parameters.

    Values are read as true/false, none, integers and floats; anything else stays text.

    >>> parse_spec("coupled:alpha=0.1,gated=true")
    ('coupled', {'alpha': 0.1, 'gated': True})
    >>> parse_spec("hdpo")
    ('hdpo', {})

    Raises:
        ConfigError: A part without `=`, or an empty name or key.
    """
    name, _, rest = spec.partition(":")
    parameters: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"cannot read {part!r} in {spec!r}: expected name:key=value,key=value")
        parameters[key.strip()] = _parse_value(value.strip())
    if not name.strip():
        raise ConfigError(f"cannot read {spec!r}: expected name:key=value,key=value")
    return name.strip(), parameters


def format_spec(name: str, parameters: Mapping[str, Any]) -> str:
    """The inverse of `parse_spec`, with the keys sorted.

    >>> format_spec("coupled", {"gated": True, "alpha": 0.1})
    'coupled:alpha=0.1,gated=true'
    """
    if not parameters:
        return name
    values = {
        key: str(value).lower() if isinstance(value, bool | None) else str(value) for key, value in parameters.items()
    }
    return name + ":" + ",".join(f"{key}={values[key]}" for key in sorted(values))


def _parse_value(text: str) -> Any:
    constants = {"true": True, "false": False, "none": None}
    if text.lower() in constants:
        return constants[text.lower()]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
