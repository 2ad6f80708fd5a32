"""One recorded reset or step, and what makes a recorded one well formed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from metis_gym.records import ToolResult, ToolStatus

__all__ = ["Event", "as_dict", "as_event"]

_MAX_RESULTS = 4_096
_MAX_IMAGES = 1_024
_RESET, _STEP = "reset", "step"
_NAMES = {
    _RESET: ({"seed", "options"}, {"observation", "info"}),
    _STEP: ({"action"}, {"observation", "reward", "terminated", "truncated", "info"}),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """A reset or a step.

    Attributes:
        kind: "reset" or "step".
        given: What went in: `{"seed", "options"}` or `{"action"}`.
        returned: What came out: the observation, the info, and for steps reward, terminated and truncated.
        results: What the tools gave in this step.
        failure: The infrastructure error that ended the episode, as text; empty if there was none.
    """

    kind: str
    given: Mapping[str, Any]
    returned: Mapping[str, Any]
    results: tuple[ToolResult, ...] = ()
    failure: str = ""


def as_dict(event: Event) -> dict[str, Any]:
    """The event as a mapping, for the writer."""
    results = [asdict(result) for result in event.results]
    return {
        "kind": event.kind,
        "given": event.given,
        "returned": event.returned,
        "results": results,
        "failure": event.failure,
    }


def as_event(read: Any) -> Event:
    """The inverse of `as_dict`, for whatever stood in a file.

    Raises:
        ValueError: It is no event; the message says what is wrong.
    """
    _expect(isinstance(read, dict), "an event is an object", read)
    _expect_keys("an event", read, {field.name for field in fields(Event)})
    _expect(read["kind"] in _NAMES, 'kind is "reset" or "step"', read["kind"])
    given, returned = _NAMES[read["kind"]]
    _expect_keys("given", read["given"], given)
    _expect_keys("returned", read["returned"], returned)
    _expect(isinstance(read["failure"], str), "failure is text", read["failure"])
    _check_given(read["kind"], read["given"])
    _check_returned(read["kind"], read["returned"])
    _expect(isinstance(read["results"], list) and len(read["results"]) <= _MAX_RESULTS, "results is a list", None)
    return Event(**{**read, "results": tuple(_as_result(result) for result in read["results"])})


def _check_given(kind: str, given: Mapping[str, Any]) -> None:
    if kind == _RESET:
        _expect(given["seed"] is None or _is_whole(given["seed"]), "seed is none or a whole number", given["seed"])
        _expect(isinstance(given["options"], dict), "options is an object", given["options"])


def _check_returned(kind: str, returned: Mapping[str, Any]) -> None:
    info, observation = returned["info"], returned["observation"]
    _expect(isinstance(info, dict), "info is an object", info)
    _expect(isinstance(observation, dict), "observation is an object", observation)
    task_id = info.get("task_id")
    _expect(isinstance(task_id, str) and task_id != "", "info holds a task_id", task_id)
    for name, value in info.items():
        _expect(isinstance(value, str | bool | int | float), f"info[{name!r:.80}] is text, a number or a flag", value)
    for name in ("text", "system"):
        value = observation.get(name, "")
        _expect(isinstance(value, str | np.ndarray), f"{name} is text or an array", value)
    _check_images(observation.get("images", ()))
    if kind == _STEP:
        _expect(isinstance(returned["reward"], int | float), "reward is a number", returned["reward"])
        for name in ("terminated", "truncated"):
            _expect(isinstance(returned[name], bool), f"{name} is true or false", returned[name])


def _check_images(images: Any) -> None:
    _expect(isinstance(images, tuple) and len(images) <= _MAX_IMAGES, "images is a tuple", images)
    for image in images:
        is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        _expect(is_image, "images are RGB images", image)


def _as_result(read: Any) -> ToolResult:
    _expect_keys("a result", read, {field.name for field in fields(ToolResult)})
    for name in ("name", "output", "errors"):
        _expect(isinstance(read[name], str), f"{name} of a result is text", read[name])
    _expect(isinstance(read["seconds"], int | float), "seconds of a result is a number", read["seconds"])
    _check_images(read["images"])
    captions = read["captions"]
    _expect(isinstance(captions, tuple) and all(isinstance(text, str) for text in captions), "captions are texts", None)
    _expect(len(captions) in (0, len(read["images"])), "there is a caption for each image, or none", len(captions))
    return ToolResult(**{**read, "status": ToolStatus(read["status"])})


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _expect_keys(what: str, read: Any, expected: set[str]) -> None:
    is_right = isinstance(read, dict) and read.keys() == expected
    actually = sorted(read)[:20] if isinstance(read, dict) else type(read).__name__
    _expect(is_right, f"{what} has the keys {', '.join(sorted(expected))}", actually)


def _expect(is_right: bool, expected: str, actually: object) -> None:
    if not is_right:
        shown = "" if actually is None else f", actually: {actually!r:.80}"
        raise ValueError(f"expected that {expected}{shown}")
