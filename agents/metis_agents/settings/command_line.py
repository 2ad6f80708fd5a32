"""Options of a command, made out of its configuration by tyro: names, types, defaults and help are written once.

A value comes from, in this order: its flag; the file that `--config` names; the defaults for what was said (the model,
for instance); the default of its field. What is not given on the command line is taken over as it is, so that a
`config.json` that a run wrote gives the same configuration.
"""

import contextlib
import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from metis_agents.settings.fields import Leaf, Values, assemble, leaves, optional, read_json
from metis_agents.settings.flags import Flag, Scheme, Words, read_words, said_in
from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.registries import format_spec, parse_spec
from metis_gym.specs import split_outside_quotes

__all__ = ["Invocation", "Parsed", "parse", "primitive"]

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What every command may be told besides its configuration.

    Attributes:
        config: A `config.json` to begin with; flags override it.
    """

    config: Path | None = None


@dataclass(frozen=True, eq=False)
class Parsed(Generic[Config]):
    """What a command line says.

    Attributes:
        config: The configuration.
        invocation: The rest.
        flags: All flags there are, for messages.
        given: Paths of those that were given.
    """

    config: Config
    invocation: Any
    flags: tuple[Flag, ...]
    given: frozenset[str]

    def explained(self, error: ConfigError) -> ConfigError:
        """The error with the flags that it is about, as far as they can be told from its words."""
        return _explained(error, [flag for flag in self.flags if flag.path in self.given], {})


def parse(scheme: Scheme, argv: Sequence[str]) -> Parsed[Any]:
    """Read a command line.

    Raises:
        ConfigError: A value that is not valid, an argument that the environment does not have, or a file that
            cannot be read. The message names the flag.
        SystemExit: Help was asked for, or a word cannot be read; tyro has said which.
    """
    file = said_in(argv, "config")
    stored = _stored(scheme, Path(file)) if file is not None else {}
    words, flags = read_words(scheme, argv, stored.get(scheme.env_id_path))
    defaults = scheme.defaults({**stored, **words.said})
    values = {leaf.path: leaf.default for leaf in leaves(scheme.config) if leaf.default is not MISSING}
    values = {**values, **defaults.values, **stored}
    environment = dict(values.get(scheme.env_path) or {})
    shown = {**values, **{f"{scheme.env_path}.{name}": value for name, value in environment.items()}}
    read = _read_by_tyro(scheme, words, flags, shown)
    for path, flag in words.given.items():
        values[path] = _checked(flag, read[path], scheme)
    follows = {**scheme.derived, **defaults.follows}
    for path, source in follows.items():
        if source is not None and path not in words.given and (source in words.given or path not in stored):
            values[path] = values[source]
    values[scheme.env_path] = environment | _environment(scheme, words, read)
    invocation = scheme.invocation(**{leaf.path: read[leaf.path] for leaf in leaves(scheme.invocation)})
    scheme.prepare(invocation)
    config: Any = assemble(scheme.config, _switched(scheme, values), _explainer(flags, values))
    return Parsed(config, invocation, flags, frozenset(words.given))


def primitive(
    read: Callable[[list[str]], Any], show: Callable[[Any], list[str]], metavar: str, *, many: bool = False
) -> Any:
    """How a value is read from words and shown, for tyro.

    Args:
        read: Turns words into a value.
        show: Turns a value into words, for the help.
        metavar: What stands for the value in the help.
        many: Whether it takes any number of words, instead of one.
    """
    return _tyro().constructors.PrimitiveConstructorSpec(
        nargs="*" if many else 1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda _: True,
        str_from_instance=show,
    )


def _stored(scheme: Scheme, path: Path) -> Values:
    """What a file says; parts that it says are absent have their switch at 0."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config: cannot read {path}: {error}") from error
    values = read_json(scheme.config, plain, str(path))
    for part, switch in scheme.switches.items():
        if values.get(part, MISSING) is None:
            del values[part]
            values[switch] = 0
    return values


def _switched(scheme: Scheme, values: Values) -> Values:
    """The values without the parts whose switch is off."""
    for part, switch in scheme.switches.items():
        if not values.get(switch):
            values = {path: value for path, value in values.items() if not path.startswith(part + ".")}
            values[part] = None
        elif values.get(part, MISSING) is None:
            del values[part]
    return values


def _environment(scheme: Scheme, words: Words, read: Mapping[str, Any]) -> Values:
    """The arguments of the environment that were given."""
    prefix = scheme.env_path + "."
    return {path.removeprefix(prefix): read[path] for path in words.given if path.startswith(prefix)}


def _checked(flag: Flag, value: Any, scheme: Scheme) -> Any:
    check = flag.leaf.metadata.get("check")
    if check is not None and not (value == 0 and flag.path in scheme.switches.values()):
        check(f"--{flag.name}", value)
    return value


def _explainer(flags: Sequence[Flag], values: Values) -> Callable[[ConfigError, type, str], ConfigError]:
    def explain(error: ConfigError, _: type, part: str) -> ConfigError:
        near = [flag for flag in flags if flag.path.startswith(part) and "." not in flag.path.removeprefix(part)]
        return _explained(error, near, values)

    return explain


