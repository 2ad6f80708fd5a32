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

from metis_gym.dialects.blocks import TextBlock, find_blocks, is_balanced, remove_blocks
from metis_gym.errors import ConfigError
from metis_gym.records import Task, ToolCall, ToolResult
from metis_gym.registries import lacking, path_of

__all__ = [
    "IMAGE_MARK",
    "TOOL_IMAGES",
    "Dialect",
    "Limits",
    "ParsedTurn",
    "TextBlock",
    "ToolSpec",
    "call_json",
    "dialect_problems",
    "find_blocks",
    "is_balanced",
    "made_call",
    "read_call",
    "remove_blocks",
    "result_text",
    "returned",
    "tool_line",
    "without_image_marks",
]

IMAGE_MARK = "<image>"
TOOL_IMAGES = ("source", "view")
"""What a dialect's code may work on."""
_EXAMPLE = 'Write {"name": "tool name", "arguments": {...}}.'
_TAG = re.compile(r"<(?=/?[a-z_]{1,16}>)")

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
            in the same turn is not taken, unless the dialect says otherwise.
        notes: What the model should be told about the turn besides the results.
        ends: The episode ends with this turn, though it holds no answer: the model gave up, or its authors' harness
            would have ended it.
    """

    calls: tuple[ToolCall, ...] = ()
    answer: str | None = None
    notes: tuple[str, ...] = field(default=())
    ends: bool = False


class Dialect(ABC):
    """How one family of models writes and reads."""

    name: str
    stop: tuple[str, ...] = ()
    """Strings after which generation stops; they belong to the turn."""
    thought: str = ""
    """The tag of thoughts, in which nothing acts; empty if there is none."""
    quote: str = ""
    """The tag in which only the environment writes, and in which nothing acts; empty if there is none."""
    continues: bool = False
    """An observation goes on with the model's own turn, as it is written, instead of being a turn of the user's."""
    prefill: str = ""
    """What each turn after an observation begins with, before the model goes on; it belongs to the turn."""
    callable_tools: tuple[str, ...] | None = None
    """The tools for which there are words; None for any tool."""
    benchmark_tools: tuple[str, ...] | None = None
    """The tools of its models' own evaluation, the default on benchmarks; None for those of the taskset."""
    max_calls: int | None = None
    """Calls that its models can write in one turn; None for any number."""
    image_files: bool = False
    """Its models' code opens images by path, and prints the paths of those that it made."""
    max_images: int | None = None
    """Images that one `python` call returns at most; None for the sandbox's limit."""
    tool_images: str = "source"
    """What code works on: the "source" images, or their "view", which is what the model sees."""

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

    def shown(self, result: ToolResult) -> ToolResult:
        """What the model is shown of a result; `observation` is given this."""
        return result

    def prompt(self, task: Task) -> str:
        """The first user turn: the images with their sizes, the question, the options, without marks of their own."""
        return "\n".join([*self._image_lines(task), "", *self._question_lines(task)])

    def _image_lines(self, task: Task) -> list[str]:
        lines = []
        for number, image in enumerate(task.images, start=1):
            (height, width), (view_height, view_width) = image.source.shape[:2], image.view.shape[:2]
            shown = ""
            if self.tool_images == "view":
                height, width = view_height, view_width
            elif (height, width) != (view_height, view_width):
                shown = f", shown to you at {view_width} x {view_height}; tools work on the full image, in its pixels"
            lines += [IMAGE_MARK, f"image_{number}: {width} x {height} pixels{shown}."]
        return lines

    def _question_lines(self, task: Task) -> list[str]:
        lines = [f"Question: {without_image_marks(task.question)}"]
        lines += [
            f"{letter}. {without_image_marks(option)}"
            for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", task.options, strict=False)
        ]
        return [*lines, "Answer with the letter of the right option."] if task.options else lines


_OPTIONS = tuple(name for name in Dialect.__annotations__ if name not in ("name", "stop"))


def dialect_problems(made: Any) -> list[str]:
    """What a finished dialect lacks."""
    methods = ("system", "prompt", "parse", "shown", "observation", "write_calls", "write_answer", "format_score")
    problems = lacking(made, methods, ("name", "stop", *_OPTIONS))
    if getattr(made, "tool_images", "source") not in TOOL_IMAGES:
        problems.append(f"tool_images must be one of {', '.join(TOOL_IMAGES)}, actually: {made.tool_images!r}")
    for name in ("callable_tools", "benchmark_tools"):
        if isinstance(getattr(made, name, None), str):
            problems.append(f"{name} must be None or a tuple of names, actually the text {getattr(made, name)!r}")
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


def result_text(result: ToolResult) -> str:
    """Everything that a result holds: its output, its errors, and a mark for each image with its caption."""
    texts = [without_image_marks(text) for text in (result.output, result.errors) if text]
    captions = result.captions or ("",) * len(result.images)
    images = [IMAGE_MARK + (f" {without_image_marks(caption)}" if caption else "") for caption in captions]
    return "\n".join([*texts, *images]) or "(no output)"


def tool_line(tool: ToolSpec) -> str:
    """A tool in one line: its name, what it does, its price where it is shown, its arguments."""
    arguments = json.dumps(tool.schema.get("properties", {}), ensure_ascii=False)
    price = "" if tool.price is None else f" A call costs {tool.price:g}."
    return f"- {tool.name}: {tool.description}{price} Arguments: {arguments}"


def read_call(body: str) -> ToolCall:
    """Read the JSON of one tool call. Raw line breaks inside strings are accepted, as models write them.

    What cannot be read comes back as a call with a `problem` for the model.
    """
    try:
        call = json.loads(body, strict=False)
    except json.JSONDecodeError as error:
        return ToolCall(
            name="", problem=f"The tool call is not valid JSON ({error.msg} at character {error.pos}). {_EXAMPLE}"
        )
    except (ValueError, RecursionError):
        return ToolCall(
            name="", problem=f"The tool call is not valid JSON (nested too deeply, or a number too long). {_EXAMPLE}"
        )
    named = call if isinstance(call, dict) else {}
    return made_call(named.get("name"), named.get("arguments"))


def made_call(name: Any, arguments: Any) -> ToolCall:
    """A tool call of a name and arguments, both as a model wrote them; the arguments may be JSON text, or missing.

    What cannot be a call comes back with a `problem` for the model.
    """
    if not isinstance(name, str):
        return ToolCall(name="", problem=f"The tool call has no tool name. {_EXAMPLE}")
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        arguments = {}
    read = _read_object(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(read, dict):
        return ToolCall(name=name, problem=f"The arguments of {name!r} are not a JSON object. {_EXAMPLE}")
    return ToolCall(name=name, arguments=read)


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
