"""Images, calls of tools and what they gave: the values that tasks and conversations are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["INVALID_CALLS", "Box", "ImageArray", "Passage", "TitledImage", "ToolCall", "ToolResult", "ToolStatus"]


ImageArray: TypeAlias = NDArray[np.uint8]
Box: TypeAlias = tuple[int, int, int, int]

INVALID_CALLS = "invalid"
"""The name under which malformed calls and calls of unknown tools are counted and priced."""


class ToolStatus(StrEnum):
    """How a tool call ended, seen from the model."""

    OK = "ok"
    """The tool ran."""
    ERROR = "error"
    """The tool ran and failed, by the call's own doing (an exception in the model's code)."""
    INVALID = "invalid"
    """The call could not be run: malformed JSON, an unknown tool, wrong arguments."""
    REFUSED = "refused"
    """The call was well formed, but past a limit (calls per turn, tool turns)."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One tool call as the model asked for it.

    Attributes:
        name: The tool's name; empty when it could not be read.
        arguments: The arguments, as parsed; not yet validated.
        problem: Why the call could not be read, for the model; empty when it could.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class ToolResult:
    """What came back from one tool call.

    Attributes:
        name: The tool's name.
        status: How the call ended.
        output: What the tool has to say: printed output, search results, or what was wrong with the call.
        errors: The error stream: a traceback, a limit that was hit.
        images: Returned images, already fitted to the limits.
        captions: One title for each image, or nothing.
        seconds: Wall-clock time. Never part of an observation or an info, so that replays are identical.
    """

    name: str
    status: ToolStatus
    output: str = ""
    errors: str = ""
    images: tuple[ImageArray, ...] = ()
    captions: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A piece of text that text search can find.

    Attributes:
        title: Title of its page.
        text: The text.
        link: Address of its page; made up (`https://….example/…`) for generated text.
    """

    title: str
    text: str
    link: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TitledImage:
    """An image that image search can find.

    Attributes:
        title: Title of the page it stands on.
        image: The image.
        link: Address of that page.
    """

    title: str
    image: ImageArray
    link: str = ""
