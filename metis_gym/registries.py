"""Names for things that users choose by name: tasksets, tools, dialects, reward designs, graders, engines, agents.

A name is looked up in this order:

1. `"module:Thing"` is imported, as in `gymnasium.make("module:Id")`;
2. the built-in names, which nothing can take;
3. the names that a decorator registered in this process (`@TOOLS.register("name")`);
4. the names that installed packages announce, in one entry-point group for each kind (`metis_gym.tools`, …).

A name that is both registered and announced, or announced by two packages, for different things, is an error when it is
used. Nothing is imported before its name is used, so that importing the core stays light. Worker processes know the
first, second and fourth kind by themselves; the third travels with `in_process_names` and `adopt`.
"""

import difflib
import functools
import importlib
import inspect
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from metis_gym.announced import PREFIX, Announcement, announced
from metis_gym.errors import ConfigError, MetisError, UnknownNameError
from metis_gym.specs import format_spec, is_name, parse_spec

__all__ = [
    "BUILT_IN",
    "Entry",
    "Registry",
    "adopt",
    "format_spec",
    "in_process_names",
    "lacking",
    "nearest",
    "parse_spec",
    "path_of",
]

T = TypeVar("T")

BUILT_IN = "built in"
"""Where the names come from that the project ships."""

_HERE = "this process"
_IN_A_WORKER = (
    " This is a worker process, which does not know names that a decorator registered elsewhere: name the thing "
    "'module:Thing', or announce it in the entry-point group {group!r} of an installed package."
)


def nearest(name: str, valid: tuple[str, ...]) -> str:
    """Say which valid names are closest to `name`, as the end of an error message.

    >>> nearest("acuracy", ("accuracy", "coupled"))
    "Did you mean 'accuracy'? Valid names: accuracy, coupled."
    """
    close = difflib.get_close_matches(name, valid, n=2, cutoff=0.6)
    hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}Valid names: {', '.join(valid) if valid else '(none)'}."


@dataclass(frozen=True)
class Entry:
    """A name of a registry, for lists.

    Attributes:
        name: The name.
        source: "built in", "this process", or the package that announces it and its version.
        path: `"module:Thing"`.
        note: What keeps it from being used; empty if nothing does.
    """

    name: str
    source: str
    path: str
    note: str = ""


