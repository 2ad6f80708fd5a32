"""What a family of tasks is: from a seed to a blueprint (`metis_envs.families.blueprint`), from that to a task."""

import dataclasses
import functools
import inspect
import re
import zlib
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from metis_envs.families.blueprint import Blueprint, Brief, Overlay, draw_blocks
from metis_envs.families.finishing import answer_names, image_of, look_at, plans_of, short_side
from metis_envs.families.versions import named_versions, versions_fingerprint
from metis_envs.scenes.canvas import Canvas
from metis_gym.errors import ConfigError, TaskIdError
from metis_gym.records import (
    AnswerKind,
    GoldAnswer,
    Necessity,
    Task,
    TaskImage,
)
from metis_gym.registries import format_spec, parse_spec, path_of
from metis_gym.specs import split_outside_quotes
from metis_gym.tasksets import SPLITS, Taskset, kept_variant
from metis_gym.variants import Variants

__all__ = ["Blueprint", "Brief", "Family", "Overlay", "SearchFamily", "look_at"]

_SEEDS = 1 << 31
_ANSWER_FORMATS = ("choice", "open", "mixed")
_MIN_SOURCE, _MAX_SOURCE = 1024, 4096
_MIN_FACTOR = 3
_ASPECTS = (1.0, 4 / 3, 3 / 2, 16 / 9, 3 / 4)
_COMPARED = 4
_MIN_PARTIAL_CHOICES = 4
_SHARES = (("required_share", int | float), ("partial_share", int | float))


