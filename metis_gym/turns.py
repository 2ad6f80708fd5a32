"""One model turn: read it, run its calls, write the user turn that follows. Knows no grading and no reward."""

import dataclasses
from collections.abc import Sequence

from metis_gym.dialects import Dialect, Limits, ParsedTurn
from metis_gym.dialects.contract import returned
from metis_gym.records import Message, Role, ToolCall, ToolResult, Turn
from metis_gym.tools.toolbox import Toolbox

__all__ = ["MAX_ACTION_CHARS", "MAX_CALLS", "MAX_OBSERVATION_CHARS", "TurnTaker", "encodable", "estimated_tokens"]

MAX_ACTION_CHARS = 65_536
"""Longest turn that is read: the 16,384 tokens of the paper's settings, at four characters a token."""
MAX_OBSERVATION_CHARS = 32_768
"""Longest text that tools return in one turn: the paper's 8,192 tokens, at four characters a token."""
MAX_CALLS = 4_096
"""Calls of one turn that are looked at: a list in a call may hold very many."""

_UNREAD_CALLS = "Of the {count:,} calls in your turn the first {limit:,} were looked at."
_TOO_LONG = "Your turn was not read: it has {length:,} characters, at most {limit:,} are read."
_TOO_MANY_CALLS = "It is past the limit of {limit} calls in one turn."
_NO_TOOL_TURN_LEFT = "All {limit} tool turns are used up; the episode ends without an answer."
_ANSWER_NOW = "All {limit} tool turns are used up: answer now."
_OUT_OF_TURNS = "That was the last turn: the episode ends without an answer."


@dataclasses.dataclass(frozen=True)
class TurnTaker:
    """Takes turns.

    Attributes:
        dialect: Reads the model's text and writes the observations.
        toolbox: Runs the calls.
        limits: Turns that may call tools, and calls that run in one turn.
    """

    dialect: Dialect
    toolbox: Toolbox
    limits: Limits

    def take(self, text: str, number: int, results: list[ToolResult]) -> Turn:
        """Take one turn.

        Args:
            text: What the model wrote.
            number: The turn's number in the episode, from 1 on.
            results: Filled with what the calls gave, so that a caller still has them when a later call breaks.

        Raises:
            InfrastructureError: A tool broke.
        """
        if len(text) > MAX_ACTION_CHARS:
            notes = [_TOO_LONG.format(length=len(text), limit=MAX_ACTION_CHARS)]
            return Turn(text=text[:MAX_ACTION_CHARS], observation=self._user_turn(number, [], notes))
        parsed = returned(self.dialect.parse(text), ParsedTurn, self.dialect, "parse")
        if parsed.answer is not None:
            return Turn(text=text, answer=parsed.answer)
        if parsed.ends:
            return Turn(text=text)
        calls, notes = parsed.calls[:MAX_CALLS], list(parsed.notes)
        if len(parsed.calls) > MAX_CALLS:
            notes.append(_UNREAD_CALLS.format(limit=MAX_CALLS, count=len(parsed.calls)))
        for position, call in enumerate(calls):
            results.append(self._run(call, number, position))
        observation = self._user_turn(number, results, notes)
        return Turn(text=text, calls=calls, results=tuple(results), observation=observation)

    def is_last(self, number: int) -> bool:
        """Whether the turn of this number is the last one, in which no tool runs."""
        return number > self.limits.max_turns

    def _run(self, call: ToolCall, number: int, position: int) -> ToolResult:
        if self.is_last(number):
            return self.toolbox.refuse(call, _NO_TOOL_TURN_LEFT.format(limit=self.limits.max_turns))
        if position >= self.limits.calls_per_turn:
            return self.toolbox.refuse(call, _TOO_MANY_CALLS.format(limit=self.limits.calls_per_turn))
        return self.toolbox.run(call)

    def _user_turn(self, number: int, results: Sequence[ToolResult], notes: Sequence[str]) -> Message:
        if number == self.limits.max_turns:
            notes = [*notes, _ANSWER_NOW.format(limit=self.limits.max_turns)]
        elif self.is_last(number) and not results:
            notes = [*notes, _OUT_OF_TURNS]
        limit = MAX_OBSERVATION_CHARS // max(1, len(results))
        shown = [_shortened(returned(self.dialect.shown(r), ToolResult, self.dialect, "shown"), limit) for r in results]
        images = tuple(image for result in shown for image in result.images)
        text = returned(self.dialect.observation(shown, notes), str, self.dialect, "observation")
        return Message(role=Role.USER, text=encodable(text), images=images)


def encodable(text: str) -> str:
    """The text with lone surrogates, which are not characters, replaced by `?`."""
    return text.encode("utf-8", "replace").decode()


def estimated_tokens(text: str) -> int:
    """A length in tokens where no tokenizer is known: one for every four bytes of UTF-8, rounded up."""
    return -(-len(text.encode()) // 4)


def _shortened(result: ToolResult, limit: int) -> ToolResult:
    """The result with each of its texts cut to half of the limit."""
    return dataclasses.replace(result, output=_cut(result.output, limit // 2), errors=_cut(result.errors, limit // 2))


def _cut(text: str, limit: int) -> str:
    """The beginning and the end of a long text, and how much is left out between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
