"""What a dialect is, and what dialects share.

A dialect is the one place that knows tags: it renders the tool list, reads a model's turn and renders what tools gave
back. `<image>` marks the place of an image in a text, one mark for each image; marks that the model's code printed
are removed.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from metis_gym.errors import ConfigError
from metis_gym.records import Task, ToolCall, ToolResult
from metis_gym.registries import lacking, path_of

__all__ = [
    "IMAGE_MARK",
    "Dialect",
    "Limits",
    "ParsedTurn",
    "TextBlock",
    "ToolSpec",
    "call_json",
    "dialect_problems",
    "find_blocks",
    "is_balanced",
    "read_call",
    "remove_blocks",
    "returned",
    "without_image_marks",
]

IMAGE_MARK = "<image>"
_TAG = re.compile(r"<(?=/?(?:tool_call|answer|reason|think)>)")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """A tool as a model is told of it.

    Attributes:
        name: Its name.
        description: What it does, for the model.
        schema: JSON schema of its arguments, an object.
        price: Price of a call, None when prices are not shown.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    price: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits that a model is told of.

    Attributes:
        max_turns: Turns that may call tools; one more turn may answer.
        calls_per_turn: Calls that one turn may make.
    """

    max_turns: int
    calls_per_turn: int


@dataclass(frozen=True, kw_only=True)
class ParsedTurn:
    """What a model's turn holds.

    Attributes:
        calls: The tool calls, in order, unreadable ones included (they carry their `problem`).
        answer: The final answer, None when there is none. Calls go before answers: where there are calls, an answer
            in the same turn is not taken.
        notes: What the model should be told about the turn besides the results.
    """

    calls: tuple[ToolCall, ...] = ()
    answer: str | None = None
    notes: tuple[str, ...] = field(default=())


class Dialect(ABC):
    """How one family of models writes and reads."""

    name: str
    stop: tuple[str, ...] = ()
    """Strings after which generation stops; they belong to the turn."""

    @abstractmethod
    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn: tools, limits, format."""

    @abstractmethod
    def parse(self, text: str) -> ParsedTurn:
        """Read a model's turn. Never raises, whatever the text is."""

    @abstractmethod
    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """The user turn that tells what the calls gave, with one `<image>` for each returned image."""

    @abstractmethod
    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """A model turn that makes these calls, as this dialect's models write it."""

    @abstractmethod
    def write_answer(self, answer: str, reason: str = "") -> str:
        """A model turn that gives this final answer."""

    @abstractmethod
    def format_score(self, texts: Sequence[str]) -> float:
        """1.0 when the model's turns of a finished episode keep the format, else 0.0."""

    def prompt(self, task: Task) -> str:
        """The first user turn: the images with their sizes, the question, the options, without marks of their own."""
        lines = []
        for number, image in enumerate(task.images, start=1):
            (height, width), (view_height, view_width) = image.source.shape[:2], image.view.shape[:2]
            shown = ""
            if (height, width) != (view_height, view_width):
                shown = f", shown to you at {view_width} x {view_height}; tools work on the full image, in its pixels"
            lines += [IMAGE_MARK, f"image_{number}: {width} x {height} pixels{shown}."]
        lines += ["", f"Question: {without_image_marks(task.question)}"]
        lines += [
            f"{letter}. {without_image_marks(option)}"
            for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", task.options, strict=False)
        ]
        if task.options:
            lines.append("Answer with the letter of the right option.")
        return "\n".join(lines)


def dialect_problems(made: Any) -> list[str]:
    """What a finished dialect lacks."""
    methods = ("system", "prompt", "parse", "observation", "write_calls", "write_answer", "format_score")
    problems = lacking(made, methods, ("name", "stop"))
    stop = getattr(made, "stop", ())
    if not isinstance(stop, tuple) or not all(isinstance(text, str) and text for text in stop):
        problems.append(f"stop must be a tuple of texts such as ('</answer>',), actually: {stop!r}")
    return problems


