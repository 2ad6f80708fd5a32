"""What a tool is: a name, a price, two descriptions, a schema, and one session for each episode.

A tool has two texts. Its class docstring is for developers; `description` is for the model.
"""

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict

from metis_gym.errors import ConfigError
from metis_gym.records import INVALID_CALLS, Task, ToolResult, ToolStatus
from metis_gym.registries import lacking, nearest

__all__ = [
    "Tool",
    "ToolSession",
    "ToolSettings",
    "check_arguments",
    "result_problem",
    "schema_problem",
    "tool_problems",
    "wanted_settings",
]

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


class ToolSettings(TypedDict):
    """Arguments of the environment that tools share; each tool names those that it wants in its `settings`.

    What one tool alone needs is no setting: it is a parameter of that tool, and stands in its spec, as in
    `tools=("python", "my_pkg:Zoom:factor=2")`.
    """

    sandbox: str
    """Where model-written code runs."""
    text_engine: str
    """Spec of the engine that text is searched with."""
    image_engine: str
    """Spec of the engine that images are searched with."""
    image_files: bool
    """Whether code opens images by path and prints the paths of those that it made: as the dialect says."""
    max_images: int | None
    """Images that one run of code returns at most, as the dialect says; None for the sandbox's limit."""
    tool_images: str
    """What code works on, as the dialect says: the "source" images, or their "view"."""


class ToolSession(ABC):
    """A tool during one episode; holds what the tool remembers between calls."""

    @abstractmethod
    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Run one call whose arguments fit the schema.

        Raises:
            InfrastructureError: The tool broke, not the call: the episode will be unscored.
        """

    def close(self) -> None:  # noqa: B027
        """End the session. May be called twice."""


class Tool(ABC):
    """A tool that a model may call. `metis_gym.tools.SimpleTool` is a shorter way to one that remembers nothing.

    Its constructor takes its own parameters by keyword, and the `settings` that it wants.

    Args:
        price: Price of one call, in the user's unit.

    Raises:
        ConfigError: The price is negative.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    """For the model."""
    schema: ClassVar[Mapping[str, Any]]
    """JSON schema of the arguments, an object."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names under which models call it."""
    settings: ClassVar[tuple[str, ...]] = ()
    """Arguments of the environment that this tool's constructor takes as well: any of `ToolSettings`."""

    def __init__(self, *, price: float = 1.0) -> None:
        if not price >= 0:
            raise ConfigError(f"the price of a {self.name!r} call must be 0 or more, actually: {price!r}")
        self.price = float(price)

    @abstractmethod
    def open(self, task: Task, *, seed: int) -> ToolSession:
        """Start a session for one episode of `task`. Cheap: work is left to the first call."""

    def normalise(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Bring arguments into the schema's form where models often miss it; called before they are checked."""
        return arguments


def check_arguments(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """Compare arguments with a tool's schema (types, required and unknown names).

    Returns:
        What is wrong, for the model; empty if nothing is.

    >>> schema = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
    >>> check_arguments(schema, {"code": 3})
    "Argument 'code' must be a string, not int."
    """
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in arguments:
            return f"Argument {name!r} is missing. Arguments: {', '.join(properties) or 'none'}."
    for name, value in arguments.items():
        if name not in properties:
            return f"Unknown argument {name!r:.80}. Arguments: {', '.join(properties) or 'none'}."
        kind = properties[name]["type"]
        is_bool_as_number = isinstance(value, bool) and kind in ("integer", "number")
        if not isinstance(value, _JSON_TYPES[kind]) or is_bool_as_number:
            article = "an" if kind[0] in "aeiou" else "a"
            return f"Argument {name!r} must be {article} {kind}, not {type(value).__name__}."
    return ""


def tool_problems(made: Any) -> list[str]:
    """What a finished tool lacks."""
    problems = lacking(made, ("open", "normalise"), ("name", "description", "schema", "price"))
    if getattr(made, "name", "") == INVALID_CALLS:
        problems.append(f"its name must not be {INVALID_CALLS!r}, under which malformed calls are counted")
    if hasattr(made, "schema") and schema_problem(made.schema):
        problems.append(schema_problem(made.schema))
    for field in ("aliases", "settings"):
        if isinstance(getattr(made, field, ()), str):
            problems.append(f"{field} must be a tuple of names, actually the text {getattr(made, field)!r}")
    return problems


def schema_problem(schema: Any) -> str:
    """What is wrong with the JSON schema of a tool's arguments; empty if nothing is.

    >>> schema_problem({"type": "object", "properties": {"code": {"type": "text"}}})
    "schema: the type of 'code' must be one of string, integer, number, boolean, array, object, actually: 'text'"
    """
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        return f'schema must be {{"type": "object", "properties": {{…}}}}, actually: {schema!r:.200}'
    properties, required = schema.get("properties"), schema.get("required", ())
    if not isinstance(properties, Mapping):
        return f"schema: properties must map each argument to its schema, actually: {properties!r:.200}"
    for name, described in properties.items():
        kind = described.get("type") if isinstance(described, Mapping) else described
        if kind not in _JSON_TYPES:
            return f"schema: the type of {name!r} must be one of {', '.join(_JSON_TYPES)}, actually: {kind!r}"
    if isinstance(required, str) or not set(required) <= set(properties):
        return f"schema: required must list names of properties ({', '.join(properties)}), actually: {required!r}"
    try:
        json.dumps(schema)
    except (TypeError, ValueError) as error:
        return f"schema must be JSON: {error}"
    return ""


def result_problem(name: str, result: Any) -> str:
    """What is wrong with what a call of the tool `name` returned; empty if nothing is."""
    if not isinstance(result, ToolResult):
        advice = "a SimpleTool returns self.result(text) or self.error(text)"
        return f"it returned {type(result).__name__} {result!r:.80} instead of a metis_gym.records.ToolResult; {advice}"
    if result.name != name:
        return f"its result has the name {result.name!r} instead of {name!r}"
    if not isinstance(result.status, ToolStatus):
        return f"its result's status must be a ToolStatus, actually: {result.status!r}"
    if not isinstance(result.output, str) or not isinstance(result.errors, str):
        return f"its result's output and errors must be text, actually: {result.output!r:.80}, {result.errors!r:.80}"
    for image in result.images:
        if getattr(image, "ndim", 0) != 3 or image.shape[2] != 3 or image.dtype.name != "uint8" or not image.size:
            what = getattr(image, "shape", type(image).__name__), getattr(getattr(image, "dtype", None), "name", "")
            return f"its images must be arrays of shape (height, width, 3), uint8, actually: {what}"
    if result.captions and len(result.captions) != len(result.images):
        return f"it returned {len(result.images)} images with {len(result.captions)} captions; give one each, or none"
    return ""


def wanted_settings(factory: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the environment's shared settings that a tool asks for by name in its `settings`.

    A constructor that insists on a price is given 1; the environment's `prices` go over the toolbox.

    Raises:
        ConfigError: It asks for an unknown one.
    """
    wanted = getattr(factory, "settings", ())
    for name in wanted:
        if name not in settings:
            raise ConfigError(
                f"the tool {getattr(factory, '__name__', factory)!r} asks for the setting {name!r}, which the "
                f"environment does not have. {nearest(name, tuple(settings))}"
            )
    price = inspect.signature(factory).parameters.get("price") if callable(factory) else None
    needed = {"price": 1.0} if price is not None and price.default is price.empty else {}
    return needed | {name: settings[name] for name in wanted}
