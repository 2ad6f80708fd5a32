"""A configuration taken apart: every field that holds a value has a path, such as `trainer.loss.kl_coef`.

```
configuration  ⇄  {path: value}  ⇄  JSON
```
A part that may be absent, such as a cold start, is `None` under its own path when it is.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.registries import nearest

__all__ = ["Leaf", "Values", "assemble", "flatten", "frozen", "leaves", "optional", "read_json", "to_json"]

Config = TypeVar("Config")
Values = dict[str, Any]
"""Path → value."""

_EXPECTED: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "text"),
    Path: (str, "text"),
    tuple: (tuple, "a list"),
}
"""Type of a field → what JSON holds for it, and what that is called."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A field that holds a value, not a further configuration.

    Attributes:
        path: Names of fields, joined by dots.
        hint: Its type.
        default: Its default; `dataclasses.MISSING` for none.
        about: What its class's docstring says of it.
        metadata: The field's metadata, with the check of its value.
    """

    path: str
    hint: Any
    default: Any
    about: str
    metadata: Mapping[Any, Any]


def leaves(config: type) -> tuple[Leaf, ...]:
    """All fields that hold a value, in order; those of parts that may be absent, too."""
    return tuple(_leaves(config, ""))


def flatten(config: Any) -> Values:
    """The values of a configuration by path."""
    values: Values = {}
    for field, part in _parts(type(config)):
        value = getattr(config, field.name)
        if part is None or value is None:
            values[field.name] = value
        else:
            values |= {f"{field.name}.{path}": inner for path, inner in flatten(value).items()}
    return values


def assemble(
    config: type[Config],
    values: Mapping[str, Any],
    explain: Callable[[ConfigError, type, str], ConfigError] = lambda error, _kind, _path: error,
    prefix: str = "",
) -> Config:
    """The configuration that has these values; fields without one have their default.

    Args:
        config: Its class.
        values: Path → value.
        explain: Turns an error of one class into the error that is raised; is given the error, the class and the
            path of the part that could not be made.
        prefix: The path of this part, ending in a dot.

    Raises:
        ConfigError: A value cannot be right, or a field without a default has none.
    """
    given: Values = {}
    for field, part in _parts(config):
        path = prefix + field.name
        inside = part is not None and any(name.startswith(path + ".") for name in values)
        if part is not None and inside and values.get(path, MISSING) is not None:
            given[field.name] = assemble(part, values, explain, path + ".")
        elif path in values:
            given[field.name] = values[path]
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"Expect a value of `{path}`, which has no default; actually: none")
    try:
        return config(**given)
    except ConfigError as error:
        raise explain(error, config, prefix) from error


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as plain data."""
    plain: dict[str, Any] = {}
    for field, part in _parts(type(config)):
        value = getattr(config, field.name)
        plain[field.name] = value if part is None or value is None else to_json(value)
    loaded: dict[str, Any] = json.loads(json.dumps(plain, default=_plain))
    return loaded


def read_json(config: type, plain: Any, where: str, prefix: str = "") -> Values:
    """The values that `to_json` wrote, by path and in their own types. Fields may be missing.

    Args:
        config: The class of the configuration.
        plain: What was written.
        where: What it was read from, for messages.
        prefix: The path of this part, ending in a dot.

    Raises:
        ConfigError: A field that the configuration does not have, or a value of another type.
    """
    if not isinstance(plain, Mapping):
        raise ConfigError(f"Expect {where} to hold an object under {prefix or 'its root'!r}, actually: {plain!r:.80}")
    parts = {field.name: part for field, part in _parts(config)}
    hints = _hints(config)
    values: Values = {}
    for name, value in plain.items():
        path = prefix + name
        if name not in parts:
            raise ConfigError(f"{where} has an unknown setting {path!r}. {nearest(name, tuple(parts))}")
        part = parts[name]
        if part is not None and not (value is None and optional(hints[name])[1]):
            values |= read_json(part, value, where, path + ".")
        else:
            values[path] = _typed(hints[name], value, f"{path!r} in {where}")
    return values


def frozen(value: Any) -> Any:
    """A value whose lists are tuples, as deep as they go: what is written as JSON is then read back as it was.

    >>> frozen({"tools": ["crop"]})
    {'tools': ('crop',)}
    """
    if isinstance(value, Mapping):
        return {key: frozen(inner) for key, inner in value.items()}
    return tuple(frozen(inner) for inner in value) if isinstance(value, list | tuple) else value


def optional(hint: Any) -> tuple[Any, bool]:
    """The type without None, and whether None was in it.

    >>> optional(int | None), optional(str)
    ((<class 'int'>, True), (<class 'str'>, False))
    """
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    rest = tuple(part for part in typing.get_args(hint) if part is not types.NoneType)
    return (typing.Union[rest], len(rest) < len(typing.get_args(hint)))  # noqa: UP007 — built from a tuple


def _leaves(config: type, prefix: str) -> Iterator[Leaf]:
    abouts, hints = _abouts(config), _hints(config)
    for field, part in _parts(config):
        path = prefix + field.name
        if part is not None:
            yield from _leaves(part, path + ".")
            continue
        default = field.default if field.default_factory is MISSING else field.default_factory()
        yield Leaf(path, hints[field.name], default, abouts.get(field.name, ""), field.metadata)


def _parts(config: type) -> Iterator[tuple["dataclasses.Field[Any]", type | None]]:
    """The fields that may be given, each with the class of its own configuration where it is one."""
    hints = _hints(config)
    for field in dataclasses.fields(config):
        if field.init:
            kind, _ = optional(hints[field.name])
            yield field, kind if dataclasses.is_dataclass(kind) and isinstance(kind, type) else None


@functools.cache
def _hints(config: type) -> dict[str, Any]:
    return typing.get_type_hints(config)


@functools.cache
def _abouts(config: type) -> dict[str, str]:
    """What a class's docstring says of its attributes."""
    try:
        from docstring_parser import DocstringStyle, parse
    except ImportError as error:
        raise MissingDependencyError.of("docstring-parser", "agents", "The command line of training") from error
    documented = parse(config.__doc__ or "", style=DocstringStyle.GOOGLE).params
    return {one.args[1]: " ".join((one.description or "").split()) for one in documented}


def _typed(hint: Any, value: Any, what: str) -> Any:
    """A value of JSON in the type of its field."""
    kind, may_be_none = optional(hint)
    if value is None and may_be_none:
        return None
    origin = typing.get_origin(kind) or kind
    if origin is tuple and isinstance(value, list):
        element = typing.get_args(kind)[0]
        return tuple(_element(element, one, what) for one in value)
    kinds, expected = _EXPECTED.get(origin, (object, ""))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        kinds, expected = Mapping, "an object"
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds not in (bool, object)):
        raise ConfigError(f"Expect {what} to be {expected}, actually: {value!r:.80}")
    if kind is Path:
        return Path(value)
    return frozen(value)


def _element(kind: Any, value: Any, what: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return assemble(kind, read_json(kind, value, what))
    return _typed(kind, value, what)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    return dict(value) if isinstance(value, Mapping) else str(value)
