"""How the fields of a configuration are named on the command line, and what the words of a command line are.

A field has one flag: a short name where everybody uses it (`--lr`), else its path with a short prefix
(`--trainer.weight-decay`). The path that it has in `config.json` is understood, too (`--trainer.lr`), and underscores
may stand for hyphens.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metis_agents.settings.environments import environment_arguments, find_argument
from metis_agents.settings.fields import Leaf, leaves
from metis_gym.errors import ConfigError
from metis_gym.terminal import say

__all__ = ["Defaults", "Flag", "Scheme", "Words", "flags_of", "read_words", "said_in"]


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a configuration is where neither a flag nor a file says otherwise.

    Attributes:
        values: Path → value, where it is not the default of the field.
        follows: Path → the path of the field whose value it takes over when that one is given and it is not.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How a command's options follow from its configuration.

    Attributes:
        prog: The command.
        description: What it does.
        config: The class of its configuration.
        invocation: The class of what else may be said: about this call, not about what is configured.
        groups: Title → the paths, or beginnings of paths, that are shown under it; the longest that fits decides.
        names: Path → flag, for those that everybody uses.
        prefixes: Beginning of a path → beginning of its flag.
        derived: Path → the path that it takes its value from, None where the program sets it. A derived field has no
            flag.
        switches: Path of a part that may be absent → the path of the number that is 0 when it is.
        forms: Path → what reads and shows its value, where its type does not say.
        abouts: Path → help, where the docstring's is not about this command.
        renamed: Former flag → flag.
        env_path: The field that holds the arguments of the environment; their flags are `--env.NAME`.
        env_id_path: The field that holds the id of the environment.
        env_names: Arguments of the environment that have a flag without `env.`.
        env_refused: Argument of the environment → why it cannot be given.
        defaults: The defaults, given the words that were said, by path.
        prepare: Is given the invocation before the configuration is made, to import what it names.
    """

    prog: str
    description: str
    config: type
    invocation: type
    groups: Mapping[str, Sequence[str]]
    names: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, str | None] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, Any] = field(default_factory=dict)
    abouts: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    env_path: str = "env"
    env_id_path: str = "env_id"
    env_names: Sequence[str] = ()
    env_refused: Mapping[str, str] = field(default_factory=dict)
    defaults: Callable[[Mapping[str, Any]], Defaults] = lambda _: Defaults()
    prepare: Callable[[Any], None] = lambda _: None