class Registry(Generic[T]):
    """A table from names to classes or functions that build a `T`.

    Args:
        kind: What the entries are, for error messages ("reward design").
        builtin: Name → `"module:attribute"` of what builds it.
        group: The entry-point group in which packages announce theirs, without "metis_gym.".
        problems: Says what a finished entry lacks, one sentence part for each; nothing for one that is whole.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, str],
        *,
        group: str,
        problems: Callable[[Any], Sequence[str]] = lambda _: (),
    ) -> None:
        self.kind, self.group = kind, PREFIX + group
        self._builtin = frozenset(builtin)
        self._entries: dict[str, str | Callable[..., T]] = dict(builtin)
        self._problems = problems
        _registries[kind] = self

    def __contains__(self, name: object) -> bool:
        return name in self._entries or (self.kind, name) in _adopted or name in announced(self.group)

    def names(self) -> tuple[str, ...]:
        """All names that may be used, sorted."""
        adopted = (name for kind, name in _adopted if kind == self.kind)
        return tuple(sorted({*self._entries, *adopted, *announced(self.group)}))

    def entries(self) -> tuple[Entry, ...]:
        """All names with where they come from, sorted; a name that packages clash over comes once for each."""
        found = []
        for name, known in self._entries.items():
            is_builtin = name in self._builtin
            note = "" if is_builtin else self._clash(name, path_of(known))
            found.append(Entry(name, BUILT_IN if is_builtin else _HERE, path_of(known), note))
        for name, announcements in announced(self.group).items():
            for one in announcements:
                found.append(Entry(name, one.package, one.path, self._obstacle(one, announcements)))
        return tuple(sorted(found, key=lambda entry: (entry.name, entry.source != BUILT_IN, entry.source)))

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Add an entry, as a decorator of the class or function that builds it.

        Raises:
            ConfigError: The name is taken by something else, or is not one word.
        """
        if not is_name(name) or ":" in name:
            raise ConfigError(f"{name!r} cannot name a {self.kind}: expected letters, digits, '_', '-' and '.'")

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            known = self._entries.get(name)
            if known is not None and path_of(known) != path_of(factory):
                raise ConfigError(
                    f"the {self.kind} {name!r} is registered already, as {path_of(known)}; choose another name"
                )
            self._entries[name] = factory
            return factory

        return add

    def get(self, name: str) -> Callable[..., T]:
        """Return what builds the entry `name`.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest.
            ConfigError: What the name stands for cannot be imported, or the name stands for two things.
        """
        if ":" in name:
            return self._imported(name)
        if name not in self._entries:
            return self._from_elsewhere(name)
        entry = self._entries[name]
        clash = "" if name in self._builtin else self._clash(name, path_of(entry))
        if clash:
            raise ConfigError(f"the {self.kind} {name!r} is {clash}")
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = cast("Callable[..., T]", getattr(importlib.import_module(module), attribute))
            self._entries[name] = entry
        return entry

    def make(self, spec: str, **parameters: Any) -> T:
        """Build the entry that a spec names: `"name:key=value,key=value"`.

        Args:
            spec: The spec.
            **parameters: Further parameters; those of the spec go before them.

        Raises:
            UnknownNameError: No such name.
            ConfigError: The spec cannot be read, a parameter is not valid, or the entry is not finished.
        """
        if not isinstance(spec, str):
            raise ConfigError(f"a {self.kind} is named by a spec such as 'name:key=value', actually: {spec!r}")
        name, given = parse_spec(spec)
        return self.create(name, **{**parameters, **given})

    def create(self, name: str, **parameters: Any) -> T:
        """Build the entry `name` with `parameters`.

        Raises:
            UnknownNameError: No such name.
            ConfigError: A parameter that the entry does not take, with the nearest one, or one that it needs and lacks;
                or the entry lacks something that its kind must have.
        """
        factory = self.get(name)
        self._check_factory(name, factory)
        self._check_parameters(name, factory, parameters)
        made = factory(**parameters)
        problems = self._problems(made)
        if problems:
            raise ConfigError(f"the {self.kind} {name!r} ({path_of(factory)}) is not finished: {'; '.join(problems)}")
        return made

    def _check_factory(self, name: str, factory: Callable[..., T]) -> None:
        if not callable(factory):
            raise ConfigError(
                f"the {self.kind} {name!r} must be a class or a function that builds one, actually: {factory!r:.200}"
            )
        if inspect.isabstract(factory):
            lacks = ", ".join(sorted(getattr(factory, "__abstractmethods__", ())))
            raise ConfigError(f"the {self.kind} {name!r} ({path_of(factory)}) is not finished: it lacks {lacks}")

    def _check_parameters(self, name: str, factory: Callable[..., T], parameters: Mapping[str, Any]) -> None:
        valid = inspect.signature(factory).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in valid.values()):
            for parameter in parameters:
                if parameter not in valid:
                    hint = nearest(parameter, tuple(valid))
                    raise ConfigError(f"the {self.kind} {name!r} has no parameter {parameter!r}. {hint}")
        for key, taken in valid.items():
            is_needed = taken.default is taken.empty and taken.kind not in (taken.VAR_KEYWORD, taken.VAR_POSITIONAL)
            if is_needed and key not in parameters:
                raise ConfigError(f"the {self.kind} {name!r} needs the parameter {key!r}")

    def _from_elsewhere(self, name: str) -> Callable[..., T]:
        """What a name stands for that is neither built in nor registered in this process."""
        if (self.kind, name) in _adopted:
            path = _adopted[self.kind, name]
            return self._loaded(name, path, f"registered as {path} in the process that started this worker")
        announcements = announced(self.group).get(name, ())
        if not announcements:
            further = _IN_A_WORKER.format(group=self.group) if multiprocessing.parent_process() is not None else ""
            raise UnknownNameError(f"unknown {self.kind} {name!r}. {nearest(name, self.names())}{further}")
        if len(announcements) > 1:
            raise ConfigError(f"the {self.kind} {name!r} is {_told(announcements)}; name the one that you mean")
        one = announcements[0]
        return self._loaded(name, one.path, f"announced by {one.package} as {one.path}")

    def _imported(self, name: str) -> Callable[..., T]:
        word, _, thing = name.partition(":")
        if word in self._entries and not self._is_its_module(word):
            raise ConfigError(
                f"cannot read {thing!r} in {name!r}: {word!r} is a {self.kind}, and a parameter of it is written "
                f"{word}:{thing}=value; expected name:key=value,key=value"
            )
        return self._loaded(name, name, "named by its module")

    def _is_its_module(self, name: str) -> bool:
        """Whether a name that a module registered is the module's own name."""
        return name not in self._builtin and path_of(self._entries[name]).partition(":")[0] == name

    def _loaded(self, name: str, path: str, origin: str) -> Callable[..., T]:
        """Import `"module:Thing"`: the one place where users' own modules are loaded, and may fail in any way."""
        module, _, thing = path.partition(":")
        start = f"the {self.kind} {name!r}, {origin}, cannot be loaded"
        try:
            found = functools.reduce(getattr, thing.split("."), importlib.import_module(module))
        except MetisError:
            raise
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{start}: {error}. Is its package installed in this environment?{self._hint()}"
            ) from error
        except Exception as error:  # whatever another package's module does when it is imported
            raise ConfigError(f"{start}: {type(error).__name__}: {error}{self._hint()}") from error
        return cast("Callable[..., T]", found)

    def _hint(self) -> str:
        return _IN_A_WORKER.format(group=self.group) if multiprocessing.parent_process() is not None else ""

    def _clash(self, name: str, path: str) -> str:
        """Why a name that this process registered cannot be used; empty if it can."""
        others = [one for one in announced(self.group).get(name, ()) if one.path != path]
        return f"registered in this process as {path}, and {_told(others)}; choose another name" if others else ""

    def _obstacle(self, one: Announcement, all_of_them: Sequence[Announcement]) -> str:
        """Why an announced name cannot be used; empty if it can."""
        if one.name in self._builtin:
            return f"hidden by the built-in name: use {one.path}"
        return f"announced by several packages: use {one.path}" if len(all_of_them) > 1 else ""


