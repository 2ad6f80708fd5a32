"""Values of observations, infos, actions and results as JSON, and back.

Arrays, scalars, tuples and images are objects with one marked key: `{"$array": …}`, `{"$scalar": …}`, `{"$tuple": …}`,
`{"$image": fingerprint}`. A mapping's own key that begins with `$` gets another `$` in front.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metis_gym.errors import RecordingError
from metis_gym.records import ImageArray

__all__ = ["MAX_DEPTH", "decoded", "encoded"]

MAX_DEPTH = 64
"""Deepest nesting of lists and objects that is written or read."""

_DTYPES = frozenset(
    ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64")
)
"""Names of numpy types that a recording may hold: numbers of fixed size, nothing that holds objects."""


def encoded(value: Any, store: Callable[[ImageArray], str], depth: int = 0) -> Any:
    """A value as JSON.

    Args:
        value: What to write.
        store: Keeps an image and gives its fingerprint.
        depth: How deep it lies.

    Raises:
        RecordingError: It is nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise RecordingError(f"values are recorded up to {MAX_DEPTH} levels deep")
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3:
            return {"$image": store(value)}
        return {"$array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic) and not isinstance(value, str):
        return {"$scalar": value.item(), "dtype": str(value.dtype)}
    if isinstance(value, tuple):
        return {"$tuple": [encoded(item, store, depth + 1) for item in value]}
    if isinstance(value, list):
        return [encoded(item, store, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_escaped(key): encoded(item, store, depth + 1) for key, item in value.items()}
    return value


def decoded(value: Any, image: Callable[[Any], ImageArray], depth: int = 0) -> Any:
    """The inverse of `encoded`, for whatever stood in a file.

    Args:
        value: What was read.
        image: Gives the image of a fingerprint.
        depth: How deep it lies.

    Raises:
        RecordingError: It is nested too deeply.
        ValueError: An array or a scalar that numpy cannot make, or one of a type that recordings do not hold. Numpy
            also raises TypeError and OverflowError.
    """
    if depth > MAX_DEPTH:
        raise RecordingError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, list):
        return [decoded(item, image, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    match tuple(value):
        case ("$image",):
            return image(value["$image"])
        case ("$array", "dtype"):
            return np.asarray(value["$array"], dtype=_dtype(value["dtype"]))
        case ("$scalar", "dtype"):
            return _scalar(value["$scalar"], _dtype(value["dtype"]))
        case ("$tuple",) if isinstance(value["$tuple"], list):
            return tuple(decoded(item, image, depth + 1) for item in value["$tuple"])
    return {_unescaped(key): decoded(item, image, depth + 1) for key, item in value.items()}


def _dtype(name: Any) -> "np.dtype[Any]":
    if not isinstance(name, str) or name not in _DTYPES:
        raise ValueError(f"arrays of type {name!r:.80} are not recorded")
    return np.dtype(name)


def _scalar(value: Any, dtype: "np.dtype[Any]") -> Any:
    if not isinstance(value, bool | int | float):
        raise ValueError(f"a scalar is a number, actually: {value!r:.80}")
    return dtype.type(value)


def _escaped(key: Any) -> Any:
    return f"${key}" if isinstance(key, str) and key.startswith("$") else key


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") else key
