"""What reward designs are shown: copies of outcomes without what only the environment knows."""

import dataclasses

import gymnasium as gym
import pytest

from metis_agents.rl.batch import compute_channels
from metis_agents.rl.collect import Rollout
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Necessity, Outcome, PricedPlan
from metis_gym.rewards.contract import HIDDEN

KNOWN = Outcome(
    task_id="t",
    answer_score=1.0,
    format_score=1.0,
    tool_calls=1,
    necessity=Necessity.NONE,
    true_answer_score=0.0,
    blind_accuracy=1.0,
    min_calls=0.0,
    tool_accuracy=1.0,
    plans=(PricedPlan(calls=0, cost=0.0, accuracy=1.0),),
)


class Nosy(rewards.SingleReward):
    """Notes all that it is shown, in whatever way it is asked."""

    name = "nosy"
    shown: list = []

    def score(self, outcome):
        self.shown.append(outcome)
        return float(outcome.correct)


class Knowing(Nosy):
    """Asks for one hidden field."""

    name = "knowing"
    sees = ("necessity",)
    shown: list = []


def use(design):
    """Every way in which a design is used: in batches, as a scalar, as components, and in an environment."""
    design.shown.clear()
    compute_channels([[Rollout(outcome=KNOWN, model_tokens=1, payload=None)] * 2], design)
    rewards.checked_reward(design, KNOWN)
    rewards.checked_components(design, KNOWN)
    before = len(design.shown)
    env = gym.make("MetisVQA-Discrete-v0", reward=design, disable_env_checker=True)
    env.reset(seed=1)
    env.step(0)
    env.close()
    assert before >= 4
    assert len(design.shown) > before
    return design.shown


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_a_design_is_not_shown_what_is_hidden(name):
    assert {getattr(outcome, name) for outcome in use(Nosy())} == {HIDDEN[name]}


def test_an_oracle_is_shown_what_it_asks_for_and_nothing_else():
    shown = use(Knowing())
    assert {outcome.necessity for outcome in shown if outcome.task_id == "t"} == {Necessity.NONE}
    assert {outcome.necessity for outcome in shown if outcome.task_id != "t"} & {Necessity.NONE, Necessity.REQUIRED}
    for name in HIDDEN.keys() - {"necessity"}:
        assert {getattr(outcome, name) for outcome in shown} == {HIDDEN[name]}


def test_only_the_oracle_asks():
    asking = [name for name in rewards.available() if getattr(rewards.make(name), "sees", ())]
    assert asking == ["necessity_oracle"]


@pytest.mark.parametrize("sees", [("answer",), ("tool_calls",), "necessity", ["necessity"]])
def test_only_hidden_fields_can_be_asked_for(sees):
    design = Nosy()
    design.sees = sees
    with pytest.raises(ConfigError, match=r"`sees` of the reward design 'nosy'.*'necessity'"):
        rewards.view_for(design, KNOWN)


@pytest.mark.parametrize("name", rewards.available())
def test_no_other_design_depends_on_the_necessity(name):
    kinds = [dataclasses.replace(KNOWN, necessity=kind, tool_benefit=0.5) for kind in Necessity]
    values = {rewards.checked_reward(rewards.make(name), outcome) for outcome in kinds}
    assert len(values) == (2 if name == "necessity_oracle" else 1)


def test_the_oracle_charges_needless_calls_only():
    made = rewards.make("necessity_oracle:alpha=0.5")
    calls = {
        kind: rewards.checked_reward(made, dataclasses.replace(KNOWN, necessity=kind, tool_calls=3))
        for kind in Necessity
    }
    assert calls.pop(Necessity.NONE) == pytest.approx(1 - 0.5 * 3 / 4)
    assert set(calls.values()) == {1.0}


def test_a_design_of_ones_own_needs_no_private_import():
    class Own(rewards.CountsCalls, rewards.Design):
        name = "own"

        def components(self, outcome):
            return {"reward": float(outcome.correct) - self.spent(outcome)}

        def channels(self, groups):
            batch = rewards.Batch.of(groups)
            scores_N = batch.each(lambda outcome: self.components(outcome)["reward"])
            advantages_N = rewards.grpo(scores_N, batch.scored_N, batch, self.scale)
            return (rewards.everyones_channel("reward", advantages_N, batch),)

    free = dataclasses.replace(KNOWN, tool_calls=0)
    (channel,) = Own().channels([[KNOWN, free]])
    assert channel.advantages[1] > 0 > channel.advantages[0]
