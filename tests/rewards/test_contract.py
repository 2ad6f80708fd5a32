"""What every design promises, whoever wrote it."""

import math

import pytest

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.rewards.contract import RewardDesign
from metis_gym.testing import check_design
from metis_gym.testing.designs import episode

NAMES = rewards.available()


@pytest.fixture(params=NAMES)
def design(request):
    return rewards.make(request.param)


def test_it_is_a_reward_design(design):
    assert isinstance(design, RewardDesign)
    assert design.name in NAMES
    assert rewards.make(design.name).name == design.name


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_contract(name):
    check_design(name)


def test_rewards_are_repeatable(design):
    assert design.reward(episode(calls=2)) == design.reward(episode(calls=2))


def test_a_strange_state_is_refused(design):
    with pytest.raises(ConfigError, match=f"state of '{design.name}'.*strange"):
        design.load_state_dict({"strange": 1})


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
