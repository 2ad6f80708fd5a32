"""What a recording may choose: an environment of this package, and values of arguments that reach nothing.

Every argument that is taken from a recording stands in one table with the check of its value; an argument that does not
is refused, new ones included. Names are those of registries, never `"module:Thing"`. Arguments that only say how tools
are run are left out: a replay runs none, and with `live_tools` they are the replayer's choice.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metis_gym import rewards
from metis_gym.dialects import DIALECTS
from metis_gym.dialects.contract import TOOL_IMAGES
from metis_gym.errors import ConfigError, RecordingError
from metis_gym.grading import GRADERS
from metis_gym.records import INVALID_CALLS
from metis_gym.registration import ENV_IDS, entry_point
from metis_gym.registries import parse_spec
from metis_gym.rewards import ESTIMATORS
from metis_gym.tasksets import BENCHMARK_TASKSET, FILE_TASKSETS, SPLITS, TASKSETS
from metis_gym.tools import TOOLS

__all__ = ["LEFT_OUT", "chosen", "is_harmless_design", "is_harmless_spec"]

LEFT_OUT = frozenset({"sandbox", "text_engine", "image_engine", "curriculum", "render_mode"})
"""Arguments of the environment that a replay does not take over: how tools are run, how tasks are drawn, and images
of the conversation. They may name files, addresses, keys and an unsafe sandbox."""

_MAX_PARTS = 64
_PLAIN_SPEC = re.compile(r"[A-Za-z_][\w.-]*(:[a-z_]+=[A-Za-z0-9_.+-]*(,[a-z_]+=[A-Za-z0-9_.+-]*)*)?")
_TASKSET_WORDS = {"answers": ("choice", "open", "mixed")}
_TASKSET_NUMBERS = frozenset({"choices", "required_share", "partial_share", "max_source"})
_DIALECT_WORDS = {"tool_images": TOOL_IMAGES}
_PREFILLED = tuple(f"deepeyes_v2:prefill={quote}<think>{quote}" for quote in ("", '"', "'"))
_DESIGN_WORDS: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "estimator": ESTIMATORS.names,
    "mode": lambda: ("exact", "max"),
}


def chosen(spec: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The environment's id and the arguments that a recording's spec chooses.

    Args:
        spec: As `Run.spec` holds it.

    Returns:
        For `gymnasium.make`.

    Raises:
        RecordingError: It names something that a recording may not choose.
    """
    env_id = spec.get("id")
    if not isinstance(env_id, str) or env_id not in ENV_IDS:
        raise _refused("the environment", env_id, f"one of {', '.join(ENV_IDS)}")
    if spec.get("entry_point") != entry_point(env_id):
        raise _refused("entry_point", spec.get("entry_point"), f"that of {env_id}, {entry_point(env_id)!r}")
    for name in ("additional_wrappers", "vector_entry_point", "max_episode_steps"):
        if spec.get(name):
            raise _refused(name, spec[name], "nothing")
    arguments = spec.get("kwargs", {})
    if not isinstance(arguments, dict):
        raise _refused("kwargs", arguments, "an object")
    return env_id, {name: _checked(name, value) for name, value in arguments.items() if name not in LEFT_OUT}


def _checked(name: str, value: Any) -> Any:
    if name not in _CHECKS:
        raise _refused(f"the argument {name!r:.80}", value, "left out")
    is_right, expected = _CHECKS[name]
    if not is_right(value):
        raise _refused(name, value, expected)
    return value


def _refused(what: str, given: Any, expected: str) -> RecordingError:
    return RecordingError(
        f"{what} is not for a recording to choose: expected {expected}, actually: {given!r:.120}. Replay it with "
        "--trust, trust=True in Python, only if you know where it comes from: it may then run any code"
    )


def is_harmless_design(spec: Any) -> bool:
    """Whether this is the spec of a registered reward design, its parameters numbers, flags and known words.

    >>> is_harmless_design("hdpo:w_tool=0.15"), is_harmless_design("my_package.module:Design")
    (True, False)
    """
    name, parameters = _read(spec)
    return name in rewards.available() and all(
        not isinstance(value, str) or value in _DESIGN_WORDS.get(key, tuple)() for key, value in parameters.items()
    )


