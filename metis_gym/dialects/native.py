"""The dialect of endpoints with function calling: a turn is the JSON of an assistant message, as OpenAI's API gives it.

| text | what it is |
|---|---|
| system turn | `{"content": str, "tools": [{"type": "function", "function": {"name", "description", "parameters"}}]}` |
| model's turn | `{"content": text or null, "tool_calls": [{"id", "function": {"name", "arguments": JSON text}}]}` |
| observation | `{"results": [{"text": str, "images": n}], "notes": [str]}` |

`read_system` and `read_observation` read what this dialect writes, for those who talk to an endpoint. A result's text
has one `<image>` for each of its images. Fields of a message that are not named here are not looked at.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metis_gym.dialects.blocks import spoken
from metis_gym.dialects.contract import (
    Dialect,
    Limits,
    ParsedTurn,
    ToolSpec,
    made_call,
    result_text,
)
from metis_gym.dialects.plain import final_answer
from metis_gym.records import ToolCall, ToolResult

__all__ = ["NativeDialect", "NativeResult", "read_observation", "read_system"]

_NO_MESSAGE = 'Your turn is not an assistant message: expected JSON such as {"content": "...", "tool_calls": [...]}.'
_EMPTY_TURN = "Your turn was empty. Call a function, or write your final answer."
_ANSWER_NOT_TAKEN = "The answer beside the tool call was not taken: answer in a turn of its own."
_NO_CALL = 'The tool call is not one: expected {"id": "...", "function": {"name": "...", "arguments": "{...}"}}.'


class NativeDialect(Dialect):
    """Function calling: the JSON of an assistant message with `content` and `tool_calls`."""

    name = "native"

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn's text and the functions, as JSON."""
        parts = ["You answer questions about images. Write your final answer inside <answer> and </answer>."]
        if tools:
            parts.append(
                f"At most {limits.max_turns} of your turns may call functions, with at most {limits.calls_per_turn} "
                "calls in one turn."
            )
        return _written({"content": "\n\n".join(parts), "tools": [_function(tool) for tool in tools]})

    def parse(self, text: str) -> ParsedTurn:
        """Read a message: its calls if there are any, else its content as the answer; a refusal ends the episode."""
        message = _read(text)
        if not isinstance(message, dict):
            return ParsedTurn(notes=(_NO_MESSAGE,))
        content = _content(message)
        calls = _calls(message.get("tool_calls"))
        if calls:
            return ParsedTurn(calls=calls, notes=(_ANSWER_NOT_TAKEN,) if "<answer>" in content else ())
        answer = final_answer(content)
        if answer:
            return ParsedTurn(answer=answer)
        return ParsedTurn(notes=(_EMPTY_TURN,), ends=bool(message.get("refusal")))

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """The results in the order of their calls, and the notes, as JSON."""
        given = [{"text": result_text(result), "images": len(result.images)} for result in results]
        return _written({"results": given, "notes": list(notes)})

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """A message with these calls; their ids count from `call_1` on."""
        written = [_tool_call(f"call_{number}", call) for number, call in enumerate(calls, start=1)]
        return _written({"role": "assistant", "content": reason or None, "tool_calls": written})

    def write_answer(self, answer: str, reason: str = "") -> str:
        """A message with the reason and the answer inside `<answer>`."""
        content = "\n".join(filter(None, [reason, f"<answer>{answer}</answer>"]))
        return _written({"role": "assistant", "content": content})

    def format_score(self, texts: Sequence[str]) -> float:
        """Readable messages with readable calls, and a last one that answers."""
        turns = [self.parse(text) for text in texts]
        are_read = all(_NO_MESSAGE not in turn.notes for turn in turns)
        are_whole = not any(call.problem for turn in turns for call in turn.calls)
        return float(are_read and are_whole and bool(turns) and turns[-1].answer is not None)


@dataclass(frozen=True)
class NativeResult:
    """The result of one call, as an observation holds it.

    Attributes:
        text: What the tool gave, with an `<image>` for each image.
        images: How many of the observation's images, in order, are this call's.
    """

    text: str
    images: int


def read_system(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The text and the functions of a system turn that this dialect wrote; the functions as an endpoint takes them.

    >>> read_system(NativeDialect().system([], Limits(max_turns=1, calls_per_turn=1)))[1]
    []
    """
    system = json.loads(text)
    return system["content"], system["tools"]


def read_observation(text: str) -> tuple[list[NativeResult], list[str]]:
    """The results, one for each call of the turn before, and the notes of an observation that this dialect wrote.

    >>> read_observation(NativeDialect().observation([], ["Answer now."]))
    ([], ['Answer now.'])
    """
    observation = json.loads(text)
    return [NativeResult(**result) for result in observation["results"]], observation["notes"]


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _read(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _function(tool: ToolSpec) -> dict[str, Any]:
    price = "" if tool.price is None else f" A call costs {tool.price:g}."
    function = {"name": tool.name, "description": tool.description + price, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}


def _content(message: dict[str, Any]) -> str:
    """The text of a message, without thoughts. Some servers give it in parts."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return spoken("".join(text for text in texts if isinstance(text, str)))


def _calls(given: Any) -> tuple[ToolCall, ...]:
    if not given:
        return ()
    return tuple(map(_call, given if isinstance(given, list) else [given]))


def _call(given: Any) -> ToolCall:
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict):
        return ToolCall(name="", problem=_NO_CALL)
    return made_call(function.get("name"), function.get("arguments"))


def _tool_call(identifier: str, call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments if isinstance(call.arguments, str) else _written(dict(call.arguments))
    return {"id": identifier, "type": "function", "function": {"name": call.name, "arguments": arguments}}
