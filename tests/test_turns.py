"""One turn: what is read, what is run, and what the model is told, at the limits exactly."""

import dataclasses
import json

import numpy as np
import pytest

from metis_gym.dialects import DIALECTS, Limits, ParsedTurn
from metis_gym.errors import ConfigError
from metis_gym.records import Role, ToolCall, ToolResult, ToolStatus
from metis_gym.tools.contract import Tool, ToolSession
from metis_gym.tools.toolbox import Toolbox
from metis_gym.turns import (
    MAX_ACTION_CHARS,
    MAX_CALLS,
    MAX_OBSERVATION_CHARS,
    TurnTaker,
    encodable,
    estimated_tokens,
)

CALL = ToolCall(name="say", arguments={"text": "a"})


class SaySession(ToolSession):
    def __init__(self, tool):
        self.tool = tool

    def call(self, arguments):
        return ToolResult(name="say", status=ToolStatus.OK, output=arguments["text"], errors=self.tool.errors)


class Say(Tool):
    """Gives back a text, and complains."""

    name = "say"
    description = "Says a text."
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def __init__(self, *, price=1.0, errors=""):
        super().__init__(price=price)
        self.errors, self.opened = errors, []

    def open(self, task, *, seed):
        self.opened.append((task, seed))
        return SaySession(self)


def taker(max_turns=3, calls_per_turn=2, **options):
    tool = Say(**options)
    box = Toolbox([tool])
    box.open("the task", seed=7)
    assert tool.opened == [("the task", 7)]
    return TurnTaker(DIALECTS.create("metis"), box, Limits(max_turns=max_turns, calls_per_turn=calls_per_turn))


def written(turns, *calls):
    return turns.dialect.write_calls(list(calls))


@pytest.mark.parametrize(("extra", "is_read"), [(0, True), (1, False)])
def test_the_longest_turn_that_is_read(extra, is_read):
    turns = taker()
    answer = turns.dialect.write_answer("B")
    text = " " * (MAX_ACTION_CHARS + extra - len(answer)) + answer
    turn = turns.take(text, 1, [])
    assert (turn.answer == "B") is is_read
    if not is_read:
        assert f"{MAX_ACTION_CHARS + 1:,} characters, at most {MAX_ACTION_CHARS:,}" in turn.observation.text


def test_every_turn_keeps_what_the_model_wrote():
    turns = taker()
    for text in ("words", turns.dialect.write_answer("B"), written(turns, CALL)):
        assert turns.take(text, 1, []).text == text
    assert turns.take("w" * (MAX_ACTION_CHARS + 5), 1, []).text == "w" * MAX_ACTION_CHARS
    refusal = json.dumps({"refusal": "I would rather not."})
    gives_up = dataclasses.replace(turns, dialect=DIALECTS.create("native")).take(refusal, 1, [])
    assert (gives_up.text, gives_up.answer, gives_up.observation) == (refusal, None, None)


def test_a_turn_keeps_its_calls_and_their_results():
    turns, results = taker(), []
    turn = turns.take(written(turns, CALL), 1, results)
    assert [(call.name, dict(call.arguments)) for call in turn.calls] == [("say", {"text": "a"})]
    assert turn.results == tuple(results)


def test_calls_past_the_limit_of_a_turn_are_refused_by_its_number():
    turns = taker(calls_per_turn=2)
    statuses = [result.status for result in turns.take(written(turns, CALL, CALL, CALL), 1, []).results]
    assert statuses == [ToolStatus.OK, ToolStatus.OK, ToolStatus.REFUSED]
    assert "limit of 2 calls" in turns.take(written(turns, CALL, CALL, CALL), 1, []).results[2].output


