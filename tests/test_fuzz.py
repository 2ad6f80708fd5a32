"""Whatever comes in from outside, what comes out is an error of this project, or none.

Hypothesis searches with a fixed budget and the same examples on every machine.
"""

import contextlib
import json

import gymnasium as gym
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.errors import InvalidActionError, RecordingError, TaskIdError
from metis_gym.recording import Run, replay
from metis_gym.wrappers import Recorder

BUDGET = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEXT = st.text(st.characters(), max_size=20)  # lone surrogates and controls included
HUGE = st.integers(4_200, 5_000).map(lambda digits: 10**digits)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.binary(max_size=5), st.complex_numbers(), HUGE,
    st.sampled_from([1e999, object(), dict, frozenset({1})]),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(TEXT, st.integers(), st.none()), inner, max_size=4),
        st.sets(st.integers(), max_size=3),
    ),
    max_leaves=15,
)
NAMES = st.one_of(st.sampled_from(["python", "text_search", "image_search", "answer", ""]), TEXT)
CALLS = st.fixed_dictionaries(
    {"name": st.one_of(NAMES, ANYTHING)}, optional={"arguments": ANYTHING, "answer": ANYTHING}
)
ACTIONS = st.one_of(ANYTHING, CALLS, st.lists(CALLS, max_size=3), st.fixed_dictionaries({"answer": ANYTHING}))
TAGS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "<tool_call>",
                "</tool_call>",
                "<answer>",
                "</answer>",
                "<reason>",
                "</reason>",
                "<think>",
                "<image>",
                "[" * 3000,
            ]
        ),
        st.sampled_from(['{"name": "nothing", "arguments": ', '{"query": ', "}", '"', "\\", "NaN", "9" * 5000]),
        TEXT,
    ),
    max_size=8,
).map("".join)


@pytest.fixture(scope="module", params=["metis", "qwen", "plain"])
def env(request):
    taskset = "signs:answers=choice,max_source=1792,required_share=0"
    env = gym.make("MetisVQA-v0", taskset=taskset, tools=(), dialect=request.param, max_turns=10**6)
    yield env
    env.close()


@BUDGET
@given(action=st.one_of(ACTIONS, TAGS))
def test_actions_end_in_an_observation_or_in_one_error(env, action):
    observation, _ = env.reset(seed=3)
    before = env.unwrapped.episode
    try:
        observation, *_ = env.step(action)
    except InvalidActionError:
        assert env.unwrapped.episode is before
    assert env.observation_space.contains(observation)


@BUDGET
@given(action=ACTIONS)
def test_numbers_end_in_an_observation_or_in_one_error(action):
    env = NUMERIC
    env.reset(seed=3)
    with contextlib.suppress(InvalidActionError):
        env.step(action)
    with contextlib.suppress(InvalidActionError):
        env.unwrapped.encode_action(action)


NUMERIC = gym.make("MetisVQA-Discrete-v0")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "run"
    env = Recorder(gym.make("MetisVQA-Discrete-v0"), folder)
    env.reset(seed=0)
    env.step(5)
    env.step(1)
    env.close()
    return folder


KEYS = ["$image", "$array", "dtype", "$scalar", "$tuple", "name", "task_id"]
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), TEXT,
        st.sampled_from(["parquet:/etc/passwd", "os:system", "my.module:Thing", "uint8", "object", "0" * 64, 10**4000]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


def places(value, path=()):
    """Every place of a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@BUDGET
@given(data=st.data())
def test_recordings_with_other_values_end_in_an_error_or_in_differences(recorded, tmp_path, data):
    header = json.loads((recorded / "run.json").read_text())
    events = [json.loads(line) for line in (recorded / "events.jsonl").read_text().splitlines()]
    whole = {"header": header, "events": events}
    for _ in range(data.draw(st.integers(1, 2))):
        where = data.draw(st.sampled_from([place for place in places(whole) if len(place) > 1]))
        with contextlib.suppress(LookupError, TypeError, AttributeError):  # the place went with an earlier one
            whole = replaced(whole, where, data.draw(JSON))
    write(tmp_path, recorded, json.dumps(whole["header"]).encode(), whole["events"])
    replayed(tmp_path)


@BUDGET
@given(data=st.data())
def test_recordings_with_other_bytes_end_in_an_error_or_in_differences(recorded, tmp_path, data):
    names = ["run.json", "events.jsonl", *sorted(f"images/{path.name}" for path in (recorded / "images").iterdir())]
    name = data.draw(st.sampled_from(names))
    content = bytearray((recorded / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    copy(tmp_path, recorded)
    (tmp_path / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    replayed(tmp_path)


def copy(folder, recorded):
    for path in recorded.rglob("*"):
        if path.is_file():
            (folder / path.relative_to(recorded)).parent.mkdir(exist_ok=True)
            (folder / path.relative_to(recorded)).write_bytes(path.read_bytes())


def write(folder, recorded, header, events):
    copy(folder, recorded)
    (folder / "run.json").write_bytes(header)
    lines = events if isinstance(events, list) else [events]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in lines))


def replayed(folder):
    with contextlib.suppress(RecordingError, TaskIdError):  # nothing else may come
        for difference in replay(Run(folder)):
            assert isinstance(difference.field, str)
