"""Which arguments an environment takes: read from the signatures and docstrings of its classes, so that none is missed.

An environment's docstring has a section `## Arguments` with a line ``* `name`: what it is`` for each. Needs neither
torch nor tyro.
"""

import functools
import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from metis_gym.errors import ConfigError
from metis_gym.registration import find_spec
from metis_gym.registries import nearest

__all__ = ["Argument", "environment_arguments", "find_argument"]

_SECTION = re.compile(r"^ *## Arguments\n(.*?)(?=^ *## |^ *Raises:|\Z)", re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^ *\* `(\w+)`: (.*?)(?=^ *\* `|^ *#|^ *$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Argument:
    """One argument of an environment.

    Attributes:
        name: Its name.
        hint: Its type.
        default: Its default.
        about: What the docstring says of it.
    """

    name: str
    hint: Any
    default: Any
    about: str


@functools.cache
def environment_arguments(env_id: str) -> Mapping[str, Argument]:
    """The arguments of an environment by name, in the order of its signature, then those of its base classes.

    Raises:
        ConfigError: There is no environment of this id.
    """
    try:
        spec = find_spec(env_id)
    except ConfigError as error:
        raise type(error)(f"--env {env_id}: {error}") from None
    entry = spec.entry_point
    factory: Any = gym.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    found: dict[str, Argument] = {}
    kinds = factory.__mro__ if isinstance(factory, type) else (factory,)
    for kind in kinds:
        if isinstance(kind, type) and "__init__" not in vars(kind):
            continue
        for name, one in _own(kind).items():
            known = found.get(name, one)
            found[name] = Argument(name, known.hint, known.default, known.about or one.about)
        if not _passes_on(kind):
            break
    refused = getattr(factory, "refused_arguments", ())
    return {name: _registered(one, spec.kwargs) for name, one in found.items() if name not in refused}


def find_argument(env_id: str, name: str) -> Argument:
    """One argument; hyphens may stand for underscores.

    Raises:
        ConfigError: The environment has none of this name; the message says which is nearest.
    """
    known = environment_arguments(env_id)
    if name.replace("-", "_") not in known:
        raise ConfigError(f"{env_id} has no argument {name!r}. {nearest(name.replace('-', '_'), tuple(known))}")
    return known[name.replace("-", "_")]


def _own(kind: Any) -> dict[str, Argument]:
    init: Any = vars(kind)["__init__"] if isinstance(kind, type) else kind
    hints, about = typing.get_type_hints(init), _described(kind.__doc__ or "")
    return {
        name: Argument(name, hints.get(name, Any), one.default, about.get(name, ""))
        for name, one in inspect.signature(init).parameters.items()
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is not one.empty
    }


def _passes_on(kind: Any) -> bool:
    """Whether it hands arguments that it does not know to its base class."""
    init: Any = vars(kind)["__init__"] if isinstance(kind, type) else kind
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(init).parameters.values())


def _registered(argument: Argument, kwargs: Mapping[str, Any]) -> Argument:
    """An argument with the default that the environment's id gives it."""
    return Argument(argument.name, argument.hint, kwargs.get(argument.name, argument.default), argument.about)


def _described(docstring: str) -> dict[str, str]:
    section = _SECTION.search(docstring)
    return {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(section[1] if section else "")}
