"""`openai:`: what is sent, what comes back, and what becomes of each way in which an endpoint fails."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from playing import LOOK, agent, play

from metis_agents.chat.stub import Stub, StubOptions
from metis_agents.chat.stub_replies import Reply, completion, turns
from metis_agents.evaluate import evaluate
from metis_gym.errors import BudgetError, ConfigError, InfrastructureError
from metis_gym.testing import check_agent

CALL = f"<reason>…</reason><tool_call>{LOOK}"  # the server strips the stop, as most do
ANSWER = "<reason>…</reason><answer>A</answer>"


def roles(body):
    return [message["role"] for message in body["messages"]]


def shape(content):
    return [part["type"] for part in content]


def decoded(part):
    head, _, data = part["image_url"]["url"].partition(",")
    return head, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_an_episode_of_text(tmp_path):
    with Stub(turns(CALL, ANSWER), keep=True) as stub:
        report = play(agent(stub.url, extra='{"top_k": 5}'), record=tmp_path / "run")
    first, second = stub.requests
    assert roles(first) == ["system", "user"]
    assert roles(second) == ["system", "user", "assistant", "user"]
    assert first["temperature"] == 0
    assert first["stop"] == ["</tool_call>"]
    assert first["top_k"] == 5
    assert second["seed"] == (first["seed"] + 1) % 2**31, "or both turns would draw the same random numbers"
    assert second["messages"][2]["content"].endswith("</tool_call>"), "the stop that the server stripped is there again"
    # Images stand in place of their marks, before and between texts.
    assert shape(first["messages"][1]["content"]) == ["image_url", "text"]
    shown = second["messages"][3]["content"]
    assert shape(shown) == ["text", "image_url", "text", "image_url", "text"]
    assert "<image>" not in json.dumps(second)
    head, image = decoded(shown[1])
    assert head == "data:image/png;base64"
    assert np.array_equal(image, np.full((64, 64, 3), 7))
    [outcome] = report.outcomes
    assert (outcome.tool_calls, outcome.turns, outcome.scored, outcome.format_score) == (1, 2, True, 1.0)
    # The stub counts a token for every four bytes of what it wrote.
    written = sum(-(-len(text.encode()) // 4) for text in (CALL, ANSWER))
    assert outcome.tokens == report.usage.completion_tokens == written


def test_tokens_are_those_that_the_server_counts():
    def script(body):
        reply = completion(ANSWER, prompt_tokens=1000)
        usage = {"prompt_tokens": 1000, "completion_tokens": 77, "prompt_tokens_details": {"cached_tokens": 600}}
        usage["completion_tokens_details"] = {"reasoning_tokens": 50}
        return Reply(body={**reply.body, "usage": usage})

    with Stub(script) as stub:
        report = play(agent(stub.url), 3)
    assert {outcome.tokens for outcome in report.outcomes} == {77}
    used = report.usage
    assert (used.prompt_tokens, used.completion_tokens, used.cached_tokens) == (3000, 231, 1800)
    assert (used.reasoning_tokens, used.requests, used.estimated) == (150, 3, 0)


@pytest.mark.parametrize("usage", [None, {}, "many", {"prompt_tokens": -1, "completion_tokens": 2}, {"total": 3}])
def test_missing_usage_is_estimated_and_said(usage):
    with Stub(lambda body: Reply(body={**completion(ANSWER).body, "usage": usage})) as stub:
        report = play(agent(stub.url), 2)
    assert report.usage.estimated == report.usage.requests == 2
    assert report.usage.completion_tokens == 2 * -(-len(ANSWER.encode()) // 4)
    assert "2 estimated" in str(report)


def native(body):
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    if turn == 0:
        calls = [("look", '{"x": 1}'), ("look", "{no json"), ("nothing", "{}")]
        fields = {"reasoning_content": "secret thoughts", "x_unknown": {"kept": True}}
        return completion(None, calls, signature="c3R1Yg==", finish_reason="stop", **fields)
    return completion("<answer>A</answer>")


def test_function_calling():
    with Stub(native, StubOptions(signatures=True), keep=True) as stub:
        report = play(agent(stub.url), dialect="native")
    first, second = stub.requests
    assert [tool["function"]["name"] for tool in first["tools"]] == ["look"]
    assert first["tool_choice"] == "auto"
    assert roles(second) == ["system", "user", "assistant", "tool", "tool", "tool", "user"]
    said, *results, shown = second["messages"][2:]
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in said["tool_calls"]]
    assert all(isinstance(result["content"], str) and result["content"] for result in results)
    assert "<image>" not in json.dumps(second)
    assert shape(shown["content"])[:4] == ["text", "image_url", "text", "image_url"]
    assert [part["text"] for part in shown["content"] if part["type"] == "text"][:2] == [
        "Image 1 of call 1:",
        "Image 2 of call 1:",
    ]
    # Unknown fields go back as they came, and reasoning does not.
    assert said["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c3R1Yg=="}}
    assert said["x_unknown"] == {"kept": True}
    assert "secret thoughts" not in json.dumps(second)
    # Arguments that are no JSON go back as an object: servers refuse a conversation that holds them otherwise.
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in said["tool_calls"])
    # Malformed calls are the model's own, and counted.
    assert report.outcomes[0].tool_calls == 3
    assert report.outcomes[0].tool_calls_by == {"look": 1, "invalid": 2}


IDS = {
    "twice the same": ("c", "c"),
    "numbers": (5, 5),
    "objects": ({"a": 1}, [1]),
    "missing": (None, ""),
    "one of ours": ("call_1", None),
}


@pytest.mark.parametrize("name", IDS)
def test_calls_go_back_with_ids_that_any_server_takes(name):
    """The stub refuses results without a call of their id, as servers do: one bad turn would end the run."""

    def script(body):
        if sum(message["role"] == "assistant" for message in body["messages"]) == 2:
            return completion("<answer>A</answer>")
        functions = [{"name": "look", "arguments": '{"x": 1}'}, {"name": "no such tool", "arguments": "{}"}]
        calls = [{"id": index, "function": function} for index, function in zip(IDS[name], functions, strict=True)]
        return completion(None, tool_calls=calls)

    with Stub(script, keep=True) as stub:
        report = play(agent(stub.url), 2, dialect="native")
    assert [(o.scored, o.tool_calls) for o in report.outcomes] == [(True, 4)] * 2
    messages = max((body["messages"] for body in stub.requests), key=len)
    asked = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert asked == answered
    assert len(set(asked)) == 4
    assert all(isinstance(index, str) and index for index in asked)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "Upstream overloaded", "code": 502}}, "Upstream overloaded; 502"),
        ({"choices": [{"message": {"content": "half a"}, "error": {"message": "provider died"}}]}, "provider died"),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}, "finish_reason is 'error'"),
        ({"choices": [{"message": {"content": "x" * (3 << 20)}}]}, r"a message of 3,1\d\d,\d{3} bytes"),
    ],
)
def test_an_error_with_status_200_is_an_outage_with_its_words(body, words, tmp_path):
    with Stub(lambda _: Reply(body=body)) as stub:
        report = play(agent(stub.url, attempts=2), 1, record=tmp_path / "run")
    assert [outcome.scored for outcome in report.outcomes] == [False]
    assert re.search(words, next(iter(report.failures)))


@pytest.mark.parametrize("count", [10**13, 10**400])
def test_a_number_of_tokens_that_cannot_be_is_none(count, tmp_path):
    usage = {"prompt_tokens": 5, "completion_tokens": count}
    with Stub(lambda body: Reply(body={**completion(ANSWER).body, "usage": usage})) as stub:
        report = play(agent(stub.url), 2, out=tmp_path / "run")
    assert report.usage.estimated == 2
    assert report.usage.completion_tokens < 100


def test_a_conversation_that_outgrows_a_request_is_the_models_own():
    """A first prompt that does is the user's to mend, and ends the run."""
    with Stub(turns(f"<reason>{'x' * 60_000}</reason><tool_call>{LOOK}", ANSWER)) as stub:
        report = play(agent(stub.url, max_request_bytes=50_000), 2)
        assert [(o.scored, o.truncated, o.tool_calls) for o in report.outcomes] == [(True, True, 1)] * 2
        assert report.usage.overflow == 2
        with pytest.raises(BudgetError, match="max_request_bytes"):
            play(agent(stub.url, max_request_bytes=100))


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_is_not_followed_with_a_key_and_said(status):
    with Stub(lambda body: Reply(status=status)) as stub, pytest.raises(ConfigError, match=r"a redirect.*base_url"):
        play(agent(stub.url, api_key="a-secret-key"))


