"""The dialect of Qwen's chat models ("Hermes" style): tools as JSON in `<tools>`, results in `<tool_response>`.

The tags are those of Qwen3-VL's chat template, and so is the text about tools, to the letter: the models were trained
with it. The sentences before it are ours.
"""

import json
from collections.abc import Sequence

from metis_gym.dialects.blocks import is_balanced, spoken, spoken_blocks
from metis_gym.dialects.contract import (
    Dialect,
    Limits,
    ParsedTurn,
    ToolSpec,
    call_json,
    read_call,
    result_text,
)
from metis_gym.dialects.plain import final_answer
from metis_gym.records import ToolCall, ToolResult

__all__ = ["QwenDialect"]

_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>{signatures}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML "
    'tags:\n<tool_call>\n{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)
"""What the template makes of functions; a system message goes before it, with an empty line between."""
_EMPTY_TURN = "Your turn was empty. Call a tool inside <tool_call> and </tool_call>, or write your final answer."
_ANSWER_NOT_TAKEN = "The answer beside the tool call was not taken: answer in a turn of its own."


class QwenDialect(Dialect):
    """`<tool_call>{…}</tool_call>`, several in a turn; a turn without one is the final answer."""

    name = "qwen"
    thought = "think"
    quote = "tool_response"

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn with the function signatures inside `<tools>`."""
        told = "You answer questions about images. Write your final answer inside <answer> and </answer>."
        if not tools:
            return told
        told += (
            f" At most {limits.max_turns} of your turns may call functions, with at most {limits.calls_per_turn} calls "
            "in one turn."
        )
        return f"{told}\n\n{_TOOLS.format(signatures=''.join(map(_signature, tools)))}"

    def parse(self, text: str) -> ParsedTurn:
        """Read a turn: calls if there are any, else the final answer."""
        blocks = spoken_blocks(text, ["tool_call"], thoughts=["think"], quotes=["tool_response"])
        calls = tuple(read_call(block.body) for block in blocks if block.tag == "tool_call")
        if calls:
            has_answer = len(blocks) > len(calls)
            return ParsedTurn(calls=calls, notes=(_ANSWER_NOT_TAKEN,) if has_answer else ())
        answer = blocks[-1].body.strip() if blocks else final_answer(spoken(text, quotes=["tool_response"]))
        return ParsedTurn(answer=answer) if answer else ParsedTurn(notes=(_EMPTY_TURN,))

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """A `<tool_response>` for each call, all in one user turn."""
        return "\n".join([*(f"<tool_response>\n{result_text(result)}\n</tool_response>" for result in results), *notes])

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """The reason in plain text, then a `<tool_call>` for each call."""
        return "\n".join(filter(None, [reason, *(f"<tool_call>\n{call_json(call)}\n</tool_call>" for call in calls)]))

    def write_answer(self, answer: str, reason: str = "") -> str:
        """The reason in plain text, then the answer inside `<answer>`."""
        return "\n".join(filter(None, [reason, f"<answer>{answer}</answer>"]))

    def format_score(self, texts: Sequence[str]) -> float:
        """Balanced `tool_call` and `answer` tags, and a last turn that answers."""
        whole = "\n".join(texts)
        balanced = all(is_balanced(whole, tag) for tag in ("think", "tool_call", "answer"))
        return float(balanced and bool(texts) and self.parse(texts[-1]).answer is not None)


def _signature(tool: ToolSpec) -> str:
    price = "" if tool.price is None else f" A call costs {tool.price:g}."
    function = {"name": tool.name, "description": tool.description + price, "parameters": dict(tool.schema)}
    return "\n" + json.dumps({"type": "function", "function": function}, ensure_ascii=False)
