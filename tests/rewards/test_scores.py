"""Scores at their edges: what is not scored is 0 in everything, bounds are reached and not passed, names are public."""

import math

import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity, Outcome
from metis_gym.rewards.contract import HIDDEN, view_for
from metis_gym.rewards.decoupled import dvao_advantages
from metis_gym.rewards.statistics import Scale, standardise

NAMES = rewards.available()


def episode(right=1.0, calls=0, **more):
    return Outcome(
        **{"task_id": "t", "answer_score": right, "format_score": 1.0, "tool_calls": calls, "tool_benefit": 0.0} | more
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_unscored_episode_is_0_in_every_component(name):
    design = rewards.make(name)
    components = design.components(episode(calls=3, scored=False))
    assert set(components.values()) == {0.0}
    assert all(type(score) is float for score in components.values())
    assert design.reward(episode(calls=3, scored=False)) == 0.0
    assert list(components) == list(design.components(episode(calls=3)))


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_channels(name):
    channels = rewards.make(name).channels([[episode(), episode(0.0, 2)]])
    apart = ["accuracy", "efficiency"]
    expected = {"hdpo": apart, "hdpo_gap": apart, "accuracy": ["accuracy"]}
    assert [channel.name for channel in channels] == expected.get(name, ["reward"])


def test_the_raw_efficiency_of_diet_is_minus_the_calls_of_a_right_answer():
    design = rewards.make("diet")
    found = [design.components(one)["efficiency"] for one in (episode(calls=3), episode(0.0, 3), episode())]
    assert found == [-3.0, 0.0, 0.0]


def test_what_has_nothing_to_compare_keeps_its_shape():
    scale = Scale(eps=0.0)
    assert standardise(np.full(3, 0.5), scale).tolist() == [0.0] * 3
    nothing = dvao_advantages(np.ones(3), np.ones(3), 1.0, 1.0, scale)
    assert nothing.tolist() == [0.0] * 3


def test_slimsearcher_counts_tokens_from_one_on():
    # δ of calls is 0 for all; tokens 0 and 1 are both 1, 2 has δ = 1: g = 2e^−1/(1 + e^−1).
    group = [episode(tokens=tokens) for tokens in (0, 1, 2)]
    assert rewards.make("slimsearcher").scores(group) == pytest.approx([1, 1, 2 * math.exp(-1) / (1 + math.exp(-1))])


@pytest.mark.parametrize(("calls", "score"), [(0, 0.75), (1, 0.5), (2, 0.25), (3, 0.0), (10, 0.0)])
def test_a_soft_budget_is_bounded_below(calls, score):
    # budget 1, α = .5: (clip(.5·(1 − T), −1, 1) + 1)/2
    design = rewards.make("l1_budget", mode="max")
    assert design.reward(episode(calls=calls)) == score
    assert design.reward(episode(0.0, calls)) == 0.0


def test_a_soft_budget_is_bounded_above():
    assert rewards.make("l1_budget", mode="max", budget=10.0).reward(episode()) == 1.0


def test_pixel_reasoner_pays_nothing_for_calls_below_its_limit():
    # Rate 1 > .3: no curiosity; T = 1 and 3 are within three calls, T = 5 is two too many, .05 each.
    design = rewards.make("pixel_reasoner", max_calls=3.0)
    assert design.scores([episode(calls=calls) for calls in (1, 3, 5)]) == pytest.approx([1.0, 1.0, 0.9])


@pytest.mark.parametrize("fewest", [math.inf, math.nan, -1.0, "2", None])
@pytest.mark.parametrize(("cost", "kind"), [("price", "a price"), ("calls", "a count of calls")])
def test_a_memory_of_impossible_calls_is_refused(fewest, cost, kind):
    design = rewards.make("otc", cost=cost)
    with pytest.raises(ConfigError, match=f"`fewest` of 't' to be {kind}, actually"):
        design.load_state_dict({"fewest": {"t": fewest}})


def test_a_design_may_see_all_that_is_hidden():
    class Seer(rewards.SingleReward):
        """Asks for everything."""

        name = "seer"
        sees = tuple(HIDDEN)

        def score(self, outcome):
            return 1.0

    outcome = episode(necessity=Necessity.REQUIRED, blind_accuracy=0.25)
    seen = view_for(Seer(), outcome)
    assert (seen.necessity, seen.blind_accuracy) == (Necessity.REQUIRED, 0.25)
    assert view_for(rewards.make("hdpo"), outcome) == outcome.for_designs
