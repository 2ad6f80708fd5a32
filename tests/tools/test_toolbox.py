"""The toolbox: sessions begin and end with episodes, and what a turn shows is bounded."""

import pytest

from metis_gym.dialects import DIALECTS, Limits
from metis_gym.errors import ConfigError
from metis_gym.records import INVALID_CALLS, ToolCall, ToolResult, ToolStatus
from metis_gym.tools.toolbox import Toolbox
from metis_gym.turns import MAX_OBSERVATION_CHARS, TurnTaker


class Session:
    def __init__(self, tool):
        self.tool, self.is_closed = tool, False

    def call(self, arguments):
        assert not self.is_closed, "a closed session is not called"
        return ToolResult(name=self.tool.name, status=ToolStatus.OK, output=arguments["text"] * self.tool.times)

    def close(self):
        assert not self.is_closed, "a session is closed once"
        self.is_closed = True


class Repeat:
    """Gives back a text, several times."""

    aliases = ()
    description = "Repeats a text."
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def __init__(self, name="repeat", price=1.0, times=1, aliases=()):
        self.name, self.price, self.times, self.aliases = name, price, times, aliases
        self.sessions = []

    def open(self, task, *, seed):
        self.sessions.append(Session(self))
        return self.sessions[-1]

    def normalise(self, arguments):
        return dict(arguments)


def call(name="repeat", **arguments):
    return ToolCall(name=name, arguments=arguments or {"text": "a"})


def test_every_session_ends_with_its_episode():
    tools = [Repeat("one"), Repeat("two")]
    box = Toolbox(tools)
    box.open(None, seed=0)
    assert not any(tool.sessions[0].is_closed for tool in tools)
    box.open(None, seed=1)
    assert all(tool.sessions[0].is_closed and not tool.sessions[1].is_closed for tool in tools)
    box.close()
    box.close()
    assert all(tool.sessions[1].is_closed for tool in tools)


def test_counts_and_prices_add_up():
    box = Toolbox([Repeat("one", price=2.0), Repeat("two", price=0.25)], invalid_price=3.0)
    box.open(None, seed=0)
    wanted = [call("one"), call("two"), call("two"), call("three"), call("one", words="x"), ToolCall(name="")]
    counts = box.count([box.run(one) for one in wanted])
    # `three` is no tool, `words` no argument of `one`, and the last call has no name: three invalid calls.
    assert counts == {"one": 1, "two": 2, INVALID_CALLS: 3}
    assert box.cost(counts) == 2.0 + 2 * 0.25 + 3 * 3.0


def test_a_model_is_told_each_tool_by_its_name():
    box = Toolbox([Repeat("one", price=2.0), Repeat("two")])
    assert [(spec.name, spec.price) for spec in box.specs(show_prices=True)] == [("one", 2.0), ("two", 1.0)]
    assert [(spec.name, spec.price) for spec in box.specs(show_prices=False)] == [("one", None), ("two", None)]


@pytest.mark.parametrize("price", [-0.5, float("inf"), float("nan"), True, "1"])
def test_a_price_that_is_no_finite_number_of_0_or_more_is_refused(price):
    with pytest.raises(ConfigError, match="price of a 'repeat' call"):
        Toolbox([Repeat()], prices={"repeat": price})


def test_calls_may_be_free():
    assert Toolbox([Repeat()], prices={"repeat": 0}).cost({"repeat": 3}) == 0.0


@pytest.mark.parametrize("lacks", ["call", "close"])
def test_a_session_that_cannot_be_called_or_closed_is_refused(lacks):
    class Half(Repeat):
        def open(self, task, *, seed):
            session = super().open(task, seed=seed)
            setattr(session, lacks, None)
            return session

    with pytest.raises(ConfigError, match="must return a ToolSession"):
        Toolbox([Half()]).open(None, seed=0)

    class Nothing(Repeat):
        def open(self, task, *, seed):
            return object()

    with pytest.raises(ConfigError, match="must return a ToolSession"):
        Toolbox([Nothing()]).open(None, seed=0)


def test_a_call_of_no_tool_is_named_in_its_result_up_to_a_length():
    box = Toolbox([Repeat()])
    assert box.run(call("repaet")).name == "repaet"
    assert box.run(call("x" * 1000)).name == "x" * 80


def test_a_call_counts_for_its_tool_unless_it_is_malformed_or_there_is_none():
    box = Toolbox([Repeat("repeat", aliases=("again",))])
    calls = call("repeat"), call("again"), call("other"), ToolCall(name="repeat", problem="not valid JSON")
    expected = ["repeat", "repeat", INVALID_CALLS, INVALID_CALLS]
    assert [box.counted_as(one) for one in calls] == expected
    refused = [box.refuse(one, "too late") for one in calls]
    assert [(one.name, one.status, one.output) for one in refused] == [
        (name, ToolStatus.REFUSED, "too late") for name in expected
    ]


def test_two_tools_with_one_name_are_refused():
    with pytest.raises(ConfigError, match="'look'"):
        Toolbox([Repeat("look"), Repeat("see", aliases=("look",))])


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_what_a_turn_shows_is_bounded_however_many_calls_it_has(calls):
    box = Toolbox([Repeat(times=10 * MAX_OBSERVATION_CHARS)])
    taker = TurnTaker(DIALECTS.create("metis"), box, Limits(max_turns=3, calls_per_turn=5))
    box.open(None, seed=0)
    text = taker.dialect.write_calls([call() for _ in range(calls)])
    turn = taker.take(text, 1, [])
    shown = turn.observation.text.count("a")
    # Each of n results may show half of its n-th part as output, the other half being for errors.
    assert MAX_OBSERVATION_CHARS // 2 - 2 * calls <= shown <= MAX_OBSERVATION_CHARS // 2 + 50 * calls
    assert len(turn.observation.text) <= MAX_OBSERVATION_CHARS
