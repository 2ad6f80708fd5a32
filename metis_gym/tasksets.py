"""Where tasks come from: a taskset draws task ids and turns an id into a task.

A taskset is named by a spec: one name with parameters (`"charts:answers=choice"`), several joined by `+`
(`"signs+sums"`), or a mapping from specs to weights. Loading is cached, so that the episodes of a group, which share a
task, draw its images once.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from metis_gym.errors import ConfigError, TaskIdError
from metis_gym.records import Outcome, Task
from metis_gym.registries import Registry, path_of
from metis_gym.specs import parse_spec, split_outside_quotes
from metis_gym.task_cache import TaskCache
from metis_gym.variants import NO_VARIANTS, Variants

__all__ = [
    "SPLITS",
    "TASKSETS",
    "TaskCache",
    "Taskset",
    "TasksetSpec",
    "WeightedTaskset",
    "draw_task",
    "kept_variant",
    "load_task",
    "make_taskset",
]

TasksetSpec: TypeAlias = str | Sequence[str] | Mapping[str, float]

SPLITS = ("train", "test")
"""The splits; they share no seed, no part of a photograph and no fact."""


def _problems(made: Any) -> list[str]:
    """What a finished taskset lacks."""
    if not isinstance(made, Taskset):
        return [f"it must be a metis_gym.tasksets.Taskset, actually: {type(made).__name__}"]
    families = made.families
    if isinstance(families, str) or not families or not all(isinstance(name, str) and name for name in families):
        return [f"families must be names, as they stand at the beginning of task ids, actually: {families!r}"]
    if isinstance(made.tools, str):
        return [f"tools must be a sequence of names such as ({made.tools!r},), actually the text {made.tools!r}"]
    return []


TASKSETS: "Registry[Taskset]" = Registry(
    "taskset",
    {
        "areas": "metis_envs.families.areas:Areas",
        "benchmark": "metis_envs.benchmarks:benchmark_taskset",
        "charts": "metis_envs.families.charts:Charts",
        "documents": "metis_envs.families.documents:Documents",
        "counting": "metis_envs.families.counting:Counting",
        "facts": "metis_envs.families.facts:Facts",
        "flags": "metis_envs.families.flags:Flags",
        "folder": "metis_gym.filesets.files:folder_taskset",
        "geometry": "metis_envs.families.geometry:Geometry",
        "landmarks": "metis_envs.families.landmarks:Landmarks",
        "wordmaths": "metis_envs.families.wordmaths:Wordmaths",
        "relations": "metis_envs.families.relations:Relations",
        "hub": "metis_gym.filesets.hub:hub_taskset",
        "jsonl": "metis_gym.filesets.files:jsonl_taskset",
        "ledgers": "metis_envs.families.ledgers:Ledgers",
        "mixture": "metis_envs.mixture:mixture",
        "parquet": "metis_gym.filesets.files:parquet_taskset",
        "plaques": "metis_envs.families.plaques:Plaques",
        "tariffs": "metis_envs.families.tariffs:Tariffs",
        "timetables": "metis_envs.families.timetables:Timetables",
        "patches": "metis_envs.families.patches:Patches",
        "signs": "metis_envs.families.signs:Signs",
        "spotting": "metis_envs.families.spotting:Spotting",
        "sums": "metis_envs.families.sums:Sums",
    },
    group="tasksets",
    problems=_problems,
)
"""Tasksets by name; add one with `@TASKSETS.register("name")`. An entry takes `split`, `view_size` and its options."""


BENCHMARK_TASKSET = "benchmark"
"""The taskset whose first parameter is the name of a benchmark: `"benchmark:vstar"`."""

FILE_TASKSETS = ("folder", "hub", "jsonl", "parquet")
"""Tasksets that take a path: `"parquet:train.parquet"`, `"jsonl:tasks.jsonl,on_error=skip"`."""

_TRAILING = re.compile(r"""(,\s*(image_root=[^,"']*|[a-z_]+=("(\\.|[^"\\])*"|'(\\.|[^'\\])*'|[^,/"']*)))+\Z""")
_SPELLED_OUT = re.compile(r"""\s*(path\s*=|["'])""")


class Taskset(ABC):
    """A set of tasks: draws task ids and turns each into its task."""

    tools: tuple[str, ...] = ("python",)
    """The tools that its tasks are made for: what an environment offers unless it is told otherwise."""
    is_benchmark: bool = False
    """Whether it is a benchmark: there an environment offers the tools that the dialect's models are tested with."""
    is_elsewhere: bool = False
    """Whether other machines play its tasks: loading them here beforehand is of no use."""

    @property
    @abstractmethod
    def families(self) -> tuple[str, ...]:
        """The names of the families of its tasks, as they stand at the beginning of task ids."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> str:
        """Draw the id of a task."""

    @abstractmethod
    def build(self, task_id: str) -> Task:
        """Make the task that an id names: the same id is the same task, to the byte.

        Raises:
            TaskIdError: The id cannot be read, or was made by other versions.
        """

    def task_ids(self) -> Sequence[str] | None:
        """The ids of all tasks, in order; None if there is no end of them."""
        return None

    def labels(self, task_id: str) -> Mapping[str, str]:  # noqa: ARG002 — most tasks have none
        """What figures are split by, such as a category; decodes no image."""
        return {}

    def measure(self, task_id: str, texts: Sequence[str], answer: str | None) -> Mapping[str, float]:  # noqa: ARG002
        """What else of an episode figures are made of, by name; most tasks have nothing.

        Args:
            task_id: The task.
            texts: What the model wrote, turn by turn.
            answer: Its final answer; None if there was none.
        """
        return {}

    def knows(self, task_id: str) -> bool:
        """Whether this id is one of this taskset's, as far as its beginning tells."""
        return task_id.partition("/")[0].partition(":")[0] in self.families

    def doubt(self, task_id: str) -> str:  # noqa: ARG002 — most tasksets can prove nothing
        """What speaks against the necessity that a task states, where that can be proven; empty if nothing does."""
        return ""

    def variants(self, task_id: str, *, every: bool = False) -> Variants:  # noqa: ARG002 — most know no other answers
        """The task with each of the answers that its view leaves, itself included, each drawn when it is asked for.

        Args:
            task_id: The task.
            every: With each of its possible answers instead, and with all else that the view may leave open.

        Returns:
            In the order of the answers; empty where they are not known.
        """
        return NO_VARIANTS

    def can_vary(self, task_id: str) -> bool:  # noqa: ARG002
        """Whether the variants of this task are known."""
        return type(self).variants is not Taskset.variants

    def load(self, task_id: str) -> Task:
        """Make the task that an id names, or take it from the cache."""
        return _cache.get(self, task_id)

    def report(self, outcome: Outcome) -> None:  # noqa: B027 — most tasksets learn nothing
        """Hear how an episode of one of its tasks ended."""


class WeightedTaskset(Taskset):
    """Draws from several tasksets with given weights.

    Args:
        weighted: Pairs of a taskset and its weight.

    Attributes:
        parts: The tasksets.
        shares: The share of each part; they add up to 1.

    Raises:
        ConfigError: There is none, or a weight is not a positive number.
    """

    def __init__(self, weighted: Sequence[tuple[Taskset, float]]) -> None:
        if not weighted:
            raise ConfigError("a taskset needs at least one part")
        for part, weight in weighted:
            if not (weight > 0 and math.isfinite(weight)):
                raise ConfigError(
                    f"the weight of {'+'.join(part.families)} must be a positive number, actually: {weight!r}"
                )
        self.parts = tuple(part for part, _ in weighted)
        self.tools = _united(part.tools for part in self.parts)
        self.is_benchmark = all(part.is_benchmark for part in self.parts)
        weights = np.asarray([weight for _, weight in weighted], dtype=np.float64)
        self.shares = tuple(float(share) for share in weights / weights.sum())
        self._thresholds = np.cumsum(weights / weights.sum())

    @property
    def families(self) -> tuple[str, ...]:
        """The families of all parts."""
        return tuple(family for part in self.parts for family in part.families)

    def draw(self, rng: np.random.Generator) -> str:
        """Draw a part by weight, then one of its tasks."""
        position = int(np.searchsorted(self._thresholds, rng.random(), side="right"))
        return self.parts[min(position, len(self.parts) - 1)].draw(rng)

    def build(self, task_id: str) -> Task:
        """Let the part that knows the family make the task."""
        for part in self.parts:
            if part.knows(task_id):
                return part.build(task_id)
        raise TaskIdError(f"task id {task_id!r} is of none of the families of this taskset: {', '.join(self.families)}")

    def load(self, task_id: str) -> Task:
        """Let the part that knows the family load the task."""
        part = next((part for part in self.parts if part.knows(task_id)), None)
        return self.build(task_id) if part is None else part.load(task_id)

    def variants(self, task_id: str, *, every: bool = False) -> Variants:
        """The task with each of the answers that its view leaves, by the part that knows the family."""
        known = (part.variants(task_id, every=every) for part in self.parts if part.knows(task_id))
        return next(known, NO_VARIANTS)

    def can_vary(self, task_id: str) -> bool:
        """Whether the part that knows the family knows the variants."""
        return next((part.can_vary(task_id) for part in self.parts if part.knows(task_id)), False)

    def task_ids(self) -> Sequence[str] | None:
        """The ids of all parts, one part after the other; None if one of them has no end."""
        found = [part.task_ids() for part in self.parts]
        known = [ids for ids in found if ids is not None]
        return [task_id for ids in known for task_id in ids] if len(known) == len(found) else None

    def labels(self, task_id: str) -> Mapping[str, str]:
        """What figures are split by, by the part that knows the family."""
        return next((part.labels(task_id) for part in self.parts if part.knows(task_id)), {})

    def measure(self, task_id: str, texts: Sequence[str], answer: str | None) -> Mapping[str, float]:
        """What the part that knows the family measures."""
        return next((part.measure(task_id, texts, answer) for part in self.parts if part.knows(task_id)), {})

    def doubt(self, task_id: str) -> str:
        """What the part that knows the family has to say against the necessity that a task states."""
        return next((part.doubt(task_id) for part in self.parts if part.knows(task_id)), "")


def _united(sets: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Each tool once, in the order of first mention.

    >>> _united([("python",), ("python", "text_search")])
    ('python', 'text_search')
    """
    return tuple(dict.fromkeys(tool for tools in sets for tool in tools))


def make_taskset(spec: TasksetSpec, *, split: str, view_size: int, options: Mapping[str, Any] | None = None) -> Taskset:
    """Build a taskset from its spec.

    Args:
        spec: "signs", "charts:answers=choice", "signs+sums", a sequence of such, or a mapping from such to weights.
        split: "train" or "test".
        view_size: Longest side of the views in pixels.
        options: Parameters for every part, below those that its own spec gives.

    Raises:
        ConfigError: Something in it is not valid; the message names what is.
    """
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}; valid splits: {', '.join(SPLITS)}")
    if not (isinstance(view_size, int) and view_size >= 16):
        raise ConfigError(f"view_size must be a whole number of at least 16 pixels, actually: {view_size!r}")
    weights = _weights(spec)
    parts = []
    for part, weight in weights.items():
        name, parameters = _read_part(part)
        merged = {**(options or {}), **parameters}
        parts.append((TASKSETS.create(name, split=split, view_size=view_size, **merged), weight))
    return parts[0][0] if len(parts) == 1 else WeightedTaskset(parts)


def _read_part(part: str) -> tuple[str, dict[str, Any]]:
    """A name and its parameters; what comes before the first `key=value` of a file is its path.

    >>> _read_part("parquet:data/a,b.parquet,on_error=skip")
    ('parquet', {'on_error': 'skip', 'path': 'data/a,b.parquet'})
    >>> _read_part('parquet:"a,b=c.parquet",on_error=skip')
    ('parquet', {'path': 'a,b=c.parquet', 'on_error': 'skip'})
    """
    name, _, rest = part.partition(":")
    if name.strip() == BENCHMARK_TASKSET and "=" not in rest.partition(",")[0]:
        part = f"{name}:named={rest}"
    if name.strip() not in FILE_TASKSETS:
        return parse_spec(part)
    if _is_spelled_out(rest):
        return parse_spec(f"{name}:{rest}" if rest.strip().startswith("path") else f"{name}:path={rest}")
    found = _TRAILING.search(rest)
    path, parameters = (rest, "") if found is None else (rest[: found.start()], found.group(0)[1:])
    if not path:
        raise ConfigError(f"cannot read {part!r}: expected {name}:PATH or {name}:PATH,key=value")
    return name.strip(), {**parse_spec(f"{name}:{parameters}")[1], "path": path}


def _is_spelled_out(rest: str) -> bool:
    """Whether the path is in quotes or a parameter, so that its end is known."""
    return _SPELLED_OUT.match(rest) is not None


def _weights(spec: TasksetSpec) -> dict[str, float]:
    if isinstance(spec, str):
        name, _, rest = spec.partition(":")
        is_one_path = name.strip() in FILE_TASKSETS and not _is_spelled_out(rest)
        spec = [spec] if is_one_path else split_outside_quotes(spec, "+")
    if isinstance(spec, Mapping):
        return {str(part): float(weight) for part, weight in spec.items()}
    if isinstance(spec, Sequence) and all(isinstance(part, str) for part in spec):
        return dict.fromkeys(spec, 1.0)
    raise ConfigError(f"a taskset is a name, several names, or a mapping from names to weights; actually: {spec!r}")


def draw_task(taskset: Taskset, rng: np.random.Generator) -> Task:
    """Draw a task.

    Raises:
        ConfigError: The taskset cannot build what it drew, or builds something else.
    """
    task_id = taskset.draw(rng)
    where = f"the taskset {path_of(type(taskset))} is not finished"
    if not isinstance(task_id, str) or not task_id:
        raise ConfigError(f"{where}: draw() must return a task id, a text, actually: {task_id!r:.80}")
    try:
        task = taskset.load(task_id)
    except TaskIdError as error:
        raise ConfigError(
            f"{where}: it drew the task id {task_id!r}, which its build() does not take: {error}"
        ) from error
    if task.task_id != task_id:
        raise ConfigError(f"{where}: of the task id {task_id!r} it builds a task with the id {task.task_id!r}")
    return task


def load_task(task_id: str) -> Task:
    """Load any task by its id, whatever taskset drew it.

    Raises:
        TaskIdError: The id cannot be read, or was made by other versions.
    """
    name, parameters = parse_spec(split_outside_quotes(task_id, "/")[0])
    if name not in TASKSETS:
        raise TaskIdError(
            f"task id {task_id!r} names no known taskset; known: {', '.join(TASKSETS.names())}. A package makes its "
            f"own known in the entry-point group {TASKSETS.group!r}"
        )
    return TASKSETS.create(name, split="train", view_size=448, **parameters).load(task_id)


"""Two tasksets of different classes may draw the same id, and a file has one id for views of any size."""


_cache = TaskCache(capacity_bytes=256 << 20)


def kept_variant(taskset: Taskset, task_id: str, answer: int, make: Callable[[], Task]) -> Task:
    """A task with another answer, by its number, from the cache of tasks or made now."""
    return _cache.get_variant(taskset, task_id, answer, make)
