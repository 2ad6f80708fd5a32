"""Tasks as the probes see them: drawn in processes, reduced to what is looked at, so that images are not kept."""

import multiprocessing
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metis_envs.audit.features import candidate_features, image_statistics, question_features, thumbnail
from metis_envs.audit.legibility import Reading, read_task
from metis_envs.audit.lookups import lookup_features
from metis_envs.audit.views import views_hold
from metis_envs.families.family import Blueprint, Brief, Family
from metis_gym.grading.cascade import CascadeGrader
from metis_gym.grading.choice import LETTERS
from metis_gym.records import Necessity, Plan, Task
from metis_gym.tasksets import SPLITS, Taskset, WeightedTaskset

__all__ = ["Looks", "Part", "Sample", "draw_samples", "parts_of"]

_CHUNK = 8
_MAX_CANDIDATES = 8
_SEEDS = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What is looked at, besides the words.

    Attributes:
        drawn: How many tasks of each part are drawn; of the others only the words are looked at.
        images: Statistics and thumbnails of the views.
        searched: In how many tasks of each part the question and each candidate are searched for.
        views: In how many tasks of each part the views of all answers are compared.
        readings: In how many tasks of each part and necessity print is read.
    """

    drawn: int
    images: bool = True
    searched: int = 0
    views: int = 0
    readings: int = 0

    @property
    def needs_drawing(self) -> bool:
        """Whether the task has to be drawn."""
        return bool(self.images or self.views or self.readings)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a taskset that is audited by itself: a family, or all that one file holds.

    Attributes:
        name: The names of its families.
        taskset: It draws the tasks.
        weight: Its share of the whole.
    """

    name: str
    taskset: Taskset
    weight: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One task, reduced to what the probes look at.

    Attributes:
        number: Its number among the draws; samples of the same number in other parts have the same seed.
        family: Its family.
        question: The question.
        options: The options, none for an open question.
        necessity: Does it need a tool?
        candidates: The options, or the possible answers of an open question; empty where they are not known.
        gold: Which candidate is right; -1 where that is not known.
        gold_elsewhere: Where the gold stands in the other split's task of the same seed; -1 where there is none.
        tools: The tools of its best plan, each once, in alphabetical order.
        numbers: Lengths, digits, values of the question and its options.
        choosing: What a reader of the candidates could choose by, shape (candidates, features).
        statistics: Of the whole view; None where it was not drawn.
        thumbnail: Of the view, shape (16, 16, 3).
        found: What text search finds for each candidate, shape (candidates, features).
        blind_accuracy: As the task states it.
        min_calls: As the task states it.
        views_hold: Are the views of all answers as they should be? None where that was not looked at; a text says not.
        reading: What was read of it; None where nothing was.
    """

    number: int
    family: str
    question: str
    options: tuple[str, ...]
    necessity: Necessity
    candidates: tuple[str, ...]
    gold: int
    gold_elsewhere: int = -1
    tools: tuple[str, ...] = ()
    numbers: NDArray[np.float64]
    choosing: NDArray[np.float64] | None = None
    statistics: NDArray[np.float64] | None = None
    thumbnail: NDArray[np.uint8] | None = None
    found: NDArray[np.float64] | None = None
    blind_accuracy: float | None = None
    min_calls: int | None = None
    views_hold: str | None = None
    reading: Reading | None = None


def parts_of(taskset: Taskset, weight: float = 1.0) -> list[Part]:
    """The parts of a taskset that are audited by themselves, with their shares of the whole."""
    if isinstance(taskset, WeightedTaskset):
        pairs = zip(taskset.parts, taskset.shares, strict=True)
        return [leaf for part, share in pairs for leaf in parts_of(part, weight * share)]
    return [Part(name="+".join(taskset.families), taskset=taskset, weight=weight)]


def draw_samples(
    parts: Sequence[Part], words: int, looks: Looks, *, seed: int, workers: int
) -> Iterator[tuple[int, Sample]]:
    """Draw tasks of each part, in processes; yields the number of the part and a sample.

    Args:
        parts: The parts.
        words: Tasks of each family, whose words are known without drawing.
        looks: What is looked at, and how many tasks of each part are drawn.
        seed: The same seed gives the same tasks.
        workers: Processes.
    """
    counts = [words if isinstance(part.taskset, Family) else looks.drawn for part in parts]
    jobs = [
        (place, start, min(_CHUNK, count - start))
        for place, count in enumerate(counts)
        for start in range(0, count, _CHUNK)
    ]
    if workers == 1:
        for place, start, count in jobs:
            for sample in _chunk(parts[place].taskset, start, count, looks, seed):
                yield place, sample
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            (place, pool.submit(_chunk, parts[place].taskset, start, count, looks, seed))
            for place, start, count in jobs
        ]
        try:
            for place, done in running:
                for sample in done.result():
                    yield place, sample
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _chunk(taskset: Taskset, start: int, count: int, looks: Looks, seed: int) -> list[Sample]:
    return [_sample(taskset, number, looks, seed) for number in range(start, start + count)]


def _sample(taskset: Taskset, number: int, looks: Looks, seed: int) -> Sample:
    rng = np.random.default_rng([seed, number])
    is_drawn = number < looks.drawn
    now = replace(
        looks,
        images=looks.images and is_drawn,
        searched=int(number < looks.searched),
        views=int(number < looks.views),
        readings=int(number < looks.readings),
    )
    return _of_family(taskset, number, rng, now) if isinstance(taskset, Family) else _of_any(taskset, number, rng, now)


def _of_family(family: Family, number: int, rng: np.random.Generator, looks: Looks) -> Sample:
    """A task of a family, whose possible answers are known."""
    seed = int(rng.integers(_SEEDS))
    blueprint, brief = family.blueprint(seed)
    state, count = family.state(seed, blueprint), len(blueprint.answers)
    gold = blueprint.answer_of(state)
    kept = _some(count, gold, rng)
    sample = _basic(
        number,
        family.name,
        blueprint.question,
        blueprint.answers if brief.choices else (),
        brief.necessity,
        tuple(blueprint.answers[index] for index in kept),
        kept.index(gold),
    )
    other = _elsewhere(family, SPLITS[1 - SPLITS.index(family.split)])
    sample = replace(sample, gold_elsewhere=other.answer_index(seed, count), **_planned(blueprint, brief, state))
    if looks.searched and _can_search(family):
        pages = blueprint.overlay(state, np.zeros((1, 1, 3), np.uint8)).passages  # of no image: nobody sees it
        sample = replace(sample, found=lookup_features(sample.question, pages, sample.candidates))
    if not looks.needs_drawing:
        return sample
    task = family.make(seed, family.task_id(seed), (blueprint, brief))
    return replace(
        _looked_at(sample, task, looks),
        views_hold=views_hold(task, blueprint, state, rng) if looks.views else None,
        reading=read_task(task, blueprint, state, rng) if looks.readings else None,
    )


def _planned(blueprint: Blueprint, brief: Brief, state: int) -> dict[str, Any]:
    """What is known of a task's worth before anything is drawn: blind accuracy, tools and calls of the best plan."""
    if brief.necessity is Necessity.UNKNOWN:
        return {}
    blind = 1 / len(blueprint.left(state))
    if not brief.hides:
        return {"blind_accuracy": blind, "min_calls": 0}
    calls = Counter(call.name for call in blueprint.calls(state)) or Counter(["python"])
    plans = blueprint.plans or (Plan(calls=calls, accuracy=1.0),)
    best = min(plans, key=lambda plan: (-plan.accuracy, plan.length))
    return {"blind_accuracy": blind, "min_calls": best.length, "tools": tuple(sorted(best.calls))}


