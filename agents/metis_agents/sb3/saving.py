"""The files of `HDPO.save`: a zip, as stable-baselines3's users expect, whose content holds no pickled objects.

```
model.zip
├── model.safetensors           weights, moments, generators, and the algorithm's arguments as JSON
├── _stable_baselines3_version
└── system_info.txt             of the machine that wrote it
```

stable-baselines3's own files keep arguments and spaces as pickled objects, and whoever reads those runs what stands in
them. Here a file chooses numbers, names of registered designs, and classes out of one table; all are checked.
"""

import contextlib
import dataclasses
import io
import pathlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common import torch_layers
from stable_baselines3.common.save_util import open_path
from stable_baselines3.common.utils import get_system_info
from torch import nn

from metis_agents.rl import SURROGATES, LossConfig
from metis_agents.sb3.policy import NumericExtractor
from metis_agents.states import from_bytes, to_bytes
from metis_gym import rewards
from metis_gym.errors import CheckpointError
from metis_gym.recording.choices import is_harmless_design, is_harmless_spec
from metis_gym.rewards.contract import RewardDesign
from metis_gym.terminal import printable

__all__ = [
    "ARGUMENTS",
    "COUNTERS",
    "FORMAT",
    "File",
    "argument",
    "as_saved",
    "box_of_spaces",
    "counter",
    "episode_info",
    "is_pickled",
    "open_model",
    "spaces_of_box",
    "write_model",
]

FORMAT = 1
ARGUMENTS = (
    *("tasks", "group_size", "reward_design", "minibatches", "epochs", "max_grad_norm", "loss", "learning_rate"),
    *("policy_kwargs", "stats_window_size", "seed", "verbose"),
)
COUNTERS = (
    *("num_timesteps", "_total_timesteps", "_num_timesteps_at_start", "_episode_num", "_n_updates"),
    "_current_progress_remaining",
)
File = str | pathlib.Path | io.BufferedIOBase

_CONTENT, _PICKLED, _SYSTEM = "model.safetensors", "data", "system_info.txt"
_MAX_NUMBER = 8_192
_MAX_ITEMS = 64
_MAX_ELEMENTS = 1 << 24
_AGAIN = "$given again"
"""Stands for a value that is code, or an object of an unknown class."""

_CLASSES: Mapping[str, type] = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (
        *(nn.ReLU, nn.Tanh, nn.ELU, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Sigmoid, nn.Identity),
        *(torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop),
        *(NumericExtractor, torch_layers.FlattenExtractor, torch_layers.CombinedExtractor, torch_layers.NatureCNN),
    )
}
"""The classes that a file may name among its policy's arguments."""


def write_model(path: File, content: Mapping[str, Any]) -> None:
    """Write a file.

    Raises:
        CheckpointError: The content holds something that is neither a tensor, a number nor text.
    """
    data = to_bytes({"format": FORMAT, **content})
    file = open_path(path, "w", verbose=0, suffix="zip")
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_CONTENT, data)
            archive.writestr("_stable_baselines3_version", stable_baselines3.__version__)
            archive.writestr(_SYSTEM, get_system_info(print_info=False)[1])
    finally:
        if isinstance(path, str | pathlib.Path):
            file.close()


def open_model(path: File) -> tuple[Mapping[str, Any], str]:
    """The content of a file that `write_model` wrote, and what it says of the system that wrote it.

    Raises:
        CheckpointError: It is another file, one of stable-baselines3's own among them, or it is damaged.
    """
    name = str(path) if isinstance(path, str | pathlib.Path) else "the file"
    with _opened(path, name) as archive:
        names = archive.namelist()
        if _CONTENT not in names:
            raise CheckpointError(_no_content(name, names))
        content = from_bytes(_stored(archive, _CONTENT), name)
        system = _stored(archive, _SYSTEM)[:10_000].decode(errors="replace") if _SYSTEM in names else ""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{name} is of another format; this version reads {FORMAT}")
    return content, printable(system)


