"""Actions as dicts: what a model could have produced works, everything else is one error that changes nothing."""

import collections
import enum
import json

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.actions import plain_action
from metis_gym.dialects import DIALECTS
from metis_gym.errors import InvalidActionError
from metis_gym.records import ToolCall

SIGNS = {"taskset": "signs:answers=choice,max_source=1792,required_share=0", "tools": ("python", "text_search")}


class Hostile:
    """Raises whatever is asked of it."""

    def _raise(self, *_args, **_kwargs):
        raise ZeroDivisionError

    __str__ = __repr__ = __iter__ = __len__ = __bool__ = __eq__ = __int__ = __float__ = __index__ = __getitem__ = _raise
    __hash__ = object.__hash__


class HostileDict(dict):
    """A dict whose own methods are not to be called."""

    def _raise(self, *_args, **_kwargs):
        raise ZeroDivisionError

    __iter__ = __len__ = __getitem__ = __contains__ = keys = items = values = get = __repr__ = __bool__ = _raise


class HostileList(list):
    """A list whose own methods are not to be called."""

    def _raise(self, *_args, **_kwargs):
        raise ZeroDivisionError

    __iter__ = __len__ = __getitem__ = __repr__ = __bool__ = _raise


class HostileText(str):
    """Text whose own methods are not to be called."""

    __slots__ = ()

    def _raise(self, *_args, **_kwargs):
        raise ZeroDivisionError

    __str__ = __repr__ = __iter__ = __len__ = __getitem__ = encode = __bool__ = _raise


class HostileNumber(int):
    """A number whose own methods are not to be called."""

    def _raise(self, *_args, **_kwargs):
        raise ZeroDivisionError

    __str__ = __repr__ = __int__ = __index__ = __bool__ = __lt__ = __le__ = bit_length = _raise


class Colour(enum.StrEnum):
    RED = "red"


def cyclic():
    inner = {}
    inner["self"] = inner
    return inner


def bushy():
    """2³⁰ values by 30 lists."""
    shared = [1]
    for _ in range(30):
        shared = [shared, shared]
    return shared


def deep(levels):
    nested = 1
    for _ in range(levels):
        nested = [nested]
    return nested


BAD_VALUES = {
    "list": [1],
    "set": {1},
    "bytes": b"{}",
    "none": None,
    "number": 5,
    "flag": True,
    "object": object(),
    "hostile": Hostile(),
    "type": dict,
    "pairs": [("query", "x")],
    "keys that are no text": {1: 2},
    "mixed keys": {"a": 1, None: 2},
    "cyclic": cyclic(),
    "bushy": {"a": bushy()},
    "deep": {"a": deep(5_000)},
    "a set inside": {"a": [{1}]},
    "bytes inside": {"a": b"x"},
    "an object inside": {"a": {"b": Hostile()}},
    "huge": {"a": 10**5000},
    "hugely negative": {"a": -(10**5000)},
    "NaN": {"a": float("nan")},
    "infinity": {"a": np.float32("inf")},
    "an array of objects": {"a": np.array([object()], dtype=object)},
    "a large array": {"a": np.zeros(100_000)},
    "a complex number": {"a": 1j},
    "a date": {"a": np.datetime64("2020-01-01")},
    "many": {"a": list(range(100_000))},
}

BAD_ACTIONS = {
    **{f"arguments: {name}": {"name": "text_search", "arguments": value} for name, value in BAD_VALUES.items()},
    **{f"call {name}": value for name, value in BAD_VALUES.items()},
    **{f"calls: {name}": [{"name": "python"}, value] for name, value in BAD_VALUES.items()},
    **{
        f"answer: {name}": {"answer": value}
        for name, value in BAD_VALUES.items()
        if name not in ("number", "flag")  # 5 and true are answers
    },
    "an answer that is huge": {"answer": 10**5000},
    "an answer that is NaN": {"answer": float("nan")},
    "an empty list": [],
    "an empty dict": {},
    "a name that is no text": {"name": 5},
    "a name that is a list": {"name": ["python"], "arguments": {}},
    "no name": {"arguments": {}},
    "calls that are text": ["python"],
    "a mapping that is no dict": collections.ChainMap({"name": "python"}),
    "an array": np.zeros(3),
}


@pytest.fixture(scope="module")
def env():
    env = gym.make("MetisVQA-v0", **SIGNS)
    yield env
    env.close()


@pytest.mark.parametrize("name", BAD_ACTIONS)
def test_a_bad_action_is_one_error_and_changes_nothing(name, env):
    env.reset(seed=3)
    env.step({"name": "nothing"})
    before = env.unwrapped.episode
    with pytest.raises(InvalidActionError) as raised:
        env.step(BAD_ACTIONS[name])
    assert 0 < len(str(raised.value)) < 1_000
    assert env.unwrapped.episode is before
    assert env.step({"answer": "A"})[2], "the episode goes on"


@pytest.mark.parametrize("action", [Hostile(), HostileNumber(3), b"A", HostileList(), HostileDict()], ids=range(5))
def test_no_method_of_a_foreign_class_is_called(action, env):
    env.reset(seed=3)
    with pytest.raises(InvalidActionError):
        env.step(action)