@dataclass(frozen=True, eq=False)
class Flag:
    """One option.

    Attributes:
        name: Without its hyphens.
        leaf: The field that it sets; of an argument of the environment, or of the invocation, too.
        title: The group that it is shown in.
        aliases: Further names that are shown.
    """

    name: str
    leaf: Leaf
    title: str
    aliases: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where the field is in the configuration, such as `cold_start.images`."""
        return self.leaf.path

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.leaf.hint is bool

    @property
    def opposite(self) -> str:
        """The name that switches it off."""
        before, dot, last = self.name.rpartition(".")
        return f"{before}{dot}no-{last}"


@dataclass(frozen=True, eq=False)
class Words:
    """A command line whose flags have their proper names.

    Attributes:
        words: The command line.
        given: The flags that are in it, by path.
        said: Path → the word behind its flag.
    """

    words: tuple[str, ...]
    given: Mapping[str, Flag]
    said: Mapping[str, str]


def flags_of(scheme: Scheme, env_id: str) -> tuple[Flag, ...]:
    """Every option of a command, in the order of its help."""
    flags = [Flag(_hyphens(leaf.path), leaf, "run") for leaf in leaves(scheme.invocation)]
    for leaf in leaves(scheme.config):
        if leaf.path != scheme.env_path and leaf.path not in scheme.derived:
            shown = dataclasses.replace(leaf, about=scheme.abouts.get(leaf.path, leaf.about))
            flags.append(Flag(_name(scheme, leaf.path), shown, _title(scheme, leaf.path)))
    return (*flags, *_environment_flags(scheme, env_id))


def said_in(argv: Sequence[str], name: str) -> str | None:
    """The word behind the last flag of this name, wherever it stands in a command line."""
    return dict(_pairs(argv)).get(name)


def read_words(scheme: Scheme, argv: Sequence[str], env_id: str | None = None) -> tuple[Words, tuple[Flag, ...]]:
    """Find out which flags a command line holds, under whichever name.

    Args:
        scheme: The command's options.
        argv: The command line.
        env_id: The environment, where the command line names none; None for the configuration's default.

    Returns:
        The words, and all flags that there are.

    Raises:
        ConfigError: An argument that the environment does not have.
    """
    default = next(leaf.default for leaf in leaves(scheme.config) if leaf.path == scheme.env_id_path)
    env_id = said_in(argv, _name(scheme, scheme.env_id_path)) or env_id or default
    flags = flags_of(scheme, env_id)
    known = {name: (flag, name == flag.opposite) for flag in flags for name in _understood(flag)}
    words: list[str] = []
    given: dict[str, Flag] = {}
    said: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word[2:].partition("=")
        if not word.startswith("--") or not name:
            words.append(word)
            continue
        name = _current(scheme, _hyphens(name))
        if name not in known:
            _check_environment(scheme, env_id, name)
            words.append(word)
            continue
        flag, is_off = known[name]
        given[flag.path] = flag
        if flag.is_switch:
            is_off ^= _takes_false(rest, value, equals)
            words.append("--" + (flag.opposite if is_off else flag.name))
            continue
        following = [value] if equals else rest[:1]
        said |= {flag.path: following[0]} if following else {}
        words += ["--" + flag.name, *([value] if equals else [])]
    return Words(tuple(words), given, said), flags


def _environment_flags(scheme: Scheme, env_id: str) -> Iterator[Flag]:
    for name, argument in environment_arguments(env_id).items():
        if name not in scheme.env_refused:
            path = f"{scheme.env_path}.{name}"
            leaf = Leaf(path, argument.hint, argument.default, scheme.abouts.get(path, argument.about), {})
            short = (_hyphens(name),) if name in scheme.env_names else ()
            yield Flag(f"env.{_hyphens(name)}", leaf, "environment", short)


def _understood(flag: Flag) -> set[str]:
    names = {flag.name, _hyphens(flag.path), *flag.aliases}
    return names | ({flag.opposite} if flag.is_switch else set())


def _current(scheme: Scheme, name: str) -> str:
    if name not in scheme.renamed:
        return name
    say(f"{scheme.prog}: --{name} is now --{scheme.renamed[name]}", stream=sys.stderr)
    return scheme.renamed[name]


def _check_environment(scheme: Scheme, env_id: str, name: str) -> None:
    argument = name.removeprefix("env.")
    if argument == name:
        return
    why = scheme.env_refused.get(argument.replace("-", "_"))
    if why is not None:
        raise ConfigError(f"--{name}: {why}")
    find_argument(env_id, argument)


def _takes_false(rest: list[str], value: str, equals: str) -> bool:
    """Whether a switch is followed by "false"; the word is taken away, and so is "true"."""
    word = value if equals else (rest[0] if rest else "")
    if word.lower() not in ("true", "false"):
        if equals:
            raise ConfigError(f"Expect true or false behind the '=' of a switch, actually: {value!r}")
        return False
    if not equals:
        rest.pop(0)
    return word.lower() == "false"


def _pairs(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word, following in itertools.pairwise([*argv, ""]):
        name, equals, value = word[2:].partition("=")
        if word.startswith("--"):
            yield _hyphens(name), value if equals else following


def _name(scheme: Scheme, path: str) -> str:
    if path in scheme.names:
        return scheme.names[path]
    prefix = max((one for one in scheme.prefixes if path.startswith(one + ".")), key=len, default="")
    return _hyphens(scheme.prefixes[prefix] + path.removeprefix(prefix) if prefix else path)


def _title(scheme: Scheme, path: str) -> str:
    fitting = [
        (len(one), title)
        for title, beginnings in scheme.groups.items()
        for one in beginnings
        if path == one or path.startswith(one + ".")
    ]
    return max(fitting, default=(0, "run"))[1]


def _hyphens(name: str) -> str:
    return name.replace("_", "-")