def is_harmless_spec(spec: Any, names: Sequence[str]) -> bool:
    """Whether this is one of these names, with nothing but numbers and flags as parameters.

    >>> is_harmless_spec("sapo:tau=1", ("sapo",)), is_harmless_spec("sapo:path=a", ("sapo",))
    (True, False)
    """
    name, parameters = _read(spec)
    return name in names and not any(isinstance(value, str) for value in parameters.values())


def _is_taskset(value: Any) -> bool:
    if isinstance(value, str):
        value = value.split("+")
    if isinstance(value, dict):
        return _is_taskset(list(value)) and all(_is_number(weight, 0, math.inf) for weight in value.values())
    return isinstance(value, list | tuple) and 0 < len(value) <= _MAX_PARTS and all(map(_is_part, value))


def _is_dialect(value: Any) -> bool:
    name, parameters = _read(value)
    is_known = all(word in _DIALECT_WORDS.get(key, ()) for key, word in parameters.items() if isinstance(word, str))
    return value in _PREFILLED or (name in DIALECTS.names() and is_known)


def _is_part(part: Any) -> bool:
    name, parameters = _read(part)
    return (
        name in TASKSETS.names()
        and name not in (*FILE_TASKSETS, BENCHMARK_TASKSET)
        and all(
            value in _TASKSET_WORDS.get(key, ()) if isinstance(value, str) else key in _TASKSET_NUMBERS
            for key, value in parameters.items()
        )
    )


def _read(spec: Any) -> tuple[str, Mapping[str, Any]]:
    """A spec of one name, numbers, flags and words; an empty name for anything else."""
    if not isinstance(spec, str) or len(spec) > 1_000 or not _PLAIN_SPEC.fullmatch(spec):
        return "", {}
    try:
        return parse_spec(spec)
    except ConfigError:
        return "", {}


def _are_tools(value: Any) -> bool:
    if value is None:
        return True
    is_list = isinstance(value, list | tuple) and len(value) <= _MAX_PARTS
    return is_list and all(isinstance(name, str) and name in TOOLS.names() for name in value)


def _are_prices(value: Any) -> bool:
    names = {*TOOLS.names(), INVALID_CALLS}
    is_mapping = isinstance(value, dict) and set(value) <= names
    return value is None or (is_mapping and all(_is_number(price, 0, math.inf) for price in value.values()))


def _is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and low <= value <= high and value < math.inf


def _whole(low: int, high: int, *, optional: bool = False) -> tuple[Callable[[Any], bool], str]:
    def is_right(value: Any) -> bool:
        return (optional and value is None) or (isinstance(value, int) and _is_number(value, low, high))

    return is_right, f"a whole number from {low:,} to {high:,}" + (", or none" if optional else "")


def _share(high: float, *, optional: bool = False) -> tuple[Callable[[Any], bool], str]:
    return lambda value: (optional and value is None) or _is_number(value, 0, high), f"a number from 0 to {high:g}"


def _one_of(*words: object) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in words and type(value) in map(type, words), f"one of {', '.join(map(str, words))}"


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "answers": _one_of(None, "choice", "open", "mixed"),
    "calls_per_turn": _whole(1, 4_096),
    "choices": _whole(2, 26, optional=True),
    "crop_grid": _whole(1, 256),
    "dialect": (_is_dialect, "a registered dialect with flags or known words as parameters"),
    "grader": (
        lambda value: is_harmless_spec(value, GRADERS.names()),
        "a registered grader with numbers as parameters",
    ),
    "grader_noise": _share(0.5),
    "max_source": _whole(1, 1 << 15, optional=True),
    "max_turns": _whole(0, 1 << 20),
    "noise_key": _whole(-(1 << 63), (1 << 64) - 1),
    "prices": (_are_prices, "prices of registered tools"),
    "required_share": _share(1.0, optional=True),
    "partial_share": _share(1.0, optional=True),
    "reward": (is_harmless_design, "a registered reward design with numbers as parameters"),
    "show_prices": _one_of(True, False),
    "split": _one_of(*SPLITS),
    "tool_noise": _share(1.0),
    "taskset": (_is_taskset, "tasksets of this package that read no file, such as 'signs+charts:answers=choice'"),
    "tools": (_are_tools, "names of registered tools"),
    "view_size": _whole(1, 1 << 13),
}
"""Argument → the check of its value, and what is expected. Nothing else is taken from a recording."""
