"""The dialect of Metis (arXiv 2604.08545): `<reason>`, then `<tool_call>` or `<answer>`.

The tags, the layout of observations and the rule for the format score are those of the paper's released code; the
wording is ours. Unlike the release, several calls in a turn all run, and an `<answer>` inside `<reason>` or in a
call is never taken for an answer. `metis:released=true` does as the release does where it differs: see `MetisDialect`.
"""

from collections.abc import Sequence

from metis_gym.dialects.blocks import ANSWER, find_blocks, is_balanced, spoken_blocks
from metis_gym.dialects.contract import (
    IMAGE_MARK,
    TOOL_IMAGES,
    Dialect,
    Limits,
    ParsedTurn,
    ToolSpec,
    call_json,
    read_call,
    tool_line,
    without_image_marks,
)
from metis_gym.errors import ConfigError
from metis_gym.records import ToolCall, ToolResult, ToolStatus

__all__ = ["MetisDialect"]

_NOTHING_FOUND = (
    "Your turn held neither a tool call nor an answer. Write <tool_call>{...}</tool_call> or <answer>...</answer>."
)
_ANSWER_NOT_TAKEN = "The answer beside the tool call was not taken: answer in a turn of its own."


class MetisDialect(Dialect):
    """`<reason>…</reason>`, then `<tool_call>{…}</tool_call>` or `<answer>…</answer>`.

    Args:
        released: End the episode, without an answer, at a turn that holds neither a call nor an answer, as the released
            code does. Otherwise the model is told and goes on.
        tool_images: What code works on: the "source" images, or their "view", which is what the model sees. By default
            the sources, and with `released` the views: the released code hands its tool the images of the prompt.

    Raises:
        ConfigError: An argument is not valid.
    """

    name = "metis"
    thought = "reason"
    stop = ("</tool_call>",)

    def __init__(self, *, released: bool = False, tool_images: str | None = None) -> None:
        if not isinstance(released, bool) or tool_images not in (None, *TOOL_IMAGES):
            raise ConfigError(
                f"metis takes released=true or false and tool_images={' or '.join(TOOL_IMAGES)}, actually: "
                f"released={released!r}, tool_images={tool_images!r}"
            )
        self.released = released
        self.tool_images = tool_images or ("view" if released else "source")

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn: tools, limits, format, and the wish for few calls."""
        parts = ["You answer questions about images."]
        if tools:
            parts.append("You may use these tools:\n" + "\n".join(map(tool_line, tools)))
            parts.append(
                f"At most {limits.max_turns} of your turns may call tools, with at most {limits.calls_per_turn} calls "
                "in one turn. Call a tool only if you cannot answer reliably without it: every call costs time and "
                "money."
            )
        parts.append(
            "In every turn first think inside <reason> and </reason>. Then either call a tool:\n"
            '<tool_call>{"name": "tool name", "arguments": {...}}</tool_call>\n'
            "or give your final answer, as short as possible:\n"
            "<answer>your answer</answer>"
        )
        return "\n\n".join(parts)

    def parse(self, text: str) -> ParsedTurn:
        """Read a turn; what stands inside `<reason>`, or inside a call, is not done."""
        blocks = spoken_blocks(text, ["tool_call"], thoughts=["reason"])
        calls = tuple(read_call(block.body) for block in blocks if block.tag == "tool_call")
        answers = [block.body.strip() for block in blocks if block.tag == ANSWER and block.closed]
        if calls:
            return ParsedTurn(calls=calls, notes=(_ANSWER_NOT_TAKEN,) if answers else ())
        if answers:
            return ParsedTurn(answer=answers[-1])
        return ParsedTurn(notes=(_NOTHING_FOUND,), ends=self.released)

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """What the calls gave, one after the other, then the notes."""
        parts = []
        for number, result in enumerate(results, start=1):
            head = (
                f"Result {number} of {len(results)} ({result.name or 'unreadable call'}):\n" if len(results) > 1 else ""
            )
            parts.append(head + _render(result))
        return "\n\n".join([*parts, *notes])

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """`<reason>…</reason>` and a `<tool_call>` for each call."""
        return f"<reason>{reason}</reason>" + "".join(f"<tool_call>{call_json(call)}</tool_call>" for call in calls)

    def write_answer(self, answer: str, reason: str = "") -> str:
        """`<reason>…</reason><answer>…</answer>`."""
        return f"<reason>{reason}</reason><answer>{answer}</answer>"

    def format_score(self, texts: Sequence[str]) -> float:
        """Balanced `reason`, `tool_call` and `answer` tags, and an answer after the last `</reason>`."""
        whole = "\n".join(texts)
        balanced = all(is_balanced(whole, tag) for tag in ("reason", "tool_call", "answer"))
        return float(balanced and bool(find_blocks(whole.rpartition("</reason>")[2], "answer")))


def _render(result: ToolResult) -> str:
    output, errors = without_image_marks(result.output), without_image_marks(result.errors)
    if result.status in (ToolStatus.INVALID, ToolStatus.REFUSED):
        return f"The call was not run. {output}"
    if result.name != "python":
        return "\n".join(filter(None, [output, errors, *_captioned(result)]))
    lines = ["Code execution result:"]
    lines += [f"stdout:\n```\n{output}\n```"] if output else []
    lines += [f"stderr:\n```\n{errors}\n```"] if errors else []
    lines += ["Images:", *[IMAGE_MARK] * len(result.images)] if result.images else []
    return "\n".join(lines if len(lines) > 1 else [*lines, "(no output)"])


def _captioned(result: ToolResult) -> list[str]:
    captions = result.captions or ("",) * len(result.images)
    return [
        f"{number}. {IMAGE_MARK}" + (f"\n[{without_image_marks(caption)}]" if caption else "")
        for number, caption in enumerate(captions, start=1)
    ]
