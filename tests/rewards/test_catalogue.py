"""Designs by name: made, listed, added, and refused with a helpful message."""

import math
from dataclasses import dataclass

import pytest

from metis_gym import rewards
from metis_gym.errors import ConfigError, UnknownNameError
from metis_gym.records import Outcome
from metis_gym.rewards import catalogue

RIGHT = Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=2)


@pytest.fixture(autouse=True)
def _clean_catalogue(monkeypatch):
    monkeypatch.setattr(catalogue.DESIGNS, "_entries", dict(catalogue.DESIGNS._entries))


DESIGNS = """
accuracy at_grpo coupled deepeyes diet dvao eapo gdpo hdpo hdpo_gap ikea kimi_decay l1_budget lagrangian
length_gated linear_cost mmsearch_r1 mo_grpo necessity_oracle otc pixel_reasoner retool sa_mrpo slimsearcher
"""


def test_every_design_of_the_table_is_there():
    assert list(rewards.available()) == DESIGNS.split()


def test_specs():
    design = rewards.from_spec("coupled:alpha=0.1,gated=true")
    assert (design.alpha, design.gated) == (0.1, True)
    assert rewards.make("coupled:gated=false", alpha=1).gated is False
    assert rewards.spec_of(rewards.make("coupled", gated=False, alpha=1)) == "coupled:alpha=1,gated=false"
    assert rewards.make(design) is design


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hpdo", "unknown reward design 'hpdo'. Did you mean 'hdpo'"),
        ("hdpo:w_tol=0.1", "no parameter 'w_tol'. Did you mean 'w_tool'"),
        ("hdpo:w_tool=-0.1", "`w_tool` to be a finite number of at least 0, actually: -0.1"),
        ("hdpo:w_tool=nan", "`w_tool`.*actually: nan"),
        ("hdpo:w_tool=inf", "`w_tool`.*actually: inf"),
        ("hdpo:w_tool=a lot", "`w_tool`.*actually: 'a lot'"),
        ("hdpo:w_tool=true", "`w_tool`.*actually: True"),
        ("hdpo:ddof=2", "`ddof` to be a whole number from 0 to 1, actually: 2"),
        ("coupled:gated=1", "`gated` to be true or false, actually: 1"),
        ("coupled:estimator=gpro", "unknown advantage estimator 'gpro'. Did you mean 'grpo'"),
        ("l1_budget:mode=maximum", "`mode`.*'maximum'. Did you mean 'max'"),
        ("kimi_decay:gamma=1.1", "`gamma` to be a finite number from 0 to 1, actually: 1.1"),
        ("otc:k=0", "`k` to be a finite number above 0, actually: 0"),
        ("at_grpo:peak=0", "`peak`.*above 0"),
        ("lagrangian:lambda0=0", "`lambda0`.*above 0"),
        ("rloo", "'rloo' is an advantage estimator.*accuracy:estimator=rloo"),
        ("hdpo:w_tool", "cannot read 'w_tool'"),
    ],
)
def test_mistakes_are_explained(spec, message):
    with pytest.raises(ConfigError, match=message):
        rewards.from_spec(spec)


def test_a_parameter_given_twice():
    with pytest.raises(ConfigError, match=r"once.*\['alpha'\]"):
        rewards.make("coupled:alpha=0.1", alpha=0.2)
    with pytest.raises(ConfigError, match="beside a finished design"):
        rewards.make(rewards.make("hdpo"), w_tool=1)


def test_unknown_names_are_their_own_error():
    with pytest.raises(UnknownNameError):
        rewards.make("nothing like it")


def test_ones_own_design():
    @rewards.register("halves")
    @dataclass(kw_only=True, eq=False)
    class Halves(rewards.SingleReward):
        base: float = rewards.number(2.0, above=1)

        def score(self, outcome):
            return outcome.correct / self.base**outcome.tool_calls

    assert "halves" in rewards.available()
    assert rewards.make("halves").reward(RIGHT) == 0.25
    assert rewards.from_spec("halves:base=4").reward(RIGHT) == 1 / 16
    assert rewards.spec_of(rewards.make("halves", base=4)) == "halves:base=4"
    (channel,) = rewards.make("halves:estimator=dr_grpo").channels([[RIGHT, RIGHT]])
    assert channel.advantages.tolist() == [0.0, 0.0]
    with pytest.raises(ConfigError, match=r"`base`.*above 1"):
        rewards.make("halves", base=1)


def test_ones_own_design_without_the_base_class():
    class Constant:
        name = "constant"

        def reward(self, outcome):
            return 1.0

        def components(self, outcome):
            return {"reward": 1.0}

        def channels(self, groups):
            return ()

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    rewards.register("constant")(Constant)
    assert rewards.make("constant").reward(RIGHT) == 1.0
    assert rewards.spec_of(rewards.make("constant")) == "constant"


def test_taken_names_and_half_designs_are_refused():
    with pytest.raises(ConfigError, match="'hdpo' is registered already"):
        rewards.register("hdpo")(type("Mine", (), {}))
    rewards.register("half")(type("Half", (), {"reward": print}))
    with pytest.raises(ConfigError, match=r"'half' lacks: components, channels, state_dict, load_state_dict"):
        rewards.make("half")


def test_a_design_without_a_score_says_so():
    @rewards.register("empty")
    class Empty(rewards.SingleReward):
        pass

    with pytest.raises(ConfigError, match="Empty is not finished: it defines neither score nor scores"):
        rewards.make("empty")


def test_broken_states_are_refused():
    with pytest.raises(ConfigError, match=r"`theta`.*nan"):
        rewards.make("lagrangian").load_state_dict({"theta": math.nan})
    with pytest.raises(ConfigError, match=r"`fewest` of 't'.*-1"):
        rewards.make("otc").load_state_dict({"fewest": {"t": -1}})
