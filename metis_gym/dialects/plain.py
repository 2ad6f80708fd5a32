"""The dialect of systems without tools: whatever they write is the answer."""

import re
from collections.abc import Sequence

from metis_gym.dialects.contract import Dialect, Limits, ParsedTurn, ToolSpec, find_blocks, remove_blocks
from metis_gym.records import ToolCall, ToolResult

__all__ = ["PlainDialect", "final_answer"]

_MAX_WHOLE_ANSWER = 300
_ANSWER_MARK = re.compile(r"answer:", re.IGNORECASE)


class PlainDialect(Dialect):
    """No tools and no tags; `<answer>` is honoured where a system writes it anyway."""

    name = "plain"

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:  # noqa: ARG002
        """The system turn; tools are not mentioned, for there is no way to call one."""
        return "You answer questions about images. Answer as briefly as possible."

    def parse(self, text: str) -> ParsedTurn:
        """Take the whole turn as the answer, apart from its thoughts."""
        answer = final_answer(remove_blocks(text, "think"))
        return ParsedTurn(answer=answer) if answer else ParsedTurn(notes=("Your turn was empty. Write your answer.",))

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:  # noqa: ARG002
        """Only notes: there are no results."""
        return "\n".join(notes)

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:  # noqa: ARG002
        """Nothing: a call cannot be written."""
        return reason

    def write_answer(self, answer: str, reason: str = "") -> str:
        """The reason, then the answer on a line of its own."""
        return "\n".join(filter(None, [reason, f"Answer: {answer}" if reason else answer]))

    def format_score(self, texts: Sequence[str]) -> float:
        """1 if the last turn has an answer; there is no other format to keep."""
        return float(bool(texts) and self.parse(texts[-1]).answer is not None)


def final_answer(text: str) -> str:
    r"""The final answer of a turn in plain text.

    The last `<answer>` if there is one; else what follows the last "Answer:"; else the whole text, or its last line
    where the text is long.

    >>> final_answer("Red and blue make purple.\nAnswer: B")
    'B'
    """
    answers = [block.body.strip() for block in find_blocks(text, "answer")]
    if answers:
        return answers[-1]
    marked = list(_ANSWER_MARK.finditer(text))
    if marked:
        return text[marked[-1].end() :].strip()
    whole = text.strip()
    return whole if len(whole) < _MAX_WHOLE_ANSWER else whole.splitlines()[-1].strip()
