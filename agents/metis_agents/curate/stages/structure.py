"""The stage `structure`: a trajectory is a whole conversation in its dialect.

Reasons: `self_made_observation` (the model wrote a result itself), `unbalanced_tags`, `unreadable_call`,
`call_without_result`, `result_without_call`, `second_answer`, `no_answer`. They are looked for in this order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from metis_agents.curate.formats.conversations import dialect_of
from metis_agents.curate.records import ModelTurn, Sample, Verdict, dropped, kept
from metis_agents.curate.stages.stage import SampleStage
from metis_gym.dialects import Dialect
from metis_gym.dialects.blocks import ANSWER, is_balanced
from metis_gym.dialects.code import CODE
from metis_gym.records import ToolCall

__all__ = ["PYTHON", "SEARCHES", "StructureStage", "code_of"]

PYTHON = ("python", "code_interpreter")
SEARCHES = ("text_search", "image_search", "search")
_SELF_MADE = re.compile(
    r"</?(?:tool_response|sandbox_output|observation)>|^[ \t]*Code execution result:[ \t]*$", re.MULTILINE
)
_TAGS = ("think", "reason", "tool_call", CODE, ANSWER)


@dataclass(frozen=True)
class StructureStage(SampleStage):
    """Drops trajectories that are not whole."""

    name: ClassVar[str] = "structure"
    about: ClassVar[str] = "tags, calls with results, one final answer"
    is_cheap: ClassVar[bool] = True

    def decide(self, sample: Sample) -> Verdict:
        """Look at the turns."""
        dialect = dialect_of(sample.dialect)
        found = _problem(sample.turns, dialect)
        return kept() if found is None else dropped(*found)


def code_of(call: ToolCall) -> str | None:
    """The code of a call that runs Python; None for other calls."""
    code = call.arguments.get("code") if isinstance(call.arguments, dict) else None
    return code if call.name in PYTHON and isinstance(code, str) else None


def _problem(turns: Sequence[ModelTurn], dialect: Dialect) -> tuple[str, str] | None:
    for number, turn in enumerate(turns, start=1):
        made = _SELF_MADE.search(turn.text)
        if made:
            return "self_made_observation", f"turn {number} holds {made.group().strip()!r}"
    tag = _unbalanced(turns, dialect)
    if tag:
        return "unbalanced_tags", f"<{tag}> and </{tag}> are not equally many"
    for number, turn in enumerate(turns, start=1):
        found = _turn_problem(turn, number, is_last=number == len(turns))
        if found is not None:
            return found
    answers = [number for number, turn in enumerate(turns, start=1) if turn.answer is not None]
    if len(answers) > 1:
        return "second_answer", f"turns {', '.join(map(str, answers))} answer"
    if not answers or answers[0] != len(turns):
        return "no_answer", "the last turn gives no final answer"
    return None


def _turn_problem(turn: ModelTurn, number: int, *, is_last: bool) -> tuple[str, str] | None:
    for call in turn.calls:
        if call.problem:
            return "unreadable_call", f"turn {number}: {call.problem}"
        if call.name in PYTHON and code_of(call) is None:
            return "unreadable_call", f"turn {number}: a call of {call.name} without code"
        if call.name not in (*PYTHON, *SEARCHES):
            return "unreadable_call", f"turn {number}: there is no tool {call.name!r:.80}"
    if turn.calls and turn.observed is None:
        return "call_without_result", f"turn {number} calls a tool, and no result follows"
    if turn.observed is not None and not turn.calls and turn.answer is None:
        return "result_without_call", f"turn {number} makes no call, and a result follows"
    if turn.observed is not None and turn.answer is not None:
        return (
            "result_without_call" if is_last else "second_answer",
            f"it goes on after turn {number}",
        )
    return None


def _unbalanced(turns: Sequence[ModelTurn], dialect: Dialect) -> str:
    """The tag that is opened and closed differently often; in a dialect that goes on, over the whole text."""
    whole = ["".join(turn.text for turn in turns)] if dialect.continues else [turn.text for turn in turns]
    for text in whole:
        for tag in _TAGS:
            if not is_balanced(text, tag) and not _is_prefilled(text, tag, dialect):
                return tag
    return ""


def _is_prefilled(text: str, tag: str, dialect: Dialect) -> bool:
    """A thought that was opened by the prompt: it is closed once more than it is opened."""
    return tag == dialect.thought and text.count(f"</{tag}>") == text.count(f"<{tag}>") + 1