def returned(value: T, kind: type[T], dialect: Dialect, method: str) -> T:
    """What a method of a dialect returned.

    Raises:
        ConfigError: It is not of the kind that the method must return.
    """
    if not isinstance(value, kind):
        raise ConfigError(
            f"the dialect {dialect.name!r} ({path_of(type(dialect))}) is not finished: {method}() must return "
            f"{kind.__name__}, actually: {type(value).__name__} {value!r:.80}"
        )
    return value


@dataclass(frozen=True)
class TextBlock:
    """A tagged part of a text: `text[start:end]` with its tags; `closed` tells whether the end tag is there."""

    start: int
    end: int
    body: str
    closed: bool


def find_blocks(text: str, tag: str) -> list[TextBlock]:
    """Find `<tag>…</tag>` from left to right, in time linear in the text; a last one may lack its end tag.

    >>> [block.body for block in find_blocks("<a>1</a> x <a>2", "a")]
    ['1', '2']
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    blocks: list[TextBlock] = []
    position = 0
    while (start := text.find(opening, position)) >= 0:
        body_start = start + len(opening)
        end = text.find(closing, body_start)
        if end < 0:
            blocks.append(TextBlock(start, len(text), text[body_start:], False))
            break
        blocks.append(TextBlock(start, end + len(closing), text[body_start:end], True))
        position = end + len(closing)
    return blocks


def remove_blocks(text: str, tag: str) -> str:
    """Take complete `<tag>…</tag>` parts out of a text.

    >>> remove_blocks("<think>B?</think>A", "think")
    'A'
    """
    kept, position = [], 0
    for block in find_blocks(text, tag):
        if block.closed:
            kept.append(text[position : block.start])
            position = block.end
    return "".join(kept) + text[position:]


def is_balanced(text: str, tag: str) -> bool:
    """Does the text have as many `<tag>` as `</tag>`?"""
    return text.count(f"<{tag}>") == text.count(f"</{tag}>")


def without_image_marks(text: str) -> str:
    """Remove literal `<image>` marks, so that marks and images stay one to one (also when they are nested).

    >>> without_image_marks("a <im<image>age> b")
    'a  b'
    """
    text = text.replace(IMAGE_MARK, "")
    if IMAGE_MARK not in text:
        return text
    kept: list[str] = []  # in time linear in the text, however deeply they are nested
    for character in text:
        kept.append(character)
        if character == ">" and "".join(kept[-len(IMAGE_MARK) :]) == IMAGE_MARK:
            del kept[-len(IMAGE_MARK) :]
    return "".join(kept)


def read_call(body: str) -> ToolCall:
    """Read the JSON of one tool call. Raw line breaks inside strings are accepted, as models write them.

    What cannot be read comes back as a call with a `problem` for the model.
    """
    example = 'Write {"name": "tool name", "arguments": {...}}.'
    try:
        call = json.loads(body, strict=False)
    except json.JSONDecodeError as error:
        return ToolCall(
            name="", problem=f"The tool call is not valid JSON ({error.msg} at character {error.pos}). {example}"
        )
    except (ValueError, RecursionError):
        return ToolCall(
            name="", problem=f"The tool call is not valid JSON (nested too deeply, or a number too long). {example}"
        )
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return ToolCall(name="", problem=f"The tool call has no tool name. {example}")
    arguments = call.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _read_object(arguments)
    if not isinstance(arguments, dict):
        return ToolCall(
            name=call["name"], problem=f"The arguments of {call['name']!r} are not a JSON object. {example}"
        )
    return ToolCall(name=call["name"], arguments=arguments)


def _read_object(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def call_json(call: ToolCall) -> str:
    r"""A tool call as the JSON that `read_call` reads, also where its arguments hold a dialect's tags.

    >>> call_json(ToolCall(name="python", arguments={"code": "'</tool_call>'"}))
    '{"name": "python", "arguments": {"code": "\'\\u003c/tool_call>\'"}}'
    """
    arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
    return _TAG.sub("\\\\u003c", json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False))
