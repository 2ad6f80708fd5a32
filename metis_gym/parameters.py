"""Parameters of reward designs: dataclass fields that know their valid range.

A design is a dataclass; `number`, `whole`, `flag` and `choice` declare its parameters, and `check_parameters` is what
its `__post_init__` calls. A value that is not valid is a `ConfigError` with the value in it.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.registries import nearest

__all__ = ["changed_parameters", "check_parameters", "choice", "flag", "number", "whole"]

_CHECK, _OPTIONS = "check", "options"


def number(
    default: float | None,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    optional: bool = False,
) -> Any:
    """A finite number with `low ≤ value ≤ high` and `value > above`; or None, if it is optional."""
    expected = ("none or " if optional else "") + "a finite number" + _range_text(low, high, above)

    def check(name: str, value: Any) -> None:
        if optional and value is None:
            return
        if not _is_number(value) or not low <= value <= high or not value > above:
            raise ConfigError(f"Expect `{name}` to be {expected}, actually: {value!r}")

    return _parameter(default, check)


def whole(default: int | None, *, low: float = -math.inf, high: float = math.inf, optional: bool = False) -> Any:
    """A whole number with `low ≤ value ≤ high`; or None, if it is optional."""
    expected = ("none or " if optional else "") + "a whole number" + _range_text(low, high, -math.inf)

    def check(name: str, value: Any) -> None:
        if optional and value is None:
            return
        if not _is_number(value) or not low <= value <= high or value != int(value):
            raise ConfigError(f"Expect `{name}` to be {expected}, actually: {value!r}")

    return _parameter(default, check)


def flag(default: bool) -> Any:
    """A parameter that is true or false."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, bool):
            raise ConfigError(f"Expect `{name}` to be true or false, actually: {value!r}")

    return _parameter(default, check)


def choice(default: str, *options: str) -> Any:
    """One of a few words, which the field's metadata holds as `options`."""
    words = tuple(str(option) for option in options)

    def check(name: str, value: Any) -> None:
        if value not in words:
            raise ConfigError(f"Expect `{name}` to be one of these, actually: {value!r}. {nearest(str(value), words)}")

    return dataclasses.field(default=default, metadata={_CHECK: check, _OPTIONS: words})


def check_parameters(instance: Any) -> None:
    """Check every parameter of a dataclass that was declared with this module.

    Raises:
        ConfigError: A value out of its range; the message holds the parameter, what is expected and the value.
    """
    for field in dataclasses.fields(instance):
        if _CHECK in field.metadata:
            field.metadata[_CHECK](field.name, getattr(instance, field.name))


def changed_parameters(instance: Any) -> dict[str, Any]:
    """The parameters of a dataclass that are not at their default, in order; nothing for other objects."""
    if not dataclasses.is_dataclass(instance):
        return {}
    values = {field.name: (getattr(instance, field.name), field.default) for field in dataclasses.fields(instance)}
    names = [field.name for field in dataclasses.fields(instance) if field.init]
    return {name: values[name][0] for name in names if values[name][0] != values[name][1]}


def _parameter(default: Any, check: Callable[[str, Any], None]) -> Any:
    return dataclasses.field(default=default, metadata={_CHECK: check})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range_text(low: float, high: float, above: float) -> str:
    if math.isfinite(above):
        return f" above {above:g}"
    if math.isfinite(low) and math.isfinite(high):
        return f" from {low:g} to {high:g}"
    return f" of at least {low:g}" if math.isfinite(low) else ""
