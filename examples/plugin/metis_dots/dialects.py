"""A dialect: every turn is one line of JSON for each call, or one with the answer."""

import json
from collections.abc import Sequence

from metis_gym.dialects import Dialect, Limits, ParsedTurn, ToolSpec
from metis_gym.dialects.contract import call_json, read_call, without_image_marks
from metis_gym.records import ToolCall, ToolResult


class JsonDialect(Dialect):
    """Lines of JSON: `{"name": …, "arguments": {…}}` is a call, `{"answer": …}` the answer."""

    name = "json"

    def system(self, tools: Sequence[ToolSpec], limits: Limits) -> str:
        """The tools, the limits and the form."""
        described = [json.dumps({"name": t.name, "description": t.description, "schema": t.schema}) for t in tools]
        calls = f"or up to {limits.calls_per_turn} calls, a line each, in up to {limits.max_turns} turns: "
        form = 'Write one line of JSON, {"answer": "…"}'
        return "\n".join([form, calls + '{"name": "…", "arguments": {…}}', *described] if tools else [form])

    def parse(self, text: str) -> ParsedTurn:
        """Read the lines that begin like JSON; calls go before answers."""
        lines = [line for line in text.split("\n") if line.lstrip().startswith("{")]
        answers = [answer for line in lines if (answer := _answer(line)) is not None]
        calls = tuple(read_call(line) for line in lines if _answer(line) is None)
        if calls:
            return ParsedTurn(calls=calls, notes=("An answer needs a turn of its own.",) if answers else ())
        return ParsedTurn(answer=answers[-1]) if answers else ParsedTurn(notes=("There was no line of JSON.",))

    def observation(self, results: Sequence[ToolResult], notes: Sequence[str] = ()) -> str:
        """What each call gave, one after the other."""
        parts = [without_image_marks(text) for result in results for text in (result.output, result.errors) if text]
        return "\n".join([*parts, *["<image>" for result in results for _ in result.images], *notes])

    def write_calls(self, calls: Sequence[ToolCall], reason: str = "") -> str:
        """A line for each call."""
        return "\n".join([*([reason] if reason else []), *map(call_json, calls)])

    def write_answer(self, answer: str, reason: str = "") -> str:
        """The line with the answer."""
        return "\n".join([*([reason] if reason else []), json.dumps({"answer": answer})])

    def format_score(self, texts: Sequence[str]) -> float:
        """1 if the last turn answers."""
        return float(bool(texts) and self.parse(texts[-1]).answer is not None)


def _answer(line: str) -> str | None:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return read["answer"] if isinstance(read, dict) and isinstance(read.get("answer"), str) else None
