"""The dialect of DeepEyesV2 (arXiv 2511.05271): `<think>`, then `<code>`, `<tool_call>` or `<answer>`.

The tags and the layout of observations are those of its released code (https://github.com/Visual-Agent/DeepEyesV2); the
wording is ours. As there, an `<answer>` ends the episode even beside a call, which is then not run (in all other
dialects calls go before answers), and a turn makes one call: the last `<code>`, or without one the last `<tool_call>`.
Its two harnesses differ from each other, and ours from both: a missing fence is accepted, as in its evaluation, and
code runs as it is written and returns its traceback, whereas both indent it anew and drop the episode when it fails.
"""

import dataclasses
import re
from collections.abc import Sequence

from metis_gym.dialects.blocks import ANSWER, TaggedBlock, is_balanced, spoken_blocks
from metis_gym.dialects.code import CODE, read_code, written_code
from metis_gym.dialects.contract import (
    IMAGE_MARK,
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
from metis_gym.records import Task, ToolCall, ToolResult, ToolStatus

__all__ = ["DeepEyesV2Dialect"]

_CALL = "tool_call"
_SEARCH, _TEXT_SEARCH, _IMAGE_SEARCH, _PYTHON = "search", "text_search", "image_search", "python"
_MAX_IMAGES, _BLANK = 10, 250
_NOTHING_FOUND = (
    "Your turn held neither code, nor a tool call, nor an answer. Write <code>...</code>, <tool_call>{...}</tool_call> "
    "or <answer>...</answer>."
)
_NOT_RUN = "Only one call a turn is run; the others were not: make them in turns of their own."
_CALL_NOT_RUN = "The call beside the answer was not run."
_WISH = (
    "Write your answer inside <answer> and </answer>. Keep to this form: <think>...</think> and then, if code is "
    "needed, <code>...</code>, else <answer>...</answer>."
)
_HIT = re.compile(r"^Page (\d+)\. \[Title: (.*)\]\(Link: (.*)\)\nSnippet: ", re.MULTILINE)


class DeepEyesV2Dialect(Dialect):
    """DeepEyesV2: `<think>`, then `<code>` with a Python fence, a searching `<tool_call>`, or `<answer>`.

    Args:
        prefill: What the turns after an observation begin with. In training it was `<think>`, in evaluation nothing.

    Raises:
        ConfigError: It is neither.
    """

    name = "deepeyes_v2"
    thought = "think"
    quote = "tool_response"
    stop = ("</code>", "</tool_call>")
    benchmark_tools = (_PYTHON,)
    max_calls = 1
    max_images = _MAX_IMAGES

    def __init__(self, *, prefill: str = "") -> None:
        if prefill not in ("", "<think>"):
            raise ConfigError(f"deepeyes_v2 takes prefill='<think>' or prefill='', actually: {prefill!r}")
        self.prefill = prefill

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn: tools, limits, format."""
        parts = ["You answer questions about images, step by step."]
        forms = ["your final answer: <answer>your answer</answer>"]
        if tools:
            parts += ["You may use these tools:\n" + "\n".join(map(tool_line, tools))]
            parts += [f"At most {limits.max_turns} of your turns may use a tool, each of them once."]
            forms = [*_forms([tool.name for tool in tools]), *forms]
        parts.append("In every turn first think inside <think> and </think>. Then write one of these:")
        return "\n\n".join(parts) + "\n" + "\n".join(f"- {form}" for form in forms)

    def prompt(self, task: Task) -> str:
        """The images, the question, and the wish for tags."""
        return f"{super().prompt(task)}\n\n{_WISH}"

    def parse(self, text: str) -> ParsedTurn:
        """Read a turn: an answer if there is one, else one call."""
        blocks = spoken_blocks(text, [CODE, _CALL], thoughts=["think"], quotes=["tool_response"])
        answers = [block.body.strip() for block in blocks if block.tag == ANSWER and block.body.strip()]
        calls = [block for block in blocks if block.tag != ANSWER]
        if answers:
            return ParsedTurn(answer=answers[-1], notes=(_CALL_NOT_RUN,) if calls else ())
        if not calls:
            return ParsedTurn(notes=(_NOTHING_FOUND,))
        run = [block for block in calls if block.tag == CODE] or calls
        return ParsedTurn(calls=(_call(run[-1]),), notes=(_NOT_RUN,) if len(calls) > 1 else ())

    def shown(self, result: ToolResult) -> ToolResult:
        """The result without blank images, and with ten images at most."""
        captions = result.captions or ("",) * len(result.images)
        pairs = zip(result.images, captions, strict=True)
        kept = [(image, caption) for image, caption in pairs if image.min() < _BLANK][:_MAX_IMAGES]
        if len(kept) == len(result.images):
            return result
        images, captions = tuple(image for image, _ in kept), tuple(caption for _, caption in kept)
        return dataclasses.replace(result, images=images, captions=captions if result.captions else ())

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """What the call gave, then the notes."""
        return "\n\n".join([*map(_render, results), *notes])

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """`<think>…</think>`, then the call; only the last one would be run."""
        return "\n".join([f"<think>{reason}</think>", *map(_written, calls)])

    def write_answer(self, answer: str, reason: str = "") -> str:
        """`<think>…</think>`, then `<answer>…</answer>`."""
        return f"<think>{reason}</think>\n<answer>{answer}</answer>"

    def format_score(self, texts: Sequence[str]) -> float:
        """Balanced tags, and a last turn that answers."""
        whole = "\n".join(texts)
        balanced = all(is_balanced(whole, tag) for tag in ("think", CODE, _CALL, ANSWER))
        return float(balanced and bool(texts) and self.parse(texts[-1]).answer is not None)


def _forms(tools: Sequence[str]) -> list[str]:
    """How each tool is called."""
    known = {
        _PYTHON: "code, whose output and whose figures shown by plt.show() come back:\n"
        "<code>\n```python\n# your code\n```\n</code>",
        _TEXT_SEARCH: 'a search of text: <tool_call>{"name": "search", "arguments": {"query": "..."}}</tool_call>',
        _IMAGE_SEARCH: 'a search with image_1: <tool_call>{"name": "image_search"}</tool_call>',
    }
    other = '<tool_call>{{"name": "{}", "arguments": {{...}}}}</tool_call>'
    return [known.get(name, other.format(name)) for name in tools]


def _call(block: TaggedBlock) -> ToolCall:
    if block.tag == CODE:
        return ToolCall(name=_PYTHON, arguments={"code": read_code(block.body)})
    call = read_call(block.body)
    return dataclasses.replace(call, name=_TEXT_SEARCH) if call.name == _SEARCH else call


def _written(call: ToolCall) -> str:
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    if call.name == _PYTHON and arguments.keys() == {"code"} and isinstance(arguments["code"], str):
        code = written_code(arguments["code"])
        if code is not None:
            return code
    if call.name == _IMAGE_SEARCH and not call.arguments:
        return f'<{_CALL}>{{"name": "{_IMAGE_SEARCH}"}}</{_CALL}>'
    named = dataclasses.replace(call, name=_SEARCH) if call.name == _TEXT_SEARCH else call
    return f"<{_CALL}>{call_json(named)}</{_CALL}>"


def _render(result: ToolResult) -> str:
    output, errors = without_image_marks(result.output), without_image_marks(result.errors)
    if result.status in (ToolStatus.INVALID, ToolStatus.REFUSED):
        return f"Error: {output}"
    if result.name == _PYTHON:
        images = f"\n\nImages:\n{IMAGE_MARK * len(result.images)}" if result.images else ""
        return f"Code execution result:\nstdout:\n```\n{output}\n```\n\nstderr:\n```\n{errors}\n```{images}"
    hits = [_HIT.sub(r"\1. [\2](\3)\n\n", output), errors]
    captions = result.captions or ("",) * len(result.images)
    hits += [
        f"{number}. {IMAGE_MARK}" + (f"\n[{without_image_marks(caption)}]" if caption else "")
        for number, caption in enumerate(captions, start=1)
    ]
    return "<tool_response>\n" + "\n".join(filter(None, hits)) + "\n</tool_response>"
