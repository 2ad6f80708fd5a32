"""The dialect of Skywork-R1V4 (arXiv 2512.02395): `<think>`, then `<tool_call>`, bare `<code>` or `<answer>`.

The tags and the names of tools and arguments are those of its report and of its examples in
https://github.com/SkyworkAI/Skywork-R1V; the wording is ours. No weights are published: this dialect is for other
models in its form. Its code opens images by path and prints the paths of those that it made, which then come back.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from metis_gym.dialects.blocks import ANSWER, TaggedBlock, is_balanced, spoken_blocks
from metis_gym.dialects.code import CODE, local_paths, path_lines, read_code
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

__all__ = ["SkyworkR1V4Dialect"]

_CALL = "tool_call"
_PYTHON, _TEXT_SEARCH, _IMAGE_SEARCH, _WEB_VISIT = "python", "text_search", "image_search", "web_visit"
_FIRST = "image_1.png"
_NOTHING_FOUND = (
    "Your turn held neither a tool call nor an answer. Write <tool_call>{...}</tool_call> or <answer>...</answer>."
)
_ANSWER_NOT_TAKEN = "The answer beside the tool call was not taken: answer in a turn of its own."
_NO_VISITS = "Pages cannot be visited here."
_VISITS_NOTE = "web_visit is refused here: there is no web to visit. text_search returns the passage of each page."
_NO_QUERIES = 'The list of queries is empty. Write {"queries": ["what to search for"]}.'
_ONE_IMAGE = f"image_search always searches for {_FIRST}, whichever paths it is given."
_HIT = re.compile(r"^Page (\d+)\. \[Title: (.*)\]\(Link: (.*)\)\nSnippet: ", re.MULTILINE)


class SkyworkR1V4Dialect(Dialect):
    """Skywork-R1V4: `<think>`, then `<tool_call>`, bare `<code>` or `<answer>`; images are files."""

    name = "skywork_r1v4"
    thought = "think"
    quote = "observation"
    stop = ("</tool_call>", "</code>")
    image_files = True

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The system turn: tools, limits, format."""
        parts = ["You answer questions about images."]
        forms = ["<think>...</think><answer>your answer</answer>"]
        if tools:
            parts += ["You may use these tools:\n" + "\n".join(map(tool_line, tools))]
            parts += [
                f"At most {limits.max_turns} of your turns may call tools, with at most {limits.calls_per_turn} calls "
                "in one turn; each query of a search is a call. What a call gives comes back inside <observation> and "
                "</observation>. Code opens images by their paths; to see an image that it made, save it and print "
                "its path."
            ]
            forms = [*(f"<think>...</think>{_form(tool.name)}" for tool in tools), *forms]
        parts.append("First think inside <think> and </think> in every turn. The forms of a turn are:")
        return "\n\n".join(parts) + "\n" + "\n".join(f"- {form}" for form in forms)

    def _image_lines(self, task: Task) -> list[str]:
        return path_lines(task)

    def parse(self, text: str) -> ParsedTurn:
        """Read a turn: calls if there are any, else the answer."""
        blocks = spoken_blocks(text, [CODE, _CALL], thoughts=["think"], quotes=["observation"])
        calls: list[ToolCall] = []
        notes: dict[str, None] = {}
        for block in blocks:
            if block.tag != ANSWER:
                read, note = _calls(block)
                calls += read
                notes |= {note: None} if note else {}
        answers = [block.body.strip() for block in blocks if block.tag == ANSWER and block.body.strip()]
        if calls:
            return ParsedTurn(calls=tuple(calls), notes=(*notes, *((_ANSWER_NOT_TAKEN,) if answers else ())))
        return ParsedTurn(answer=answers[-1]) if answers else ParsedTurn(notes=(_NOTHING_FOUND,))

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """An `<observation>` for each call, then the notes."""
        return "\n".join([*(f"<observation>{_render(result)}</observation>" for result in results), *notes])

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """`<think>…</think>`, then a `<tool_call>` for each call."""
        written = (f"<{_CALL}>{call_json(_as_written(call))}</{_CALL}>" for call in calls)
        return f"<think>{reason}</think>" + "".join(written)

    def write_answer(self, answer: str, reason: str = "") -> str:
        """`<think>…</think><answer>…</answer>`."""
        return f"<think>{reason}</think><answer>{answer}</answer>"

    def format_score(self, texts: Sequence[str]) -> float:
        """Balanced tags, and a last turn that answers."""
        whole = "\n".join(texts)
        balanced = all(is_balanced(whole, tag) for tag in ("think", CODE, _CALL, ANSWER))
        return float(balanced and bool(texts) and self.parse(texts[-1]).answer is not None)


