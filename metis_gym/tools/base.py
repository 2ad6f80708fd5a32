"""What a tool is: a name, a price, two descriptions, a schema, and one session for each episode.

A tool has two texts. Its class docstring is for developers; `description` is for the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict

from metis_gym.errors import ConfigError
from metis_gym.records import Task, ToolResult

__all__ = ["Tool", "ToolSession", "ToolSettings", "check_arguments"]

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


class ToolSettings(TypedDict):
    """Arguments of the environment that tools may take; each tool says which in its `settings`."""

    sandbox: str
    """Where model-written code runs."""
    text_engine: str
    """Spec of the engine that text is searched with."""
    image_engine: str
    """Spec of the engine that pictures are searched with."""


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
    """A tool that a model may call.

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
    """Arguments of the environment that this tool takes as well: any of `ToolSettings`."""

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
