"""The parts of the lanes: messages, limiter, prices, reports of opaque systems, words of a command, progress."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import TASKS, agent, play

from metis_agents.chat.agent import with_stop
from metis_agents.chat.limiter import Limiter
from metis_agents.chat.messages import Conversation, content_text
from metis_agents.chat.opaque import OpaqueAgent, read_report
from metis_agents.chat.stub import Stub
from metis_agents.chat.stub_replies import Reply, turns
from metis_agents.chat.usage import Prices, Usage, read_prices
from metis_agents.evaluate import evaluate
from metis_agents.progress import progress_bar
from metis_agents.scripted import OracleAgent
from metis_agents.settings.words import read_environment, take_environment
from metis_gym.errors import ConfigError
from metis_gym.recording import Run

IMAGE = np.zeros((32, 32, 3), np.uint8)


def observation(text, images=0, system=""):
    return {"system": system, "text": text, "images": (IMAGE,) * images}


def test_a_dialect_that_continues_its_turn_has_one_assistants_message():
    said = Conversation(continues=True)
    said.hear(observation("<image>?", 1, "S"))
    assert not said.is_open
    said.say({"content": "<think>a<code>1</code>"})
    said.hear(observation("<sandbox_output><image></sandbox_output>", 1))
    assert said.is_open
    said.say({"content": "b</think><answer>A</answer>"})
    assert [message["role"] for message in said.messages] == ["system", "user", "assistant"]
    parts = said.messages[-1]["content"]
    assert [part.get("text", "image") for part in parts] == [
        "<think>a<code>1</code>",
        "<sandbox_output>",
        "image",
        "</sandbox_output>",
        "b</think><answer>A</answer>",
    ]


def test_a_prefilled_turn_is_whole_for_the_environment_and_in_the_conversation():
    with Stub(turns("<think>x</think><code>print(1)", "y</think><answer>A</answer>"), keep=True) as stub:
        report = play(agent(stub.url), dialect='deepeyes_v2:prefill="<think>"', tools=())
    first, second = stub.requests
    assert "continue_final_message" not in first
    assert second["continue_final_message"] is True
    assert second["add_generation_prompt"] is False
    assert second["messages"][-1] == {"role": "assistant", "content": "<think>"}
    assert report.outcomes[0].format_score == 1.0, "the tags are balanced: the prefix belongs to the turn"


@given(st.text(max_size=60), st.sampled_from([(), ("</tool_call>",), ("</code>", "</tool_call>")]))
def test_a_stop_is_only_ever_appended(text, stops):
    whole = with_stop(text, stops)
    assert whole.startswith(text)
    assert whole[len(text) :] in ("", *stops)
    assert with_stop(whole, stops) == whole


JSON = st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(JSON)
def test_content_of_any_form_is_read(content):
    assert isinstance(content_text(content), str)


ODD = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
CALLS = st.lists(
    ODD
    | st.fixed_dictionaries(
        {},
        optional={
            "id": ODD,
            "function": ODD | st.fixed_dictionaries({}, optional={"name": ODD, "arguments": ODD | st.just('{"x": 1}')}),
        },
    ),
    max_size=3,
)


@settings(deadline=None, max_examples=25)
@given(
    st.fixed_dictionaries(
        {}, optional={"content": JSON, "tool_calls": CALLS | ODD, "refusal": st.none(), "own": JSON, "role": ODD}
    ),
    st.sampled_from(["native", "qwen", "metis"]),
)
def test_whatever_a_server_sends_ends_in_a_scored_episode(shared, message, dialect):
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    shared.script = lambda _: Reply(body=body)
    [outcome] = play(agent(shared.url), dialect=dialect, max_turns=2).outcomes
    assert outcome.scored


@pytest.fixture(scope="module")
def shared():
    with Stub() as stub:
        yield stub


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices": [{"message": {"content": "A", "x": NaN}}]}',
        b'{"choices": [{"message": {"content": "A", "x": ' + b"[" * 500 + b"]" * 500 + b"}}]}",
        b"[" * 100_000,
        b'{"choices": [{"message": null}]}',
        b'{"choices": {"0": {}}}',
        b"[]",
        b"\xff\xfe",
    ],
)
def test_an_answer_that_cannot_be_used_is_no_answer(data):
    with Stub(lambda body: Reply(body=data)) as stub:
        [outcome] = play(agent(stub.url, attempts=2), dialect="plain").outcomes
    assert not outcome.scored


def test_the_limiter_halves_once_for_a_burst_and_recovers_by_one_after_thirty_seconds():
    now = [0.0]
    limiter = Limiter(16, clock=lambda: now[0])
    for _ in range(16):
        limiter.too_many()
    assert limiter.limit == 8
    limiter.success()
    assert limiter.limit == 8, "not yet"
    now[0] = 2.0
    limiter.too_many()
    assert limiter.limit == 4
    now[0] = 31.0
    limiter.success()
    assert limiter.limit == 4, "29 s after the last"
    now[0] = 32.0
    for expected in (5, 6, 7):
        limiter.success()
        assert limiter.limit == expected
    for _ in range(20):
        now[0] += 2
        limiter.too_many()
    assert limiter.limit == 1
    with limiter.one_request():
        pass
    now[0] += 100
    for _ in range(40):
        limiter.success()
    assert limiter.limit == 16


def test_no_more_requests_than_the_limit_are_on_their_way():
    import threading

    lock, running, most = threading.Lock(), [0], [0]

    def script(body):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        barrier.wait(timeout=20)
        with lock:
            running[0] -= 1
        return turns("<answer>A</answer>")(body)

    barrier = threading.Barrier(4)  # four requests must be on their way together, or this ends with an error
    with Stub(script) as stub:
        play(agent(stub.url), 16, parallel=4)
    assert most[0] == 4


@pytest.mark.parametrize(
    "text", ["", "in=1", "out=1", "in=1,out=x", "in=1,out=-1", "in=1,out=2,cache=1", "in=nan,out=1"]
)
def test_prices_that_cannot_be_read(text):
    with pytest.raises(ConfigError, match="expected in=PRICE,out=PRICE"):
        read_prices(text)


def test_cached_tokens_have_a_price_of_their_own():
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert Prices(read=1.0, written=5.0, cached=0.1).cost(usage) == pytest.approx(0.6 + 0.04 + 0.5)
    assert read_prices("in=1,out=5,cached=0.1") == Prices(read=1.0, written=5.0, cached=0.1)


def test_prices_need_an_agent_that_says_what_it_uses():
    with pytest.raises(ConfigError, match="does not say how many tokens"):
        evaluate(OracleAgent(), "MetisVQA-v0", 1, 0, token_prices=Prices(read=1, written=1))


VISIT = '<tool_call>{"name": "web_visit", "arguments": {"urls": ["u"]}}</tool_call>'
SEARCH = '<tool_call>{"name": "text_search", "arguments": {"queries": ["a", "b"]}}</tool_call>'
REPORTS = {
    "": ({}, None),
    "A": ({}, None),
    "<answer>A</answer><answer>B</answer>": ({}, "B"),
    "<think><answer>A</answer><code>1</code></think><answer>C</answer>": ({}, "C"),
    "<observation><tool_call>{}</tool_call><answer>A</answer></observation>": ({}, None),
    '<tool_call>{"name": "web_visit", "arguments": {"urls": ["u"]}}</tool_call><answer>A</answer>': (
        {"web_visit": 1},
        "A",
    ),
    '<tool_call>{"name": "text_search", "arguments": {"queries": ["a", "b", "c"]}}</tool_call>': (
        {"text_search": 3},
        None,
    ),
    '<tool_call>{"name": "code", "arguments": {"code": "1"}}</tool_call><code>2</code>': ({"python": 2}, None),
    "<tool_call>no json</tool_call><tool_call>[]</tool_call><answer>A</answer>": ({"invalid": 2}, "A"),
}


@pytest.mark.parametrize("text", REPORTS)
def test_the_report_of_an_opaque_system(text):
    calls, answer = read_report(text)
    assert (dict(calls), answer) == REPORTS[text]


@given(
    st.lists(st.sampled_from(["<tool_call>", "</tool_call>", "<code>", "</code>", "<answer>", "</answer>", "{}", "x"]))
)
def test_no_report_is_too_strange(parts):
    calls, _ = read_report("".join(parts))
    assert all(count > 0 for count in calls.values())


def test_an_opaque_system_is_counted_and_priced_by_its_own_words():
    with Stub(turns(f"{SEARCH}<code>1</code><answer>A</answer>"), keep=True) as stub:
        player = OpaqueAgent(model="m", base_url=stub.url, enable_search=True)
        report = play(player, 2, prices={"look": 9.0})
    outcome = report.outcomes[0]
    assert outcome.tool_calls_by == {"look": 0, "invalid": 0, "text_search": 2, "python": 1}
    assert (outcome.tool_calls, outcome.tool_cost) == (3, 3.0)
    assert report.to_json()["tools_ran"] == "theirs"
    assert report.to_json()["metrics"]["tool_errors"] is None
    [body, _] = stub.requests
    assert body.keys() == {"model", "messages", "stream", "enable_search"}
    [message] = body["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]
    assert message["content"][1]["text"].startswith("Question:")


def test_an_opaque_system_without_an_answer_is_scored_as_none():
    with Stub(turns("I do not know.")) as stub:
        [outcome] = play(OpaqueAgent(model="m", base_url=stub.url)).outcomes
    assert (outcome.scored, outcome.truncated, outcome.correct) == (True, True, False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--env.max-turns", "3"], {"max_turns": 3}),
        (["--env.show_prices=true"], {"show_prices": True}),
        (["--env.tools", "python+text_search"], {"tools": ("python", "text_search")}),
        (["--env.tools", "none"], {"tools": None}),
        (["--env.prices", "python=2,invalid=0.5"], {"prices": {"python": 2, "invalid": 0.5}}),
        (["--env.taskset", "signs:answers=choice"], {"taskset": "signs:answers=choice"}),
        (["--env.grader_noise", "0.1"], {"grader_noise": 0.1}),
    ],
)
def test_arguments_of_the_environment(words, expected):
    rest, found = take_environment([*words, "--seed", "1"])
    assert rest == ["--seed", "1"]
    assert read_environment("MetisVQA-v0", found) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--env.max-turns"], "needs a value"),
        (["--env.max-turn", "1"], "Did you mean 'max_turns'"),
        (["--env.max-turns", "x"], "a whole number"),
        (["--env.show-prices", "yes"], "true or false"),
    ],
)
def test_wrong_arguments_of_the_environment(words, message):
    with pytest.raises(ConfigError, match=message):
        read_environment("MetisVQA-v0", take_environment(words)[1])


def test_a_log_is_told_at_the_beginning_and_at_the_end(capsys):
    with progress_bar("x", 10, done=4) as advance:
        for _ in range(6):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "x: 4 of 10"
    assert lines[-1].startswith("x: 10 of 10")
    assert len(lines) == 2


def test_the_time_left_is_estimated_from_what_this_start_played(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("metis_agents.progress.time.monotonic", lambda: now[0])
    with progress_bar("x", 100, done=50) as advance:
        now[0] = 600.0
        advance(10)
    assert "60 of 100, 60 s each, about 40 min left" in capsys.readouterr().err


def test_any_agent_is_recorded_in_any_lane(tmp_path):
    for name, how in {"alone": {}, "threads": {"parallel": 2}, "processes": {"workers": 2}}.items():
        evaluate(
            OracleAgent(), "MetisVQA-v0", 10, 0, progress=False, taskset=TASKS, tools=(), record=tmp_path / name, **how
        )
        runs = [Run(path.parent) for path in (tmp_path / name).rglob("run.json")]
        assert sum(event.kind == "reset" for run in runs for event in run.events()) == 10
        assert all(run.notes["agent"] == "oracle" for run in runs)


def test_the_endpoint_lane_needs_no_torch_to_be_imported():
    assert "metis_agents.chat.hf" not in vars(sys.modules["metis_agents.chat"])
