"""What every design promises, whoever wrote it."""

import copy
import json
import math
import pickle

import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import RewardDesign

NAMES = rewards.available()


def episode(right=1.0, calls=0, **more):
    fields = {"task_id": "t", "format_score": 1.0, "tool_benefit": 0.5, "tokens": 10}
    return Outcome(answer_score=right, tool_calls=calls, **{**fields, **more})


GROUPS = {
    "all right": [episode(calls=c) for c in (0, 1, 5)],
    "all wrong": [episode(0.0, c) for c in (0, 1, 5)],
    "one right": [episode(calls=2), episode(0.0), episode(0.0, 4)],
    "one episode": [episode(calls=1)],
    "two episodes": [episode(), episode(0.0, 1)],
    "duplicates": [episode(calls=3)] * 6,
    "none scored": [episode(scored=False), episode(calls=1, scored=False)],
    "some scored": [episode(scored=False), episode(calls=1), episode(0.0, 2)],
    "many calls": [episode(calls=c) for c in (0, 10_000)],
    "no tokens": [episode(tokens=0), episode(calls=1, tokens=0)],
}


@pytest.fixture(params=NAMES)
def design(request):
    return rewards.make(request.param)


def test_it_is_a_reward_design(design):
    assert isinstance(design, RewardDesign)
    assert design.name in NAMES
    assert rewards.make(design.name).name == design.name


@pytest.mark.parametrize("case", GROUPS)
def test_it_takes_any_group(design, case):
    channels = design.channels([GROUPS[case]])
    assert len({channel.name for channel in channels}) == len(channels) > 0
    for channel in channels:
        assert channel.name
        assert math.isfinite(channel.weight)
        assert channel.weight >= 0
        assert np.isfinite(channel.advantages).all()
        assert len(channel.advantages) == len(channel.members) == len(GROUPS[case])


@pytest.mark.parametrize("case", GROUPS)
def test_its_components_are_fixed_and_start_with_the_scalar(design, case):
    keys = tuple(design.components(episode()))
    for outcome in GROUPS[case]:
        components = design.components(outcome)
        assert tuple(components) == keys
        assert all(isinstance(value, float) and math.isfinite(value) for value in components.values())
        assert design.reward(outcome) == next(iter(design.components(outcome).values()))


def test_broken_episodes_are_worth_nothing(design):
    broken = episode(0.0, 3, scored=False, format_score=0.0)
    assert design.reward(broken) == 0.0
    assert set(design.components(broken).values()) == {0.0}


def test_rewards_are_repeatable(design):
    assert design.reward(episode(calls=2)) == design.reward(episode(calls=2))


def test_its_state_is_json(design):
    design.channels([GROUPS["all right"]])
    state = json.loads(json.dumps(design.state_dict()))
    fresh = rewards.make(design.name)
    fresh.load_state_dict(state)
    assert fresh.state_dict() == state == design.state_dict()


def test_a_strange_state_is_refused(design):
    with pytest.raises(ConfigError, match=f"state of '{design.name}'.*strange"):
        design.load_state_dict({"strange": 1})


def test_saving_is_not_sharing(design):
    design.channels([GROUPS["all right"]])
    saved = copy.deepcopy(design.state_dict())
    live = design.state_dict()
    design.channels([[episode(calls=0, task_id="new")], [episode(calls=9, task_id="newer")]])
    assert live == saved


def test_it_can_be_pickled_and_copied(design):
    for clone in (pickle.loads(pickle.dumps(design)), copy.deepcopy(design)):
        assert clone.reward(episode(calls=2)) == design.reward(episode(calls=2))


def test_its_spec_builds_it_again(design):
    assert rewards.spec_of(design) == design.name
    assert rewards.spec_of(rewards.make(design.name, ddof=0)) == f"{design.name}:ddof=0"
    assert rewards.from_spec(rewards.spec_of(rewards.make(design.name, eps=0.5))).eps == 0.5


def test_its_docstring_names_its_source(design):
    source = design.card.source.split(",")[-1].strip()
    assert source == "folklore" or source.removeprefix("arXiv ").split(" of ")[-1] in type(design).__doc__
    assert (design.card.evidence == "second-hand") == ("second-hand" in type(design).__doc__)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("answer_score", math.nan),
        ("answer_score", 1.5),
        ("format_score", -0.1),
        ("tool_calls", -1),
        ("turns", -1),
        ("tokens", -5),
    ],
)
def test_impossible_outcomes_are_refused_with_the_value(design, field, value):
    broken = episode(**{"right" if field == "answer_score" else "calls" if field == "tool_calls" else field: value})
    with pytest.raises(ConfigError, match=f"`{field}` of task 't'.*actually: {value!r}"):
        design.channels([[broken, episode()]])
    with pytest.raises(ConfigError, match=f"`{field}`"):
        design.reward(broken)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "at least one group"),
        ([[episode()], []], "group 1 has 0"),
        ([[episode(), episode(task_id="u")]], "group 0 has 't' and 'u'"),
    ],
)
def test_impossible_batches_are_refused(design, groups, message):
    with pytest.raises(ConfigError, match=message):
        design.channels(groups)
