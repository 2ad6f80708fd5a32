"""The dialect of Thyme (arXiv 2508.11630): one turn that goes on after the result of each piece of code.

`<think>` … `<code>` … `</code>` `<sandbox_output>` text or images `</sandbox_output>` … `</think><answer>…</answer>`

The tags are those of its released code (https://github.com/Kwai-Keye/Thyme); the wording is ours. Generation stops at
`</code>` and `</answer>`: what stands behind the first of them was never said. Its code opens the image by path and
prints the path of the image that it made, which then comes back.
"""

import re
from collections.abc import Sequence

from metis_gym.dialects.blocks import ANSWER, TaggedBlock, is_balanced, spoken_blocks
from metis_gym.dialects.code import CODE, local_paths, path_lines, read_code, written_code
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
from metis_gym.records import Task, ToolCall, ToolResult, ToolStatus

__all__ = ["ThymeDialect"]

_CALL, _PYTHON, _QUOTE = "tool_call", "python", "sandbox_output"
_NOTHING_FOUND = "There was neither code nor an answer. Write <code>...</code> or </think><answer>...</answer>."
_ANSWER_NOT_TAKEN = "The answer behind the code was not taken: look at the result first."
_FORM = "Keep to this form:\n<think>your thoughts, with code if you need it</think>\n<answer>your final answer</answer>"
_PRINTED_PATH = re.compile(r"\S+\.(?:png|jpe?g|bmp|gif|webp|tiff?)", re.IGNORECASE)


class ThymeDialect(Dialect):
    """Thyme: one turn, `<think>` with `<code>` in it and its results, then `<answer>`; images are files."""

    name = "thyme"
    thought = "think"
    quote = "sandbox_output"
    stop = ("</code>", "</answer>")
    continues = True
    callable_tools = (_PYTHON,)
    benchmark_tools = (_PYTHON,)
    max_calls = 1
    image_files = True

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn: the tool, limits, format."""
        parts = ["You answer questions about images, step by step."]
        if tools:
            parts += ["You may run Python code while you think:\n" + "\n".join(map(tool_line, tools))]
            parts += [
                f"Code can be run at most {limits.max_turns} times. Write it as\n"
                "<code>\n```python\n# your code\n```\n</code>\n"
                "Its result follows inside <sandbox_output> and </sandbox_output>, and you go on from there. Open "
                "images by their paths. At the end print the path of the image that was made, or the result."
            ]
        return "\n\n".join([*parts, _FORM])

    def prompt(self, task: Task) -> str:
        """The images with their paths and sizes, the question, and the form of a turn."""
        return "\n".join([*path_lines(task), "", *self._question_lines(task), "", _FORM])

    def parse(self, text: str) -> ParsedTurn:
        """Read a turn: what comes first, code (which stands in thoughts) or an answer (which does not)."""
        codes = [block for block in spoken_blocks(text, [CODE, _CALL], quotes=[_QUOTE]) if block.tag != ANSWER]
        said = spoken_blocks(text, [CODE, _CALL], thoughts=["think"], quotes=[_QUOTE])
        answers = [block for block in said if block.tag == ANSWER and block.body.strip()]
        if codes and (not answers or codes[0].start < answers[0].start):
            return ParsedTurn(calls=(_call(codes[0]),), notes=(_ANSWER_NOT_TAKEN,) if answers else ())
        return ParsedTurn(answer=answers[0].body.strip()) if answers else ParsedTurn(notes=(_NOTHING_FOUND,))

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """A `<sandbox_output>` with what the code gave and the notes."""
        parts = [*map(_render, results), *notes]
        return f"<{_QUOTE}>" + "\n".join(filter(None, parts)) + f"</{_QUOTE}>"

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """The reason, then the code; only the first would be run."""
        return "\n".join(filter(None, [reason, *map(_written, calls)]))

    def write_answer(self, answer: str, reason: str = "") -> str:
        """`<think>…</think><answer>…</answer>`."""
        return f"<think>{reason}</think><answer>{answer}</answer>"

    def format_score(self, texts: Sequence[str]) -> float:
        """Balanced tags, and an end that answers."""
        whole = "".join(texts)
        balanced = all(is_balanced(whole, tag) for tag in ("think", CODE, ANSWER))
        return float(balanced and bool(texts) and self.parse(texts[-1]).answer is not None)


def _call(block: TaggedBlock) -> ToolCall:
    if block.tag == CODE:
        return ToolCall(name=_PYTHON, arguments={"code": local_paths(read_code(block.body))})
    return read_call(block.body)


def _written(call: ToolCall) -> str:
    """The call as code, or in JSON where code cannot hold it."""
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    code = arguments.get("code")
    is_code = call.name == _PYTHON and arguments.keys() == {"code"} and isinstance(code, str)
    return (written_code(str(code)) if is_code else None) or f"<{_CALL}>{call_json(call)}</{_CALL}>"


def _render(result: ToolResult) -> str:
    output, errors = without_image_marks(result.output), without_image_marks(result.errors)
    if result.status in (ToolStatus.INVALID, ToolStatus.REFUSED):
        return f"Error: {output}"
    if result.images:  # in their place, as in training
        output = "\n".join(line for line in output.splitlines() if not _PRINTED_PATH.fullmatch(line.strip()))
    return "\n".join(filter(None, [output, errors, IMAGE_MARK * len(result.images)])) or "(no output)"
