"""An audit: draws tasks of each part of a taskset and holds every probe against its ceiling."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import SequenceMatcher

from threadpoolctl import threadpool_limits

from metis_envs.audit.legibility import has_tesseract
from metis_envs.audit.probes import OVERALL, PROBES, probe_part
from metis_envs.audit.results import NotProbed, ProbeResult, Report, mean
from metis_envs.audit.samples import Looks, Part, Sample, draw_samples, parts_of
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity
from metis_gym.registries import nearest
from metis_gym.tasksets import TasksetSpec, make_taskset

__all__ = ["audit", "available_workers"]

_VIEWS_SHARE, _READINGS_SHARE = 1 / 25, 1 / 10
_MIN_VIEWS, _MIN_READINGS = 8, 16
_WORDS_TIMES = 4
"""So many times more tasks are drawn where only their words are needed, which costs little."""
_SEARCHED_TIMES = 3
"""So many times more are searched for, which takes no drawing either."""
_MIN_TASKS = 20
_QUESTIONS, _WORDINGS = 60, 6


def audit(
    taskset: TasksetSpec,
    *,
    tasks: int = 400,
    words: int = 0,
    seed: int = 0,
    split: str = "train",
    view_size: int = 448,
    probes: Sequence[str] = tuple(PROBES),
    workers: int = 1,
    also: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Probe what gives a taskset's tasks away without looking.

    Args:
        taskset: What to audit.
        tasks: Tasks to draw of each of its families.
        words: Tasks of each family whose words and pages are looked at, where they are known without drawing; 0 for
            four times as many as are drawn.
        seed: The same seed gives the same tasks, folds and results.
        split: "train" or "test".
        view_size: Longest side of the views, pixels.
        probes: Which probes to make.
        workers: Processes. With more than one, the calling script needs the usual `if __name__ == "__main__":`.
        also: Further tasksets to audit, which do not count as parts of the whole.
        progress: Hears how far it is.

    Raises:
        ConfigError: An argument is not valid.
    """
    words = words or _WORDS_TIMES * tasks
    _check(tasks, words, probes, workers)
    parts = parts_of(make_taskset(taskset, split=split, view_size=view_size))
    for spec in also:
        parts += parts_of(make_taskset(spec, split=split, view_size=view_size), weight=0.0)
    looks = Looks(
        drawn=tasks,
        images=not {"statistics", "thumbnail"}.isdisjoint(probes),
        searched=min(words, _SEARCHED_TIMES * tasks) if "blind" in probes else 0,
        views=max(_MIN_VIEWS, round(tasks * _VIEWS_SHARE)) if "views" in probes else 0,
        readings=max(_MIN_READINGS, round(tasks * _READINGS_SHARE)) if "print" in probes and has_tesseract() else 0,
    )
    drawn = _drawn(parts, words, looks, seed, workers, progress)
    studied = [(part.name, drawn[place]) for place, part in enumerate(parts)]
    if sum(part.weight > 0 for part in parts) > 1:
        studied.append((OVERALL, _weighted(parts, drawn)))
    outcomes = _probed(studied, probes, seed, workers)
    return Report(
        taskset=taskset if isinstance(taskset, str) else repr(taskset),
        split=split,
        view_size=view_size,
        tasks=tasks,
        words=words,
        seed=seed,
        results=tuple(outcome for outcome in outcomes if isinstance(outcome, ProbeResult)),
        not_probed=tuple(outcome for outcome in outcomes if isinstance(outcome, NotProbed)),
        facts={part.name: _facts(drawn[place]) for place, part in enumerate(parts)},
    )


def available_workers() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(tasks: int, words: int, probes: Sequence[str], workers: int) -> None:
    if tasks < _MIN_TASKS or workers < 1:
        raise ConfigError(
            f"tasks must be at least {_MIN_TASKS} and workers at least 1, actually: {tasks} and {workers}"
        )
    if words < tasks:
        raise ConfigError(f"words must be at least as many as tasks, actually: {words} and {tasks}")
    for name in probes:
        if name not in PROBES:
            raise ConfigError(f"unknown probe {name!r}. {nearest(name, tuple(PROBES))}")


def _drawn(
    parts: Sequence[Part], words: int, looks: Looks, seed: int, workers: int, progress: Callable[[str], None]
) -> list[list[Sample]]:
    drawn: list[list[Sample]] = [[] for _ in parts]
    for place, sample in draw_samples(parts, words, looks, seed=seed, workers=workers):
        drawn[place].append(sample)
        if len(drawn[place]) == looks.drawn:
            progress(f"{parts[place].name}: {looks.drawn} tasks drawn")
    return drawn


def _weighted(parts: Sequence[Part], drawn: Sequence[Sequence[Sample]]) -> list[Sample]:
    """As many samples of each part as its share says, as far as they reach."""
    total = min(len(samples) / part.weight for part, samples in zip(parts, drawn, strict=True) if part.weight)
    return [
        sample for part, samples in zip(parts, drawn, strict=True) for sample in samples[: round(total * part.weight)]
    ]


def _probed(
    studied: Sequence[tuple[str, Sequence[Sample]]], probes: Sequence[str], seed: int, workers: int
) -> list[ProbeResult | NotProbed]:
    if workers == 1:
        return [outcome for part, samples in studied for outcome in _probe(part, samples, probes, seed)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(_probe, part, samples, probes, seed) for part, samples in studied]
        return [outcome for done in running for outcome in done.result()]


def _probe(part: str, samples: Sequence[Sample], probes: Sequence[str], seed: int) -> list[ProbeResult | NotProbed]:
    with threadpool_limits(1):  # the processes share the processors already
        return probe_part(part, samples, probes, seed)


def _facts(samples: Sequence[Sample]) -> dict[str, object]:
    """What is known of the tasks of each necessity, and some questions that differ."""
    kinds = {
        kind.value: _known([sample for sample in samples if sample.necessity is kind])
        for kind in Necessity
        if any(sample.necessity is kind for sample in samples)
    }
    return {"kinds": kinds, "wordings": _different([sample.question for sample in samples])}


def _known(samples: Sequence[Sample]) -> dict[str, object]:
    """How many tasks, their mean blind accuracy, and in how many tasks which calls and tools are best."""
    blind = [sample.blind_accuracy for sample in samples if sample.blind_accuracy is not None]
    calls = Counter(sample.min_calls for sample in samples if sample.min_calls is not None)
    tools = Counter(" + ".join(sample.tools) for sample in samples if sample.tools)
    return {
        "tasks": len(samples),
        "blind_accuracy": round(mean(blind), 3) if blind else None,
        "min_calls": {str(count): calls[count] for count in sorted(calls)},
        "tools": dict(tools.most_common()),
    }


def _different(questions: Sequence[str]) -> list[str]:
    """A few questions that resemble each other least."""
    left = list(dict.fromkeys(questions))[:_QUESTIONS]
    chosen = left[:1]
    while len(chosen) < min(_WORDINGS, len(left)):
        chosen.append(
            min(
                (one for one in left if one not in chosen),
                key=lambda one: max(SequenceMatcher(None, one, other).ratio() for other in chosen),
            )
        )
    return chosen