def is_pickled(path: File) -> bool:
    """Whether this is a file in stable-baselines3's own form. Looks at the names of its parts only.

    Raises:
        CheckpointError: It is no zip file.
    """
    with _opened(path, "the file") as archive:
        names = archive.namelist()
    return _PICKLED in names and _CONTENT not in names


def counter(saved: Any) -> float:
    """A number of steps, updates or episodes, or a share.

    Raises:
        CheckpointError: It is none.
    """
    if not _number(0, 2**63)(saved):
        raise CheckpointError(f"one of its counters is {saved!r:.80}, which is no count")
    count: float = saved
    return count


def episode_info(saved: Any) -> dict[str, float]:
    """Reward, length and time of an episode, which the logged means are taken over.

    Raises:
        CheckpointError: It is none.
    """
    if (
        not isinstance(saved, dict)
        or saved.keys() != {"r", "l", "t"}
        or not all(map(_number(-1e30, 1e30), saved.values()))
    ):
        raise CheckpointError("its episodes are not reward, length and time")
    return {**saved}


def _no_content(name: str, names: list[str]) -> str:
    if _PICKLED not in names:
        return f"{name} is no model of HDPO: it has no {_CONTENT}"
    return (
        f"{name} is a file of stable-baselines3's own form. It holds pickled objects, and reading those runs whatever "
        "code is in them. If you know where it comes from, read it with HDPO.load(path, trust=True), and save it again"
    )


@contextlib.contextmanager
def _opened(path: File, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        file = open_path(path, "r", verbose=0, suffix="zip")
    except OSError as error:
        raise CheckpointError(f"cannot read {name}: {error}") from error
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        struct.error,
    ) as error:
        raise CheckpointError(f"cannot read {name}: {type(error).__name__}: {error}") from error
    finally:
        if isinstance(path, str | pathlib.Path):
            file.close()


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """A part as it stands in the file: nothing is inflated."""
    part = archive.getinfo(name)
    if part.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(f"{name} is compressed; HDPO.save compresses nothing")
    return archive.read(part)


# -- arguments ------------------------------------------------------------------------------------------------------


def as_saved(name: str, value: Any) -> Any:
    """An argument of the algorithm as it is saved: a number, text, or a mark that it must be given again."""
    if name == "reward_design":
        return _design_spec(value)
    if name == "loss":
        options = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        return options if type(value) is LossConfig else _AGAIN
    return _plain(value)


def argument(name: str, saved: Any) -> Any:
    """The inverse of `as_saved`, for whatever stood in a file.

    Raises:
        CheckpointError: It cannot be made of the file alone, or is not one that a file may choose.
    """
    if name not in _CHECKS:
        raise CheckpointError(f"it sets {name!r:.80}, which a file does not set")
    if saved == _AGAIN or not _CHECKS[name](saved):
        shown = "" if saved == _AGAIN else f", actually: {saved!r:.120}"
        raise CheckpointError(
            f"its {name} is not one that is taken from a file (code, a class or a number that is too large){shown}. "
            f"Give it again: HDPO.load(path, {name}=…)"
        )
    if name == "loss":
        return LossConfig(**saved)
    return _with_classes(saved) if name == "policy_kwargs" else saved


def _design_spec(design: RewardDesign) -> str:
    """The spec that makes this design anew; the mark if there is none."""
    if design.name not in rewards.available():
        return _AGAIN
    spec = rewards.spec_of(design)
    return spec if is_harmless_design(spec) and type(rewards.make(spec)) is type(design) else _AGAIN


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        name = f"{value.__module__}.{value.__qualname__}"
        return {"class": name} if _CLASSES.get(name) is value else _AGAIN
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return _AGAIN if _AGAIN in items else type(value)(items)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        named = {key: _plain(item) for key, item in value.items()}
        return _AGAIN if _AGAIN in named.values() else named
    return _AGAIN


