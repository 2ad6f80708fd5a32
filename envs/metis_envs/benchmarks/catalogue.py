"""The benchmarks by name."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metis_envs.benchmarks.benchmark import Benchmark
from metis_gym.errors import ConfigError
from metis_gym.registries import Registry

__all__ = ["BENCHMARKS", "benchmark_taskset"]

_FOLDER = "metis_envs.benchmarks"
_CAPACITY = 16
_LOOKED_AT = 1_000
_kept: dict[tuple[object, ...], Benchmark] = {}
_lock = threading.Lock()


def _problems(made: object) -> list[str]:
    return (
        []
        if isinstance(made, Benchmark)
        else [f"it must be a metis_envs.benchmarks.Benchmark, actually: {type(made).__name__}"]
    )


BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    {
        "charxiv_dq": f"{_FOLDER}.charxiv:CharXivDescriptive",
        "charxiv_rq": f"{_FOLDER}.charxiv:CharXivReasoning",
        "dynamath": f"{_FOLDER}.dynamath:DynaMath",
        "hrbench_4k": f"{_FOLDER}.hrbench:HRBench4K",
        "hrbench_8k": f"{_FOLDER}.hrbench:HRBench8K",
        "logicvista": f"{_FOLDER}.logicvista:LogicVista",
        "mathverse": f"{_FOLDER}.mathverse:MathVerse",
        "mathvista": f"{_FOLDER}.mathvista:MathVista",
        "mme_realworld": f"{_FOLDER}.mme_realworld:MMERealWorld",
        "mme_realworld_lite": f"{_FOLDER}.mme_realworld:MMERealWorldLite",
        "seed2plus": f"{_FOLDER}.seed2plus:Seed2Plus",
        "treebench": f"{_FOLDER}.treebench:TreeBench",
        "vstar": f"{_FOLDER}.vstar:VStar",
        "wemath": f"{_FOLDER}.wemath:WeMath",
    },
    group="benchmarks",
    problems=_problems,
)
"""Benchmarks by name; add one with `@BENCHMARKS.register("name")`."""


def benchmark_taskset(named: str | None = None, **parameters: Any) -> Benchmark:
    """The taskset `"benchmark:NAME,key=value"`. The environments of a process share one: its rows are read once.

    Raises:
        ConfigError: There is no such benchmark, or a parameter is not valid.
    """
    if not named:
        raise ConfigError(f"expected benchmark:NAME with NAME one of: {', '.join(BENCHMARKS.names())}")
    path = parameters.get("path")
    state = _state(Path(str(path))) if path is not None else ()
    key = (named, BENCHMARKS.get(named), tuple(sorted(parameters.items())), state)
    with _lock:
        if key not in _kept:
            if len(_kept) >= _CAPACITY:
                _kept.pop(next(iter(_kept)))
            _kept[key] = BENCHMARKS.create(named, **parameters)
        return _kept[key]


def _state(path: Path) -> tuple[object, ...]:
    """What changes when a file does, or one of the first files and folders below a folder."""
    below = itertools.islice(_below(path), _LOOKED_AT) if path.is_dir() else ()
    try:
        return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in (path, *below))
    except OSError:
        return ()


def _below(folder: Path) -> Iterator[Path]:
    """What lies below a folder, the nearest first."""
    folders = [folder]
    for place in folders:
        found = sorted(place.iterdir())
        yield from found
        folders += [path for path in found if path.is_dir() and not path.is_symlink()]