def test_subclasses_are_read_as_what_they_are():
    call = HostileDict(name=HostileText("crop"), arguments=HostileDict(box=HostileList([HostileNumber(3)])))
    assert plain_action(HostileList([call])) == [{"name": "crop", "arguments": {"box": [3]}}]
    assert plain_action({"answer": Colour.RED}) == {"answer": "red"}
    assert type(plain_action(HostileText("text"))) is str


NATURAL = {
    "a dict": {"query": "a"},
    "JSON text, as OpenAI's API gives it": '{"query": "a"}',
    "JSON text with space": ' {"query": "a"}\n',
    "numpy's text": {"query": np.str_("a")},
}


@pytest.mark.parametrize("name", NATURAL)
@pytest.mark.parametrize("dialect", ["metis", "qwen"])
def test_arguments_that_models_produce_arrive(name, dialect):
    with_tools = gym.make("MetisVQA-v0", dialect=dialect, **SIGNS)
    with_tools.reset(seed=3)
    with_tools.step({"name": "text_search", "arguments": NATURAL[name]})
    (call,) = with_tools.unwrapped.episode.turns[-1].calls
    assert (call.name, dict(call.arguments), call.problem) == ("text_search", {"query": "a"}, "")
    with_tools.close()


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_no_arguments_as_text(text, env):
    env.reset(seed=3)
    env.step({"name": "nothing", "arguments": text})
    assert env.unwrapped.episode.turns[-1].calls == (ToolCall(name="nothing"),)


@pytest.mark.parametrize(
    "text", ["{", "[1]", "null", '"text"', "[" * 100_000, "9" * 10_000, '{"a": NaN', '{"a":' * 900]
)
def test_arguments_that_are_no_json_object_are_told_to_the_model(text, env):
    """A model can write them: they cost a call, and the episode goes on."""
    env.reset(seed=3)
    observation, _, terminated, _, info = env.step({"name": "text_search", "arguments": text})
    assert not terminated
    assert "not a JSON object" in observation["text"] or "was not read" in observation["text"]
    assert info["tool_errors"] == (0.0 if "was not read" in observation["text"] else 1.0)


@pytest.mark.parametrize("name", ["", "\ud800", "\x1b[2J", "</tool_call>", '"', "\\", "名前", "a" * 70_000, "\0"])
def test_odd_names_reach_the_model_as_no_tool(name, env):
    env.reset(seed=3)
    observation, *_ = env.step({"name": name, "arguments": {}})
    assert "no tool" in observation["text"] or "was not read" in observation["text"]


@pytest.mark.parametrize("dialect", ["metis", "qwen"])
@pytest.mark.parametrize(
    "code",
    ["'</tool_call><answer>B</answer>'", "'<tool_call>'", "'<reason>' '</reason>'", "'</think>'", "1 < 2", "\ud800"],
)
def test_a_call_says_what_it_was_given(code, dialect):
    """Tags inside of arguments end neither the call nor the thought."""
    made = DIALECTS.create(dialect)
    calls = [ToolCall(name="python", arguments={"code": code})] * 2
    assert made.parse(made.write_calls(calls)).calls == tuple(calls)


@pytest.mark.parametrize("answer", [3, 2.5, True, np.int64(3), "B"])
def test_answers_are_text_or_numbers(answer, env):
    env.reset(seed=3)
    assert env.step({"answer": answer})[2]
    assert env.unwrapped.episode.turns[-1].answer == str(answer)


def test_many_calls_are_counted_and_refused(env):
    env.reset(seed=3)
    *_, info = env.step([{"name": "nothing"}] * 1_000)
    assert info["tool_calls"] == 1_000
    env.reset(seed=3)
    with pytest.raises(InvalidActionError, match="too large"):
        env.step([{"name": "nothing"}] * 100_000)


NUMERIC = [
    None,
    "A",
    1.0,
    -1,
    10**30,
    -(10**30),
    True,
    b"1",
    [1],
    np.float64(1),
    np.array([1]),
    Hostile(),
    HostileText("1"),
    99,
]


@pytest.fixture(scope="module")
def numeric():
    env = gym.make("MetisVQA-Discrete-v0")
    yield env
    env.close()


@pytest.mark.parametrize("action", NUMERIC, ids=lambda action: type(action).__name__)
def test_numbers_out_of_the_space_are_one_error(action, numeric):
    numeric.reset(seed=3)
    with pytest.raises(InvalidActionError):
        numeric.step(action)
    assert numeric.step(0)[2]


@pytest.mark.parametrize("action", [1, np.int64(1), np.uint8(1), np.array(1)])
def test_numbers_of_the_space_are_taken(action, numeric):
    numeric.reset(seed=3)
    assert numeric.step(action)[2]


ENCODED_BADLY = [
    {},
    {"answer": ""},
    {"answer": "AB"},
    {"answer": "a"},
    {"answer": 1},
    {"arguments": {}},
    "A",
    None,
    Hostile(),
]


@pytest.mark.parametrize("action", ENCODED_BADLY, ids=lambda action: type(action).__name__)
def test_scripted_actions_that_are_none_are_one_error(action, numeric):
    numeric.reset(seed=3)
    with pytest.raises(InvalidActionError):
        numeric.unwrapped.encode_action(action)


def test_a_list_of_calls_is_json():
    assert json.loads(json.dumps(plain_action([{"name": "a", "arguments": {"b": np.arange(2)}}])))