def _with_classes(saved: Any) -> Any:
    if isinstance(saved, dict):
        if saved.keys() == {"class"}:
            return _CLASSES[saved["class"]]
        return {key: _with_classes(item) for key, item in saved.items()}
    return type(saved)(map(_with_classes, saved)) if isinstance(saved, list | tuple) else saved


def _is_modest(value: Any) -> bool:
    """Plain values that make no huge network."""
    if isinstance(value, dict):
        if value.keys() == {"class"}:
            return isinstance(value["class"], str) and value["class"] in _CLASSES
        return len(value) <= _MAX_ITEMS and all(map(_is_modest, value.values()))
    if isinstance(value, list | tuple):
        return len(value) <= _MAX_ITEMS and all(map(_is_modest, value))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return abs(value) <= _MAX_NUMBER if is_number else value is None or isinstance(value, bool | str)


def _is_loss(value: Any) -> bool:
    names = {field.name for field in dataclasses.fields(LossConfig) if field.init}
    return (
        isinstance(value, dict) and value.keys() == names and is_harmless_spec(value["surrogate"], SURROGATES.names())
    )


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "epochs": _whole(1, 1_000),
    "group_size": _whole(1, 4_096),
    "learning_rate": _number(0, 1e6),
    "loss": _is_loss,
    "max_grad_norm": lambda value: value is None or _number(0, 1e30)(value),
    "minibatches": _whole(1, 4_096),
    "policy_kwargs": lambda value: isinstance(value, dict) and _is_modest(value),
    "reward_design": is_harmless_design,
    "seed": lambda value: value is None or _whole(0, 2**32 - 1)(value),
    "stats_window_size": _whole(1, 1_000_000),
    "tasks": _whole(1, 4_096),
    "verbose": _whole(0, 2),
}
"""Argument → what a file may set it to. `tensorboard_log` is not among them: a file does not say where to write."""


# -- spaces ---------------------------------------------------------------------------------------------------------


def box_of_spaces(space: spaces.Space[Any]) -> dict[str, Any]:
    """The spaces of the numeric view as numbers: a Dict of boxes, or Discrete.

    Raises:
        CheckpointError: Another space.
    """
    if isinstance(space, spaces.Discrete):
        return {"n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Dict):
        return {"dict": {name: box_of_spaces(part) for name, part in space.items()}}
    if not isinstance(space, spaces.Box):
        raise CheckpointError(f"a space of kind {type(space).__name__} cannot be saved")
    bounds = {name: _bound(getattr(space, name)) for name in ("low", "high")}
    return {"shape": list(space.shape), "dtype": str(space.dtype), **bounds}


def spaces_of_box(saved: Any) -> spaces.Space[Any]:
    """The inverse of `box_of_spaces`, for whatever stood in a file.

    Raises:
        CheckpointError: It is none, or it is huge.
    """
    match saved:
        case {"n": int(n), "start": int(start)} if 1 <= n <= 1 << 16:
            return spaces.Discrete(n, start=start)
        case {"dict": dict(parts)} if 0 < len(parts) <= _MAX_ITEMS:
            return spaces.Dict({str(name): spaces_of_box(part) for name, part in parts.items()})
        case {"shape": list(shape), "dtype": "uint8" | "float32" | "int64" as dtype, "low": low, "high": high} if (
            len(shape) <= 8
            and all(map(_whole(1, _MAX_ELEMENTS), shape))
            and np.prod(shape, dtype=float) <= _MAX_ELEMENTS
        ):
            return spaces.Box(low, high, tuple(shape), np.dtype(dtype))
    raise CheckpointError("its spaces are none that a file may hold, or are huge")


def _bound(values: Any) -> Any:
    """One number where all are the same."""
    return values.flat[0].item() if values.size and (values == values.flat[0]).all() else values