def lacking(made: Any, methods: Sequence[str], attributes: Sequence[str] = ()) -> list[str]:
    """What an object lacks of its contract, as sentence parts.

    >>> lacking("abc", ["upper", "fly"], ["name"])
    ['it has no name', 'it has no fly()']
    """
    missing = [name for name in attributes if not hasattr(made, name)]
    missing += [f"{name}()" for name in methods if not callable(getattr(made, name, None))]
    if "name" in attributes and hasattr(made, "name") and not (isinstance(made.name, str) and made.name):
        missing.insert(0, f"name (a text that is not empty, actually {made.name!r})")
    return [f"it has no {name}" for name in missing]


def path_of(entry: object) -> str:
    """`"module:attribute"` of a class or function; text is such a path already."""
    if isinstance(entry, str):
        return entry
    return f"{getattr(entry, '__module__', '?')}:{getattr(entry, '__qualname__', '?')}"


def in_process_names() -> tuple[tuple[str, str, str], ...]:
    """What decorators registered in this process: kind, name and path, for `adopt` in a worker process."""
    own = [
        (registry.kind, name, path_of(entry))
        for registry in _registries.values()
        for name, entry in registry._entries.items()
        if name not in registry._builtin
    ]
    return (*((kind, name, path) for (kind, name), path in _adopted.items()), *own)


def adopt(names: Sequence[tuple[str, str, str]]) -> None:
    """In a worker process: know the names that were registered in the process that started it.

    Nothing is imported before a name is used. In a process that nobody started as a worker this does nothing.
    """
    if multiprocessing.parent_process() is not None:
        _adopted.update({(kind, name): path for kind, name, path in names})


def _told(announcements: Sequence[Announcement]) -> str:
    return "announced " + " and ".join(f"by {one.package} as {one.path}" for one in announcements)


_registries: dict[str, Registry[Any]] = {}
"""Every registry of this process, by its kind."""
_adopted: dict[tuple[str, str], str] = {}
"""Kind and name → path, of names that were registered in the process that started this one."""
