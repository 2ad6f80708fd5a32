"""Training states as safetensors files: tensors, and everything else as JSON in the header. No pickle.

A state is what `state_dict` methods give: dictionaries, lists and tuples of tensors, numpy arrays, numbers, text, bytes
and None. Reading one makes those and nothing else, whoever wrote it: no class is looked up and no code is run, and what
is made is as large as the file.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from safetensors.torch import save_file as save_tensors_file
from torch import Tensor

from metis_gym.errors import CheckpointError, MetisError

__all__ = ["check_optimizer_state", "fitting", "from_bytes", "read_state", "to_bytes", "write_state"]

_STATE = "state"
_MAX_DEPTH = 64


def to_bytes(state: Any) -> bytes:
    """A state as the content of a safetensors file.

    Raises:
        CheckpointError: It holds something else than a state may; the message names it.
    """
    tensors, metadata = _split(state)
    data: bytes = save_tensors(tensors, metadata)
    return data


def write_state(state: Any, path: Path) -> None:
    """Write a state as a safetensors file.

    Raises:
        CheckpointError: It holds something else than a state may; the message names it.
        OSError: The file cannot be written.
    """
    tensors, metadata = _split(state)
    try:
        save_tensors_file(tensors, path, metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def from_bytes(data: bytes, name: str = "the state") -> Any:
    """The inverse of `to_bytes`.

    Args:
        data: The file's content.
        name: What messages call it.

    Raises:
        CheckpointError: It is damaged, or no file of this project.
    """
    with _reading(name):
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length]) if length < len(data) else None
        metadata = header.get("__metadata__") if isinstance(header, dict) else None
        return _joined(load_tensors(data).__getitem__, metadata)


def read_state(path: Path) -> Any:
    """The inverse of `write_state`; tensors are on the CPU.

    Raises:
        CheckpointError: It is damaged, or no file of this project.
    """
    with _reading(str(path)), safe_open(path, "pt", device="cpu") as file:
        return _joined(file.get_tensor, file.metadata())


@contextmanager
def fitting(what: str) -> Iterator[None]:
    """Turn what torch and numpy raise of a state that does not fit into a CheckpointError.

    Raises:
        CheckpointError: Weights, moments or generators of another shape or form.
    """
    try:
        yield
    except MetisError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{what} does not fit: {type(error).__name__}: {_short(error)}") from error


def check_optimizer_state(optimizer: torch.optim.Optimizer, state: Any) -> None:
    """See that a state is one of this optimiser: the same groups and options, moments of the parameters' shapes.

    Torch's own `load_state_dict` takes moments of any shape, and fails, or worse, at the next step.

    Raises:
        CheckpointError: It is not.
    """
    fresh = optimizer.state_dict()
    if "param_groups" not in fresh:
        return  # an optimiser with a form of its own checks it itself
    with fitting("the state of the optimiser"):
        groups, moments = state["param_groups"], state["state"]
        for given, own in zip(groups, fresh["param_groups"], strict=True):
            if given.keys() != own.keys() or list(given["params"]) != list(own["params"]):
                raise CheckpointError("the state is of an optimiser of another kind, or with other parameters")
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for number, of_one in moments.items():
            shape = parameters[number].shape
            for name, moment in of_one.items():
                if isinstance(moment, Tensor) and moment.numel() != 1 and moment.shape != shape:
                    raise CheckpointError(
                        f"the optimiser's {name!r} of parameter {number} has shape {tuple(moment.shape)}, expected "
                        f"{tuple(shape)}"
                    )


def _split(state: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the rest as JSON that names them."""
    split = _Split()
    rest = split.json(state, "state", 0)
    return split.tensors, {_STATE: json.dumps(rest)}


class _Split:
    """Takes the tensors out of a state. One that stands there twice is kept once."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def json(self, value: Any, path: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"{path}: a state has at most {_MAX_DEPTH} levels")
        if isinstance(value, Tensor):
            return {"$tensor": self._kept(value, path)}
        if isinstance(value, np.ndarray):
            return {"$array": self._kept(torch.from_numpy(np.ascontiguousarray(value)), path)}
        if isinstance(value, bytes):
            return {"$bytes": self._kept(torch.frombuffer(bytearray(value or b"\0"), dtype=torch.uint8), path)}
        if isinstance(value, np.generic):
            return value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list | tuple):
            items = [self.json(item, f"{path}.{number}", depth + 1) for number, item in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, Mapping):
            pairs = [(key, self.json(item, f"{path}.{key}", depth + 1)) for key, item in value.items()]
            is_plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs)
            return (
                dict(pairs) if is_plain else {"$map": [[self.json(key, path, depth + 1), item] for key, item in pairs]}
            )
        raise CheckpointError(f"{path} cannot be saved: {type(value).__name__} is no tensor, number or text")

    def _kept(self, tensor: Tensor, path: str) -> str:
        whole = tensor.detach()
        identity = (whole.device, whole.data_ptr(), whole.dtype, whole.shape, whole.stride())
        if whole.numel() and identity in self._names:
            return self._names[identity]
        name = path if path not in self.tensors else f"{path}#{len(self.tensors)}"
        # A copy where the storage holds more than this tensor: safetensors writes no storage twice.
        is_alone = whole.is_contiguous() and whole.untyped_storage().nbytes() == whole.nbytes
        self.tensors[name] = whole.cpu() if is_alone else whole.cpu().contiguous().clone()
        self._names[identity] = name
        return name


def _joined(tensor: Callable[[str], Tensor], metadata: Any) -> Any:
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_STATE), str):
        raise CheckpointError("it holds no state of this project")
    return _rebuilt(json.loads(metadata[_STATE]), tensor, 0)


def _rebuilt(value: Any, tensor: Callable[[str], Tensor], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"a state has at most {_MAX_DEPTH} levels")
    if isinstance(value, list):
        return [_rebuilt(item, tensor, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    match tuple(value):
        case ("$tensor",):
            return tensor(value["$tensor"])
        case ("$array",):
            return tensor(value["$array"]).numpy()
        case ("$bytes",):
            return tensor(value["$bytes"]).numpy().tobytes()
        case ("$tuple",):
            return tuple(_rebuilt(item, tensor, depth + 1) for item in value["$tuple"])
        case ("$map",):
            pairs = [(_rebuilt(key, tensor, depth + 1), item) for key, item in value["$map"]]
            return {key: _rebuilt(item, tensor, depth + 1) for key, item in pairs}
    return {key: _rebuilt(item, tensor, depth + 1) for key, item in value.items()}


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"cannot read {name}: {error}") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"cannot read {name}: {type(error).__name__}: {_short(error)}") from error


def _short(error: Exception) -> str:
    return str(error)[:500]
