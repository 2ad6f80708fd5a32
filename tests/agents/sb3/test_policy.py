"""The small policy: which of its actions are calls, and that calling at all is one decision."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from metis_agents.sb3 import HDPO, ToolUsePolicy
from metis_agents.sb3.policy import DecisionHead
from metis_gym.errors import ConfigError

ENV = "MetisVQA-Discrete-v0"


def test_one_number_is_the_odds_of_calling_at_all():
    head, features = DecisionHead(6, actions=20, answers=4), torch.randn(5, 6)
    logits = head(features).double()
    assert torch.allclose(logits.exp().sum(1), torch.ones(5, dtype=torch.float64), atol=1e-6)
    # By definition of the odds: log p(any call) − log p(any answer), whatever the twenty others say.
    odds = logits[:, 4:].logsumexp(1) - logits[:, :4].logsumexp(1)
    assert torch.allclose(odds, head.decision(features).squeeze(1).double(), atol=1e-5)


def test_praise_for_a_direct_answer_lowers_all_calls_alike():
    head, features = DecisionHead(6, actions=20, answers=4), torch.randn(1, 6)
    before = head(features).detach()[0]
    head(features)[0, 1].backward()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(parameter.grad, alpha=0.01)
    changes = (head(features).detach()[0] - before).numpy()
    assert changes[1] > 0 > changes[4:].max()
    assert changes[4:] == pytest.approx(np.full(16, changes[4]), abs=1e-5)


@pytest.mark.parametrize("answers", [0, 20, 21])
def test_there_are_answers_and_calls(answers):
    with pytest.raises(ConfigError, match=f"from 1 to 19, of 20 actions, actually: {answers}"):
        DecisionHead(6, actions=20, answers=answers)


@pytest.mark.parametrize("choices", [2, 4])
def test_a_new_policy_is_told_which_actions_are_answers(choices, tmp_path):
    env = gym.make(ENV, choices=choices)
    model = HDPO("MultiInputPolicy", env, tasks=1, group_size=2, device="cpu")
    assert model.policy.action_net.answers == choices
    model.save(tmp_path / "model.zip")
    assert HDPO.load(tmp_path / "model.zip", device="cpu").policy.action_net.answers == choices
    model.policy.save(tmp_path / "policy.pt")
    assert ToolUsePolicy.load(tmp_path / "policy.pt").answers == choices


def test_a_saved_policy_without_a_decision_stays_so(tmp_path):
    model = HDPO("MultiInputPolicy", ENV, tasks=1, group_size=2, device="cpu", policy_kwargs={"answers": None})
    assert isinstance(model.policy.action_net, torch.nn.Linear)
    model.save(tmp_path / "model.zip")
    again = HDPO.load(tmp_path / "model.zip", gym.make(ENV), device="cpu")
    assert isinstance(again.policy.action_net, torch.nn.Linear)