def _explained(error: ConfigError, flags: Sequence[Flag], values: Values) -> ConfigError:
    """The error, with the flags whose field or whose value its message names."""
    message = str(error)
    named = [flag for flag in flags if re.search(rf"\b{flag.path.rpartition('.')[2]}\b", message, re.IGNORECASE)]
    named = named or [flag for flag in flags if _mentions(message, values.get(flag.path))]
    fresh = [f"--{flag.name}" for flag in named if f"--{flag.name}" not in message]
    return type(error)(f"{message} ({', '.join(fresh)})") if fresh else error


def _mentions(message: str, value: Any) -> bool:
    words = value if isinstance(value, tuple) else (value,)
    return any(isinstance(word, str) and word and repr(word) in message for word in words)


def _read_by_tyro(scheme: Scheme, words: Words, flags: Sequence[Flag], shown: Mapping[str, Any]) -> Values:
    """The value of every flag: what was given, else what is shown as its default."""
    groups: dict[str, list[Flag]] = {title: [] for title in ("run", *scheme.groups, "environment")}
    for flag in flags:
        groups[flag.title].append(flag)
    kinds = [(_plain_name(title), _group(title, members, scheme, shown)) for title, members in groups.items()]
    everything = dataclasses.make_dataclass("Everything", kinds)
    answered: Any = _tyro().cli(everything, prog=scheme.prog, description=scheme.description, args=words.words)
    of_path = {_plain_name(flag.path): flag.path for flag in flags}
    return {of_path[name]: value for title, _ in kinds for name, value in vars(getattr(answered, title)).items()}


def _tyro() -> Any:
    try:
        import tyro
    except ImportError as error:
        raise MissingDependencyError.of("tyro", "agents", "The command line of training") from error
    return tyro


def _group(title: str, flags: Sequence[Flag], scheme: Scheme, shown: Mapping[str, Any]) -> type:
    fields: list[tuple[str, Any, Any]] = []
    for flag in sorted(flags, key=lambda flag: flag.leaf.default is not MISSING or flag.path in shown):
        default = shown.get(flag.path, flag.leaf.default)
        form: Any = scheme.forms.get(flag.path) or _form(flag.leaf)
        aliases = [f"--{alias}" for alias in flag.aliases]
        named = _tyro().conf.arg(name=flag.name, prefix_name=False, help=flag.leaf.about, aliases=aliases or None)
        kind: Any = Annotated[form, named]
        stored = dataclasses.field() if default is MISSING else dataclasses.field(default_factory=_give(default))
        fields.append((_plain_name(flag.path), kind, stored))
    made = dataclasses.make_dataclass(_plain_name(title), fields, kw_only=True)
    made.__doc__ = ""
    return made


def _give(value: Any) -> Callable[[], Any]:
    return lambda: value


def _plain_name(name: str) -> str:
    return name.replace(".", "__").replace(" ", "_")


def _form(leaf: Leaf) -> Any:
    """What tyro is told of a field's type."""
    options = leaf.metadata.get("options")
    if options:
        return Literal[tuple(options)]
    kind, may_be_none = optional(leaf.hint)
    origin = typing.get_origin(kind) or kind
    if kind is bool and not may_be_none:
        return bool
    if kind in (int, float, str, Path):
        return _optional_scalar(kind) if may_be_none else kind
    if origin is tuple:
        return leaf.hint
    if origin in (typing.Union, types.UnionType) and str in typing.get_args(
        kind
    ):  # a spec, or what only Python can give
        return _optional_scalar(str) if may_be_none else Annotated[Any, primitive(lambda words: words[0], _show, "STR")]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Annotated[Any, primitive(_read_mapping, _show_mapping, "NAME=VALUE,…")]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return Annotated[Any, primitive(_read_names, _show_names, "NAME+NAME", many=True)]
    return Annotated[Any, primitive(lambda words: _value(words[0]), _show, "VALUE")]


def _optional_scalar(kind: type) -> Any:
    def read(words: list[str]) -> Any:
        return None if words[0].lower() == "none" else kind(words[0])

    return Annotated[Any, primitive(read, _show, f"{kind.__name__.upper()}|none")]


def _show(value: Any) -> list[str]:
    return ["none" if value is None else str(value)]


def _value(word: str) -> Any:
    """What a word stands for where the type does not say."""
    constants = {"true": True, "false": False, "none": None}
    if word.lower() in constants:
        return constants[word.lower()]
    for convert in (int, float):
        with contextlib.suppress(ValueError):
            return convert(word)
    return word


def _read_mapping(words: list[str]) -> Any:
    return None if words[0].lower() == "none" else parse_spec(f"x:{words[0]}")[1]


def _show_mapping(value: Any) -> list[str]:
    return ["none" if value is None else format_spec("x", value).partition(":")[2]]


def _read_names(words: list[str]) -> Any:
    names = [name for word in words for name in split_outside_quotes(word, "+") if name]
    return None if words == ["none"] else tuple(names)


def _show_names(value: Any) -> list[str]:
    return ["none"] if value is None else ["+".join(map(str, value))]