def _elsewhere(family: Family, split: str) -> Family:
    """The same family, of the other split."""
    other = object.__new__(type(family))
    other.__dict__.update({**family.__dict__, "split": split})
    return other


def _of_any(taskset: Taskset, number: int, rng: np.random.Generator, looks: Looks) -> Sample:
    """A task of any taskset, of which no more is known than it says."""
    task = taskset.build(taskset.draw(rng))
    candidates = task.options
    gold = _right_option(task) if task.options else -1
    sample = _basic(number, task.family, task.question, task.options, task.necessity, candidates, gold)
    sample = _looked_at(sample, task, looks)
    if looks.searched and _can_search(taskset) and task.images and sample.choosing is not None:
        sample = replace(sample, found=lookup_features(task.question, task.passages, sample.candidates))
    if not looks.views:
        return sample
    return replace(sample, views_hold=_variants_hold(taskset, task))


def _basic(
    number: int,
    family: str,
    question: str,
    options: tuple[str, ...],
    necessity: Necessity,
    candidates: tuple[str, ...],
    gold: int,
) -> Sample:
    chooses = gold >= 0 and len(candidates) > 1
    return Sample(
        number=number,
        family=family,
        question=question,
        options=options,
        necessity=necessity,
        candidates=candidates,
        gold=gold,
        numbers=question_features(question, options),
        choosing=candidate_features(question, candidates, has_order=bool(options)) if chooses else None,
    )


def _can_search(taskset: Taskset) -> bool:
    return any(tool.partition(":")[0] == "text_search" for tool in taskset.tools)


def _looked_at(sample: Sample, task: Task, looks: Looks) -> Sample:
    plan = task.best_plan
    calls = plan.calls if plan is not None else {call.name for call in task.solution}
    sample = replace(sample, tools=tuple(sorted(calls)), blind_accuracy=task.blind_accuracy, min_calls=task.min_calls)
    if looks.images and task.images:
        image = task.images[0]
        sample = replace(sample, statistics=image_statistics(image.view, image.source), thumbnail=thumbnail(image.view))
    return sample


def _some(count: int, gold: int, rng: np.random.Generator) -> list[int]:
    """All candidates, or of many the right one and others by lot, in their order."""
    if count <= _MAX_CANDIDATES:
        return list(range(count))
    others = rng.permutation([index for index in range(count) if index != gold])[: _MAX_CANDIDATES - 1]
    return sorted([gold, *map(int, others)])


def _right_option(task: Task) -> int:
    """The first option that is graded as right; -1 if there is none."""
    grader = CascadeGrader()
    letters = LETTERS[: len(task.options)]
    return next((place for place, letter in enumerate(letters) if grader.grade(letter, task).score > 0), -1)


def _variants_hold(taskset: Taskset, task: Task) -> str | None:
    """Whether the views of the variants that a taskset knows are the same, as they should be."""
    variants = taskset.variants(task.task_id)
    if len(variants) < 2:
        return None
    views = [[zlib.crc32(image.view.tobytes()) for image in variant.images] for variant in variants]
    return "" if all(view == views[0] for view in views) else f"the views of variants of {task.task_id} differ"