@pytest.mark.parametrize("wait", ["1e999", "-5", "nan", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT", "86400"])
def test_an_absurd_pause_is_at_most_a_minute(wait):
    waits = []
    with Stub(lambda body: Reply(status=429, wait=wait)) as stub:
        play(agent(stub.url, waits=waits))
    assert len(waits) == 5
    assert all(0 < pause <= 60 for pause in waits)


@pytest.mark.parametrize("kind", ["429", "500", "cut", "malformed", "no_choices"])
def test_what_may_pass_is_asked_again(kind):
    waits = []
    with Stub(turns(ANSWER), StubOptions(faults=0.6, kinds=(kind,), seed=3)) as stub:
        report = play(agent(stub.url, waits=waits, attempts=40), 6)
    # A kept connection that is cut before an answer is opened anew at once, without a pause.
    assert 0 < len(waits) <= stub.faults[kind] if kind == "cut" else 0 < len(waits) == stub.faults[kind]
    assert all(outcome.scored for outcome in report.outcomes)
    assert max(waits) <= 60
    with Stub(turns(ANSWER)) as stub:
        assert play(agent(stub.url), 6).outcomes == report.outcomes


def test_an_answer_that_does_not_come_in_time_is_asked_for_again():
    with Stub(turns(ANSWER), StubOptions(faults=0.5, kinds=("hang",), seed=1)) as stub:
        report = play(agent(stub.url, timeout=0.5, attempts=20), 3)
        assert stub.faults["hang"] > 0
    assert all(outcome.scored for outcome in report.outcomes)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_an_outage_is_not_scored(status):
    waits = []
    reply = Reply(status=status, body={"error": {"message": "out of order"}}, wait="7")
    with Stub(lambda body: reply, keep=True) as stub:
        report = play(agent(stub.url, waits=waits), 2)
    assert len(stub.requests) == 12, "six attempts each"
    assert len(waits) == 10
    assert all(7 <= wait <= 60 for wait in waits), "what the server asks for, with jitter"
    assert [outcome.scored for outcome in report.outcomes] == [False, False]
    assert report.metrics["accuracy"].n == 0
    assert f"HTTP {status}: out of order" in next(iter(report.failures))


def test_without_a_server_nothing_is_scored_and_twenty_in_a_row_end_the_run():
    with Stub() as stub:
        url = stub.url
    assert not any(outcome.scored for outcome in play(agent(url, attempts=1), 3).outcomes)
    with pytest.raises(InfrastructureError, match=r"the last 20 episodes could not be scored.*no connection"):
        play(agent(url, attempts=1), 30)


REFUSALS = {
    401: ("Incorrect API key provided", StubOptions(key="right")),
    404: ("The model `m` does not exist", StubOptions(model="other")),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_wrong_key_or_model_ends_the_run_at_once_with_the_servers_words(status):
    words, options = REFUSALS[status]
    with Stub(turns(ANSWER), options) as stub, pytest.raises(ConfigError, match=f"HTTP {status}: .*{words}"):
        play(agent(stub.url), 50, parallel=4)
    assert sum(stub.faults.values()) <= 4


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_other_refusals_end_the_run_too(status):
    refused = Reply(status=status, body=b"not like this")
    with Stub(lambda body: refused) as stub, pytest.raises(ConfigError, match=f"HTTP {status}: not like this"):
        play(agent(stub.url), 5)


@pytest.mark.parametrize("name", ["seed", "stop", "temperature"])
def test_an_optional_field_that_is_refused_is_dropped_once_with_a_warning(name):
    with Stub(turns(ANSWER), StubOptions(refused=(name,)), keep=True) as stub:
        report = play(agent(stub.url), 3)
    assert [name in body for body in stub.requests] == [True, False, False, False]
    assert len(report.warnings) == 1
    assert repr(name) in report.warnings[0]
    assert all(outcome.scored for outcome in report.outcomes)


@pytest.mark.parametrize(
    ("reason", "message"),
    [("content_filter", {}), ("stop", {"refusal": "I must not"})],
)
def test_a_refusal_is_scored_as_no_answer(reason, message):
    with Stub(lambda body: completion("<answer>A</answer>", finish_reason=reason, **message)) as stub:
        report = play(agent(stub.url), 2)
    assert [(o.scored, o.truncated, o.correct) for o in report.outcomes] == [(True, True, False)] * 2
    assert report.usage.refused == 2


def test_a_turn_that_is_cut_off_is_what_was_written():
    with Stub(lambda body: completion(CALL, finish_reason="length")) as stub:
        report = play(agent(stub.url), max_turns=1)
    assert report.usage.cut == 2
    assert report.outcomes[0].tool_calls == 2, "the calls count as they stand"


WORDS = (
    "This model's maximum context length is 4096 tokens. Please reduce the length of the messages.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "Range of input length should be [1, 30720]",
)


@pytest.mark.parametrize("words", WORDS)
def test_a_conversation_that_is_too_long_is_the_models_own(words):
    def script(body):
        if len(body["messages"]) > 2:
            return Reply(status=400, body={"error": {"message": words}})
        return completion(CALL)

    with Stub(script) as stub:
        report = play(agent(stub.url), 2)
    assert [(o.scored, o.truncated, o.tool_calls) for o in report.outcomes] == [(True, True, 1)] * 2
    assert report.usage.overflow == 2


def test_a_first_prompt_that_does_not_fit_is_a_warning():
    with Stub(turns(ANSWER), StubOptions(max_context=10)) as stub:
        report = play(agent(stub.url), 3, parallel=3)
    assert report.usage.overflow == 3
    [warning] = report.warnings
    assert "the first prompt of an episode" in warning


def test_where_only_the_room_for_the_answer_is_too_large_the_limit_is_left_out():
    def script(body):
        if "max_tokens" in body:
            words = "'max_tokens' is too large: 8192. This model's maximum context length is 4096 tokens."
            return Reply(status=400, body={"error": {"message": words}})
        return completion(ANSWER)

    with Stub(script) as stub:
        report = play(agent(stub.url), 2)
    assert [o.truncated for o in report.outcomes] == [False, False]
    assert report.usage.overflow == 0


def test_images_within_the_limits_of_a_request():
    from metis_agents.chat.images import ImageFormat
    from metis_agents.chat.messages import Conversation

    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    large = np.zeros((2001, 2000, 3), np.uint8)
    assert ImageFormat().uri(noise).startswith("data:image/png")
    assert ImageFormat().uri(large).startswith("data:image/jpeg"), "above 4 megapixels"
    assert ImageFormat(kind="png").uri(large).startswith("data:image/png")
    part = {"image_url": {"url": ImageFormat(view_side=200, view_pixels=20_000).uri(noise)}}
    assert decoded(part)[1].shape == (122, 163, 3)  # 200 x 150 = 30,000 px, times 2/3: sides times .816, from 400 x 300
    said = Conversation()
    said.hear({"system": "", "text": "<image>?", "images": [noise]})
    whole = len(json.dumps(said.rendered(ImageFormat(), 10**9)))
    smaller = said.rendered(ImageFormat(), whole - 1000)
    assert smaller[0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg")
    with pytest.raises(BudgetError, match="max_request_bytes"):
        said.rendered(ImageFormat(), 1000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"base_url": ""}, "model= and base_url="),
        ({"base_url": "ftp://x"}, "http"),
        ({"max_tokens_field": "tokens"}, "max_completion_tokens"),
        ({"extra": "[1]"}, "JSON object"),
        ({"extra": "{"}, "JSON object"),
        ({"image_format": "gif"}, "image_format"),
        ({"view_side": 0}, "view_side"),
        ({"attempts": 0}, "attempts"),
        ({"base_url": "stub?faultz=1"}, "Did you mean 'faults'"),
        ({"base_url": "stub?faults=some"}, "faults"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        agent(arguments.pop("base_url", "http://127.0.0.1:1/v1"), **arguments)


def test_it_keeps_the_contract_of_agents():
    check_agent("openai:base_url=stub")


def test_environments_without_text_are_refused():
    with Stub() as stub, pytest.raises(ConfigError, match="environments with text, such as MetisVQA-v0"):
        evaluate(agent(stub.url), "MetisVQA-Discrete-v0", 1, 0, progress=False)