class Family(Taskset):
    """A family of generated tasks.

    A subclass has a `name` and a `plan`. It may take parameters of its own by keyword; each must be kept under its own
    name (`self.most = most`), because task ids carry those that are not at their default.

    Args:
        split: "train" or "test".
        view_size: Longest side of the views, pixels.
        answers: "choice", "open", or "mixed" for both.
        choices: Options of a choice.
        required_share: Share of tasks that need a tool, where the family has both kinds.
        partial_share: Share of tasks whose view leaves several of the possible answers, where the family has such.
        max_source: Longest side that a source image may have, pixels.

    Raises:
        ConfigError: An argument is not valid for this family.
    """

    name: ClassVar[str]
    generation: ClassVar[int] = 2
    """Raised whenever this family draws anything differently, be it for a change in shared code: task ids carry it."""
    ability: ClassVar[str] = "perception"
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 224
    max_choices: ClassVar[int] = 8
    aspects: ClassVar[tuple[float, ...]] = _ASPECTS
    """Width by height of its images."""

    def __init__(
        self,
        *,
        split: str = "train",
        view_size: int = 448,
        answers: str = "mixed",
        choices: int = 4,
        required_share: float = 0.5,
        partial_share: float = 0.0,
        max_source: int = _MAX_SOURCE,
    ) -> None:
        self.split, self.view_size = split, view_size
        self.answers, self.choices = answers, choices
        self.required_share, self.partial_share, self.max_source = required_share, partial_share, max_source
        self._check()
        self.required_share, self.partial_share = float(required_share), float(partial_share)

    @property
    def families(self) -> tuple[str, ...]:
        """This family alone."""
        return (self.name,)

    def draw(self, rng: np.random.Generator) -> str:
        """Draw one of 2³¹ tasks."""
        return self.task_id(int(rng.integers(0, _SEEDS)))

    def task_id(self, seed: int) -> str:
        """The id of the task of a seed: family with its options, split, view size, seed, versions."""
        return f"{self._spec}/{self.split}/{self.view_size}/{seed}@{versions_fingerprint(self.generation)}"

    def build(self, task_id: str) -> Task:
        """Make the task of an id, also one that was drawn with other options."""
        family, seed = self._read_id(task_id)
        return family.make(seed, family.task_id(seed))

    def variants(self, task_id: str, *, every: bool = False) -> Variants:
        """The task with each of the answers that its view leaves, in their order; the key of a chain stays.

        Each is drawn when it is asked for.

        Args:
            task_id: The task.
            every: Every state of the task instead: each possible answer with each possible key.
        """
        family, seed = self._read_id(task_id)
        blueprint, brief = family.blueprint(seed)
        count, own = len(blueprint.answers), family.state(seed, blueprint)
        same_key = own - blueprint.answer_of(own)
        states = tuple(range(count * blueprint.keys) if every else (same_key + a for a in blueprint.left(own)))
        names, images = answer_names(blueprint, brief), dict[int, TaskImage]()

        def draw(state: int) -> Task:
            look = state // count if blueprint.keys > 1 else state  # of one key, all states look the same
            if look not in images:
                images[look] = image_of(blueprint, brief, state)
            return family._finish(blueprint, brief, state, task_id, images[look])

        def make(place: int) -> Task:
            return kept_variant(family, task_id, states[place], lambda: draw(states[place]))

        answers = tuple(names[blueprint.answer_of(state)] for state in states)
        return Variants(answers, make, keys=tuple(state // count for state in states))

    def blueprint(self, seed: int) -> tuple[Blueprint, Brief]:
        """The plan of a task, before its answer is drawn; for proofs and readers."""
        rng = self._stream(seed)
        brief = Brief(
            necessity=self._draw_necessity(rng),
            choices=self._draw_choices(rng),
            canvas=self._draw_canvas(rng),
            rng=rng,
            split=self.split,
            words=self._stream(seed, b"words"),
        )
        plan = self.plan(brief)
        blocks = draw_blocks(self._stream(seed, b"blocks"), brief.necessity, len(plan.answers))
        return dataclasses.replace(plan, blocks=blocks, factor=brief.canvas.factor), brief

    def make(self, seed: int, task_id: str, planned: tuple[Blueprint, Brief] | None = None) -> Task:
        """Draw the answer of a seed's blueprint, which may be known already, and make the task."""
        blueprint, brief = planned or self.blueprint(seed)
        state = self.state(seed, blueprint)
        image = image_of(blueprint, brief, state, is_alone=planned is None)
        return self._finish(blueprint, brief, state, task_id, image)

    def _finish(self, blueprint: Blueprint, brief: Brief, state: int, task_id: str, image: TaskImage) -> Task:
        is_choice, focus = brief.choices > 0, blueprint.focus or blueprint.region
        is_known = brief.necessity is not Necessity.UNKNOWN
        overlay = blueprint.overlay(state, image.source)
        alternatives = answer_names(blueprint, brief)
        left = tuple(alternatives[other] for other in blueprint.left(state))
        solution = (blueprint.calls(state) or (look_at(focus),)) if brief.hides else ()
        return Task(
            task_id=task_id,
            family=self.name,
            question=blueprint.question,
            images=(image,),
            gold=GoldAnswer(
                value=alternatives[blueprint.answer_of(state)], kind=AnswerKind.CHOICE if is_choice else blueprint.kind
            ),
            options=blueprint.answers if is_choice else (),
            necessity=brief.necessity,
            ability=self.ability,
            solution=solution,
            explanation=blueprint.explanation,
            region=focus,
            alternatives=left if is_known else alternatives,
            blind_accuracy=1 / len(left) if is_known else None,
            plans=plans_of(blueprint, solution, 1 / len(left)) if is_known else (),
            tool_benefit=blueprint.tool_benefit,
            notes=blueprint.notes,
            query=blueprint.query,
            passages=overlay.passages,
            titled_images=overlay.titled_images,
        )

    def doubt(self, task_id: str) -> str:
        """Where a task is to need a tool: do the views of its answers differ, so that one could do without?"""
        from metis_envs.necessity import views_differ

        family, seed = self._read_id(task_id)
        blueprint, brief = family.blueprint(seed)
        if not brief.hides:
            return ""
        block = blueprint.seen(family.state(seed, blueprint))
        pairs = views_differ(blueprint, brief, block[:_COMPARED])
        return (
            f"the views of the answers {pairs[0]} of {task_id!r} differ, and it says that no view tells them apart"
            if pairs
            else ""
        )

    def answer_index(self, seed: int, answers: int) -> int:
        """Which of its answers a seed's task has: uniform, and from a stream of its own."""
        return int(self._stream(seed, b"answer").integers(answers))

    def state(self, seed: int, blueprint: Blueprint) -> int:
        """The state of a seed's task: its answer, and a key from another stream."""
        answers = len(blueprint.answers)
        key = int(self._stream(seed, b"key").integers(blueprint.keys))
        return key * answers + self.answer_index(seed, answers)

    def _stream(self, seed: int, purpose: bytes = b"") -> np.random.Generator:
        """A stream of random numbers of its own for each family, split, seed and purpose."""
        key = [zlib.crc32(self.name.encode()), SPLITS.index(self.split), seed]
        return np.random.default_rng(np.random.SeedSequence([*key, zlib.crc32(purpose)] if purpose else key))

    @abstractmethod
    def plan(self, brief: Brief) -> Blueprint:
        """Plan a task. Nothing here may depend on which of the answers will be drawn."""

    @functools.cached_property
    def _spec(self) -> str:
        """The name with the parameters that are not at their default."""
        given = {}
        for key, default in _defaults(type(self)).items():
            if not hasattr(self, key):
                raise ConfigError(
                    f"{path_of(type(self))} is not finished: it takes the parameter {key!r} and does not keep it as "
                    f"self.{key}, so that task ids cannot carry it"
                )
            if getattr(self, key) != default:
                given[key] = getattr(self, key)
        return format_spec(self.name, given)

    def _check(self) -> None:
        if not getattr(self, "name", ""):
            raise ConfigError(f"{path_of(type(self))} is not finished: it has no name, with which its task ids begin")
        for name, kinds in (("choices", int), ("max_source", int), ("view_size", int), *_SHARES):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise ConfigError(f"{name} must be a number, actually: {value!r:.80}")
        if self.answers not in _ANSWER_FORMATS:
            raise ConfigError(f"answers must be one of {', '.join(_ANSWER_FORMATS)}, actually: {self.answers!r}")
        if not 2 <= self.choices <= self.max_choices:
            raise ConfigError(f"{self.name} can have 2 to {self.max_choices} choices, actually: {self.choices!r}")
        self._check_shares()
        if self.view_size < self.smallest_view:
            raise ConfigError(
                f"{self.name} needs a view of at least {self.smallest_view} px to be legible, "
                f"actually: {self.view_size}"
            )
        if not self._factors(self._smallest_factor()):
            raise ConfigError(
                f"no source of {_MIN_SOURCE} to {self.max_source} px is a whole multiple, "
                f"{self._smallest_factor()} or more, of a view of {self.view_size} px; change view_size or max_source"
            )

    def _check_shares(self) -> None:
        for name, _ in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be from 0 to 1, actually: {getattr(self, name)!r}")
        if self.required_share + self.partial_share > 1:
            raise ConfigError(
                f"required_share and partial_share must add up to 1 or less, actually: {self.required_share!r} and "
                f"{self.partial_share!r}"
            )
        if self.partial_share and self.answers != "open" and self.choices < _MIN_PARTIAL_CHOICES:
            raise ConfigError(
                f"partial_share needs {_MIN_PARTIAL_CHOICES} choices or more, so that the view can leave some of them, "
                f"actually: {self.choices}"
            )

    def _smallest_factor(self) -> int:
        return _MIN_FACTOR + (Necessity.REQUIRED in self.necessities)

    def _factors(self, smallest: int) -> list[int]:
        lowest = max(smallest, -(-_MIN_SOURCE // self.view_size))
        return list(range(lowest, min(self.max_source, _MAX_SOURCE) // self.view_size + 1))

    def _draw_necessity(self, rng: np.random.Generator) -> Necessity:
        draw = rng.random()
        kinds = ((Necessity.REQUIRED, self.required_share), (Necessity.PARTIAL, self.partial_share))
        for kind, share in kinds:
            if draw < share:
                return kind if kind in self.necessities else Necessity.NONE
            draw -= share
        return Necessity.NONE

    def _draw_choices(self, rng: np.random.Generator) -> int:
        is_choice = {"choice": True, "open": False, "mixed": bool(rng.random() < 0.5)}[self.answers]
        return self.choices if is_choice else 0

    def _draw_canvas(self, rng: np.random.Generator) -> Canvas:
        factor = int(rng.choice(self._factors(self._smallest_factor())))
        aspect = float(rng.choice(self.aspects)) if len(self.aspects) > 1 else self.aspects[0]
        short = short_side(self.view_size, aspect)
        return Canvas(short, self.view_size, factor) if aspect < 1 else Canvas(self.view_size, short, factor)

    def _read_id(self, task_id: str) -> "tuple[Family, int]":
        whole, *rest = split_outside_quotes(task_id, "@")
        versions, parts = "@".join(rest), split_outside_quotes(whole, "/")
        if len(parts) != 4 or parts[1] not in SPLITS or not all(map(_NUMBER.fullmatch, parts[2:])):
            raise TaskIdError(f"cannot read task id {task_id!r:.200}; expected family/split/view_size/seed@versions")
        name, parameters = parse_spec(parts[0])
        if name != self.name:
            raise TaskIdError(f"task id {task_id!r:.200} is of family {name!r:.80}, not {self.name!r}")
        known = _defaults(type(self))
        if not parameters.keys() <= known.keys():
            raise TaskIdError(f"task id {task_id!r:.200} has other options than {', '.join(known)}")
        if versions and versions != versions_fingerprint(self.generation):
            raise TaskIdError(
                f"task {task_id!r} was made by other versions than those installed "
                f"({named_versions(self.generation)}), which may draw it differently. "
                f"Leave out '@{versions}' to draw it anyway."
            )
        return _family_of(type(self), parts[1], int(parts[2]), tuple(sorted(parameters.items()))), int(parts[3])


class SearchFamily(Family):
    """A family whose `required` tasks are decided by what their overlay says, and by nothing in the image.

    Not even a crop helps: the sources of all answers are the same. So they are as small as they may be.
    """

    ability: ClassVar[str] = "search"
    aspects: ClassVar[tuple[float, ...]] = (1.0, 4 / 3, 3 / 2, 16 / 9)
    tools: tuple[str, ...] = ("python", "text_search")

    def _smallest_factor(self) -> int:
        return _MIN_FACTOR

    def _factors(self, smallest: int) -> list[int]:
        return super()._factors(smallest)[:1]


_NUMBER = re.compile(r"[0-9]{1,10}")


@functools.cache
def _defaults(kind: type[Family]) -> dict[str, Any]:
    """Parameter → default, of a family and all that it inherits from, but for the split and the size of views."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Family) and "__init__" in vars(base):
            named = inspect.signature(vars(base)["__init__"]).parameters.values()
            found |= {p.name: p.default for p in named if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    return {name: default for name, default in found.items() if name not in ("self", "split", "view_size")}


@functools.lru_cache(maxsize=256)
def _family_of(kind: type[Family], split: str, view_size: int, parameters: tuple[tuple[str, Any], ...]) -> Family:
    return kind(split=split, view_size=view_size, **dict(parameters))
