"""Arguments of an environment among the words of a command line, `--env.NAME VALUE`. Needs neither torch nor tyro."""

import contextlib
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from metis_agents.settings.environments import Argument, find_argument
from metis_agents.settings.fields import optional
from metis_gym.errors import ConfigError
from metis_gym.specs import parse_spec, split_outside_quotes

__all__ = ["read_environment", "take_environment"]

_PREFIX = "--env."


def take_environment(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take the environment's arguments out of a command line.

    Returns:
        The other words, and the arguments' words by name.

    Raises:
        ConfigError: The last one has no value.

    >>> take_environment(["--seed", "1", "--env.max-turns", "3", "--env.dialect=qwen"])
    (['--seed', '1'], {'max_turns': '3', 'dialect': 'qwen'})
    """
    rest: list[str] = []
    given: dict[str, str] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix(_PREFIX).partition("=")
        if not word.startswith(_PREFIX):
            rest.append(word)
        elif not equals and not words:
            raise ConfigError(f"{word} needs a value")
        else:
            given[name.replace("-", "_")] = value if equals else words.pop(0)
    return rest, given


def read_environment(env_id: str, words: Mapping[str, str]) -> dict[str, Any]:
    """The values that words stand for.

    Args:
        env_id: The environment.
        words: Words by the argument's name.

    Raises:
        ConfigError: The environment has no such argument, or its value cannot be read.
    """
    return {name: _read(find_argument(env_id, name), word) for name, word in words.items()}


def _read(argument: Argument, word: str) -> Any:
    kind, may_be_none = optional(argument.hint)
    if word.lower() == "none" and may_be_none:
        return None
    origin = typing.get_origin(kind) or kind
    try:
        if kind is bool:
            return {"true": True, "false": False}[word.lower()]
        if kind in (int, float, str):
            return kind(word)
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"--env.{argument.name} must be {expected}, actually: {word!r}") from None
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return parse_spec(f"x:{word}")[1]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return tuple(name for name in split_outside_quotes(word, "+") if name)
    if str in typing.get_args(kind):
        return word
    for convert in (int, float):
        with contextlib.suppress(ValueError):
            return convert(word)
    return word