@pytest.mark.parametrize("extra", [0, 1])
def test_as_many_calls_are_looked_at_as_the_limit_says(extra):
    turns = taker()
    parsed = ParsedTurn(calls=(CALL,) * (MAX_CALLS + extra), notes=("a note",))
    turns.dialect.parse = lambda text: parsed
    turn = turns.take("calls", 1, [])
    assert len(turn.results) == len(turn.calls) == MAX_CALLS
    told = f"Of the {MAX_CALLS + 1:,} calls in your turn the first {MAX_CALLS:,} were looked at."
    assert (told in turn.observation.text) == ("were looked at" in turn.observation.text) == bool(extra)
    assert "a note" in turn.observation.text


def test_the_turn_that_follows_is_the_users_with_the_images_of_all_results():
    turns = taker()
    images = [np.full((2, 3, 3), shade, np.uint8) for shade in (1, 2)]
    shown = iter(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            SaySession,
            "call",
            lambda self, arguments: ToolResult(name="say", status=ToolStatus.OK, images=(next(shown),)),
        )
        message = turns.take(written(turns, CALL, CALL), 1, []).observation
    assert message.role is Role.USER
    assert [image is one for image, one in zip(message.images, images, strict=True)] == [True, True]
    assert turns.take("words", 1, []).observation.images == ()


@pytest.mark.parametrize("method", ["parse", "shown", "observation"])
def test_a_dialect_that_returns_something_else_is_named_with_its_method(method):
    turns = taker()
    setattr(turns.dialect, method, lambda *_: 5)
    if method == "shown":
        turns.dialect.parse = lambda text: ParsedTurn(calls=(CALL,))
    with pytest.raises(ConfigError, match=rf"{type(turns.dialect).__name__}.*{method}\(") as found:
        turns.take("words", 1, [])
    assert "5" in str(found.value)


def test_the_last_turn_is_the_one_after_the_last_tool_turn():
    turns = taker(max_turns=3)
    assert [turns.is_last(number) for number in (2, 3, 4, 5)] == [False, False, True, True]


def test_the_last_tool_turn_says_that_an_answer_is_due():
    turns = taker(max_turns=3)
    assert "All 3 tool turns are used up: answer now." in turns.take(written(turns, CALL), 3, []).observation.text
    assert "used up" not in turns.take(written(turns, CALL), 2, []).observation.text


def test_a_call_after_the_last_tool_turn_is_refused_and_words_alone_end_the_episode():
    turns = taker(max_turns=3)
    refused = turns.take(written(turns, CALL), 4, [])
    assert refused.results[0].status is ToolStatus.REFUSED
    assert "All 3 tool turns are used up" in refused.results[0].output
    assert "That was the last turn" not in refused.observation.text, "the refusal says so"
    assert "That was the last turn" in turns.take("words", 4, []).observation.text
    assert "That was the last turn" not in turns.take("words", 2, []).observation.text


def test_output_and_errors_share_what_a_result_may_show():
    turns = taker(errors="e" * MAX_OBSERVATION_CHARS)
    long = ToolCall(name="say", arguments={"text": "o" * (MAX_ACTION_CHARS // 2)})
    text = turns.take(written(turns, long), 1, []).observation.text
    half = MAX_OBSERVATION_CHARS // 2
    # Both are cut to half of what the turn may show; the note between the two ends holds an o and two e's more or less.
    assert half - 10 <= text.count("o") <= half + 40
    assert half - 10 <= text.count("e") <= half + 40
    left_out = MAX_ACTION_CHARS // 2 - half
    assert f"{left_out:,} characters left out" in text


def test_a_text_of_exactly_the_limit_is_whole():
    turns = taker()
    whole = ToolCall(name="say", arguments={"text": "o" * (MAX_OBSERVATION_CHARS // 2)})
    assert "left out" not in turns.take(written(turns, whole), 1, []).observation.text


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("x" * 400, 100)]
)
def test_estimated_tokens_are_whole_and_one_for_four_bytes(text, tokens):
    assert estimated_tokens(text) == tokens
    assert type(estimated_tokens(text)) is int


def test_lone_surrogates_become_question_marks():
    assert encodable("a\ud800b – é") == "a?b – é"
