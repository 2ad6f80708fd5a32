"""What `step` takes besides text: dictionaries that a tool-calling model could have produced, read strictly.

An action is JSON: dictionaries with text keys, lists, tuples, text, finite numbers, true, false, None, and numpy's
scalars and arrays of these. It is copied into plain Python objects before anything happens, so that an action that
cannot be read leaves the environment as it was, and no method of a foreign class is called on the way.
"""

import json
import math
from typing import Any, TypeAlias

import numpy as np

from metis_gym.dialects import Dialect
from metis_gym.errors import InvalidActionError
from metis_gym.records import ToolCall
from metis_gym.turns import encodable

__all__ = ["Json", "action_text", "plain_action", "shown"]

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_MAX_DEPTH = 32
_MAX_VALUES = 65_536
"""As many values as the longest turn that is read has characters: what has more could not be read anyway."""
_MAX_INT_BITS = 14_000
"""About 4,200 digits: Python reads no more than 4,300 from text."""
_MAX_SHOWN = 80
_EXPECTED = 'an action is text, {"name": …, "arguments": {…}}, a list of such, or {"answer": …}'


def action_text(action: Any, dialect: Dialect) -> str:
    """The turn that a model of this dialect would have written to do the same.

    Args:
        action: Text, a tool call, a list of tool calls, or an answer.
        dialect: Writes calls and answers.

    Raises:
        InvalidActionError: No model could have produced the action; the message says what is wrong with it.
    """
    plain = plain_action(action)
    if isinstance(plain, str):
        return encodable(plain)
    if isinstance(plain, dict) and "answer" in plain:
        return encodable(dialect.write_answer(str(plain["answer"])))
    calls = [plain] if isinstance(plain, dict) else plain
    if dialect.max_calls is not None and len(calls) > dialect.max_calls:
        raise InvalidActionError(
            f"a turn of the dialect {dialect.name!r} makes at most {dialect.max_calls} call, actually: {len(calls)}"
        )
    return encodable(dialect.write_calls([_tool_call(call) for call in calls]))


def plain_action(action: Any) -> str | dict[str, Json] | list[dict[str, Json]]:
    """A copy of an action in plain Python objects: text, one call or answer, or a list of calls.

    >>> plain_action({"name": "crop", "arguments": {"box": np.arange(4)}})
    {'name': 'crop', 'arguments': {'box': [0, 1, 2, 3]}}

    Raises:
        InvalidActionError: No model could have produced it.
    """
    kind = type(action)
    if issubclass(kind, str):
        return str.__str__(action)
    reader = _Reader()
    if issubclass(kind, dict):
        fields = _fields(action, "an action")
        return reader.answer(fields["answer"]) if fields.keys() == {"answer"} else reader.call(action)
    if issubclass(kind, list | tuple) and (calls := _items(action)):
        return [reader.call(call) for call in calls]
    raise InvalidActionError(f"{_EXPECTED}; actually: {shown(action)}")


def shown(value: Any) -> str:
    """A value for an error message: its type and, of text and numbers, its beginning. Calls none of its methods.

    >>> shown(b"code"), shown("A" * 200)[:12]
    ('bytes', "str 'AAAAAAA")
    """
    kind = type(value)
    if kind is str:
        return f"str {value[:_MAX_SHOWN]!r}" + ("…" if len(value) > _MAX_SHOWN else "")
    is_short = kind in (bool, float) or (kind is int and value.bit_length() <= 64)
    return f"{kind.__name__} {value!r}" if is_short else kind.__name__


class _Reader:
    """Copies one action; counts its values, so that shared and endless structures end."""

    def __init__(self) -> None:
        self._values = 0

    def answer(self, given: Any) -> dict[str, Json]:
        value = self.copy(given, "the answer")
        if isinstance(value, str | int | float):
            return {"answer": value}
        raise InvalidActionError(f"an answer is text or a number; actually: {shown(value)}")

    def call(self, call: Any) -> dict[str, Json]:
        fields = _fields(call, "a call") if issubclass(type(call), dict) else {}
        if not issubclass(type(fields.get("name")), str):
            raise InvalidActionError(f"{_EXPECTED}; a call is a dict with a name, actually: {shown(call)}")
        name = str.__str__(fields["name"])
        arguments = self.copy(fields.get("arguments", {}), f"the arguments of {name[:_MAX_SHOWN]!r}")
        if isinstance(arguments, str | dict):
            return {"name": name, "arguments": arguments}
        raise InvalidActionError(
            f"the arguments of {name[:_MAX_SHOWN]!r} are a dict or JSON text; actually: {shown(fields['arguments'])}"
        )

    def copy(self, value: Any, what: str, depth: int = 1) -> Json:
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            limits = f"at most {_MAX_DEPTH} levels and {_MAX_VALUES:,} values"
            raise InvalidActionError(
                f"{what} is nested too deeply, holds itself, or is too large: an action has {limits}"
            )
        kind = type(value)
        if issubclass(kind, dict):
            return {name: self.copy(item, what, depth + 1) for name, item in _fields(value, what).items()}
        if issubclass(kind, list | tuple):
            return [self.copy(item, what, depth + 1) for item in _items(value)]
        if kind is np.ndarray and value.dtype.kind in "biuf" and value.size <= _MAX_VALUES:
            return self.copy(value.tolist(), what, depth)
        return _scalar(value, what)


def _scalar(value: Any, what: str) -> Json:
    kind = type(value)
    if value is None:
        return None
    if issubclass(kind, str):
        return str.__str__(value)
    if kind.__module__ == "numpy" and issubclass(kind, np.bool_ | np.integer | np.floating):
        value = value.item()
        kind = type(value)
    if issubclass(kind, bool):
        return bool(value)
    if issubclass(kind, int):
        if int.bit_length(value) <= _MAX_INT_BITS:
            return int.__int__(value)
        raise InvalidActionError(f"{what} holds a whole number of more than {_MAX_INT_BITS:,} bits")
    if issubclass(kind, float):
        if math.isfinite(float.__float__(value)):
            return float.__float__(value)
        raise InvalidActionError(f"{what} holds {float.__repr__(value)}, which JSON cannot hold")
    raise InvalidActionError(f"{what} holds a {kind.__name__}, which JSON cannot hold")


def _tool_call(call: dict[str, Json]) -> ToolCall:
    """The call, its arguments read where they are JSON text; text that is no JSON object is left to the model."""
    arguments: Any = call["arguments"]
    if isinstance(arguments, str):
        arguments = _read(arguments)
    return ToolCall(name=str(call["name"]), arguments=arguments)


def _read(text: str) -> dict[str, Json] | str:
    if not text.strip():
        return {}
    try:
        read = _Reader().copy(json.loads(text, strict=False), "the arguments")
    except (ValueError, RecursionError, InvalidActionError):
        return text
    return read if isinstance(read, dict) else text


def _fields(given: dict[Any, Any], what: str) -> dict[str, Any]:
    """A dictionary's own items, its keys as plain text."""
    items = list(dict.items(given))
    for name, _ in items:
        if not issubclass(type(name), str):
            raise InvalidActionError(f"{what} has keys that are text; one is of type {type(name).__name__}")
    return {str.__str__(name): item for name, item in items}


def _items(values: Any) -> list[Any]:
    return list(list.__iter__(values) if issubclass(type(values), list) else tuple.__iter__(values))
