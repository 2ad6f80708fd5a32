"""The dialect of endpoints with function calling."""

import json

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401
from metis_gym.dialects import DIALECTS, Limits, ToolSpec
from metis_gym.dialects.native import NativeResult, read_observation, read_system
from metis_gym.records import ToolCall, ToolResult, ToolStatus
from metis_gym.turns import MAX_CALLS

NATIVE = DIALECTS.create("native")
LIMITS = Limits(max_turns=3, calls_per_turn=2)
PIXEL = np.zeros((1, 1, 3), np.uint8)
SPEC = ToolSpec(name="python", description="Runs code.", schema={"type": "object", "properties": {}}, price=2.0)


def message(*calls, content=None, **more):
    return json.dumps({"role": "assistant", "content": content, "tool_calls": list(calls), **more})


def call(arguments, name="python"):
    return {"id": "a", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_calls_are_read_as_an_endpoint_sends_them():
    text = message(call('{"code": "1"}'), call("", "image_search"), content="I look.")
    parsed = NATIVE.parse(text)
    assert parsed.calls == (ToolCall(name="python", arguments={"code": "1"}), ToolCall(name="image_search"))
    assert parsed.answer is None and parsed.notes == ()


@pytest.mark.parametrize(
    "odd",
    [
        call('{"code": '),
        call("[1]"),
        call([1]),
        {"id": "a"},
        {"function": "python"},
        {"function": {"arguments": "{}"}},
        "python",
        None,
    ],
)
def test_malformed_calls_are_calls_with_a_problem(odd):
    (read,) = NATIVE.parse(message(odd)).calls
    assert read.problem
    assert NATIVE.format_score([message(odd), NATIVE.write_answer("B")]) == 0.0


def test_malformed_calls_count_as_calls_of_an_episode():
    env = gym.make("MetisVQA-v0", taskset="metis_gym.testing.examples:ExampleTasks", dialect="native", tools=())
    env.reset(seed=0)
    observation, _, _, _, info = env.step(message(call("{"), call("{}", "web")))
    assert (info["tool_calls"], info["tool_calls_by/invalid"]) == (2.0, 2.0)
    results, notes = read_observation(observation["text"])
    assert len(results) == 2 and "not a JSON object" in results[0].text and notes == []


def test_content_is_the_answer_without_thoughts():
    assert NATIVE.parse(message(content="<think>A</think>It is C.")).answer == "It is C."
    assert NATIVE.parse(message(content="so A</think>C")).answer == "C"
    assert NATIVE.parse(message(content=[{"type": "text", "text": "Answer: "}, {"text": "C"}])).answer == "C"


def test_an_answer_beside_a_call_is_not_taken():
    parsed = NATIVE.parse(message(call("{}"), content="<answer>B</answer>"))
    assert parsed.calls and parsed.answer is None and "not taken" in parsed.notes[0]


def test_a_refusal_ends_the_episode_scored_and_without_an_answer():
    env = gym.make("MetisVQA-v0", taskset="metis_gym.testing.examples:ExampleTasks", dialect="native", tools=())
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(json.dumps({"content": None, "refusal": "I cannot help."}))
    assert (terminated, truncated, info["scored"], info["answer_score"]) == (False, True, True, 0.0)


@pytest.mark.parametrize("text", ["B", "[]", "3", "{", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_what_is_no_message_gets_a_note(text):
    parsed = NATIVE.parse(text)
    assert not parsed.calls and parsed.answer is None and "assistant message" in parsed.notes[0]


def test_the_system_turn_holds_the_functions():
    content, tools = read_system(NATIVE.system([SPEC], LIMITS))
    assert "3" in content
    assert tools == [
        {
            "type": "function",
            "function": {
                "name": "python",
                "description": "Runs code. A call costs 2.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


def test_an_observation_holds_a_result_for_each_call():
    results = [
        ToolResult(name="python", status=ToolStatus.OK, output="4 <image>"),
        ToolResult(name="python", status=ToolStatus.OK, images=(PIXEL, PIXEL), captions=("A", "B")),
    ]
    text = NATIVE.observation(results, ["Answer now."])
    assert text.count("<image>") == 2
    assert read_observation(text) == (
        [NativeResult("4 ", 0), NativeResult("<image> A\n<image> B", 2)],
        ["Answer now."],
    )


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("native", json.dumps({"tool_calls": [0] * 20_000})),
        (
            "skywork_r1v4",
            '<tool_call>{"name": "text_search", "arguments": {"queries": ' + str([0] * 15_000) + "}}</tool_call>",
        ),
    ],
)
def test_very_many_calls_in_one_turn_fit_an_observation(dialect, text):
    env = gym.make("MetisVQA-v0", taskset="metis_gym.testing.examples:ExampleTasks", dialect=dialect, tools=())
    env.reset(seed=0)
    observation, _, _, _, info = env.step(text)
    assert info["tool_calls"] == MAX_CALLS and "the first 4,096 were looked at" in observation["text"]
    assert env.observation_space["text"].contains(observation["text"])