def _form(tool: str) -> str:
    forms = {
        _PYTHON: '{"name": "code", "arguments": {"code": "your Python code"}}',
        _TEXT_SEARCH: '{"name": "text_search", "arguments": {"queries": ["query 1", "query 2"]}}',
        _IMAGE_SEARCH: f'{{"name": "image_search", "arguments": {{"image_paths": ["{_FIRST}"]}}}}',
    }
    form = forms.get(tool, f'{{"name": "{tool}", "arguments": {{...}}}}')
    return f"<{_CALL}>{form}</{_CALL}>"


def _calls(block: TaggedBlock) -> tuple[list[ToolCall], str]:
    """The calls of a part, and a note."""
    if block.tag == CODE:
        return [ToolCall(name=_PYTHON, arguments={"code": local_paths(read_code(block.body))})], ""
    call = read_call(block.body)
    if call.problem:
        return [call], ""
    if call.name == _WEB_VISIT:
        return [dataclasses.replace(call, problem=_NO_VISITS)], _VISITS_NOTE
    if call.name == _TEXT_SEARCH:
        return _searches(call.arguments), ""
    if call.name == _IMAGE_SEARCH:
        return _image_search(call.arguments)
    return [_python(call) if call.name in (CODE, _PYTHON) else call], ""


def _python(call: ToolCall) -> ToolCall:
    code = call.arguments.get("code")
    arguments = {**call.arguments, "code": local_paths(code)} if isinstance(code, str) else call.arguments
    return ToolCall(name=_PYTHON, arguments=arguments)


def _searches(arguments: Mapping[str, Any]) -> list[ToolCall]:
    """A call for each query."""
    if "queries" not in arguments:
        return [ToolCall(name=_TEXT_SEARCH, arguments=arguments)]
    others = {name: value for name, value in arguments.items() if name != "queries"}
    queries = arguments["queries"]
    queries = queries if isinstance(queries, list) else [queries]
    if not queries:
        return [ToolCall(name=_TEXT_SEARCH, problem=_NO_QUERIES)]
    return [ToolCall(name=_TEXT_SEARCH, arguments={**others, "query": query}) for query in queries]


def _image_search(arguments: Mapping[str, Any]) -> tuple[list[ToolCall], str]:
    """A call without arguments: the tool knows its image."""
    paths = arguments.get("image_paths")
    others = {name: value for name, value in arguments.items() if name != "image_paths"}
    named = {str(path).rpartition("/")[2].partition(".")[0] for path in (paths if isinstance(paths, list) else [paths])}
    is_first = paths is None or named == {_FIRST.partition(".")[0]}
    return [ToolCall(name=_IMAGE_SEARCH, arguments=others)], "" if is_first else _ONE_IMAGE


def _as_written(call: ToolCall) -> ToolCall:
    """The call with the names that this dialect's models use."""
    if call.name == _PYTHON:
        return dataclasses.replace(call, name=CODE)
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    if call.name == _TEXT_SEARCH and "query" in arguments:
        others = {name: value for name, value in arguments.items() if name != "query"}
        return dataclasses.replace(call, arguments={**others, "queries": [arguments["query"]]})
    if call.name == _IMAGE_SEARCH and not call.arguments:
        return dataclasses.replace(call, arguments={"image_paths": [_FIRST]})
    return call


def _render(result: ToolResult) -> str:
    output, errors = without_image_marks(result.output), without_image_marks(result.errors)
    if result.status in (ToolStatus.INVALID, ToolStatus.REFUSED):
        return f"The call was not run. {output}"
    texts = [_HIT.sub(r"\1. \2 link: \3 text: ", output), errors]
    for number, caption in enumerate(result.captions, start=1):
        texts.append(f"{number}. {without_image_marks(caption)} image: {IMAGE_MARK}")
    texts += [IMAGE_MARK] * (len(result.images) - len(result.captions))
    return "\n".join(filter(None, texts)) or "(no output)"
