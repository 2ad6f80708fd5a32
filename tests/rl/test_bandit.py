"""The two-action bandit: HDPO's drift, what it promises about tools, and what it does not."""

import math

import numpy as np
import pytest
import torch

from metis_agents.rl import Denominator, LossConfig, Trainer, TrainerConfig, channel_loss, compute_channels
from metis_agents.rl.bandit import BanditCollector, BanditPolicy, BanditTask, bandit_rollout, drift
from metis_gym import rewards

ALL, QUALIFYING = Denominator.ALL, Denominator.QUALIFYING


def measured_drift(q, task, w_tool, denominator, episodes=1000):
    """−dL/d(logit) on a group that holds every outcome exactly as often as it is expected; population statistics."""
    counts = {
        (True, True): q * task.with_tool,
        (True, False): q * (1 - task.with_tool),
        (False, True): (1 - q) * task.without_tool,
        (False, False): (1 - q) * (1 - task.without_tool),
    }
    group = [
        bandit_rollout(0, tool, right)
        for (tool, right), share in counts.items()
        for _ in range(round(episodes * share))
    ]
    assert len(group) == episodes
    policy = BanditPolicy([math.log(q / (1 - q))])
    batch = compute_channels([group], rewards.make("hdpo", w_tool=w_tool, ddof=0, eps=0.0))
    counts = batch.counts(np.arange(episodes), denominator)
    channel_loss(policy.logprobs(group), batch.channels, counts, LossConfig(denominator=denominator)).loss.backward()
    return -policy.logits.grad.item()


@pytest.mark.parametrize("denominator", [ALL, QUALIFYING])
@pytest.mark.parametrize("w_tool", [0.0, 0.15, 1.0])
@pytest.mark.parametrize(
    ("q", "with_tool", "without_tool"),
    [(0.5, 0.9, 0.6), (0.1, 0.9, 0.6), (0.9, 0.9, 0.2), (0.5, 0.8, 0.8), (0.2, 0.9, 0.0), (0.7, 0.5, 0.9)],
)
def test_drift_formula(q, with_tool, without_tool, w_tool, denominator):
    # r_acc = .9c + .1 is an affine map of c, so the accuracy term is that of c.
    task = BanditTask(with_tool, without_tool)
    assert measured_drift(q, task, w_tool, denominator) == pytest.approx(drift(q, task, w_tool, denominator), rel=1e-10)


def test_drift_by_hand():
    # q = .5, p_t = .9, p_n = .6: P = .75, gain .25·.3/√.1875 = .173205, cost √(.25·.54) = .367423 (·4/3 qualifying).
    task = BanditTask(0.9, 0.6)
    assert drift(0.5, task, 0.0) == pytest.approx(0.173205, abs=5e-7)
    assert drift(0.5, task, 1.0) == pytest.approx(0.173205 - 0.367423, abs=1e-6)
    assert drift(0.5, task, 1.0, QUALIFYING) == pytest.approx(0.173205 - 0.367423 * 4 / 3, abs=1e-6)


def test_a_strictly_necessary_tool_feels_no_pressure():
    for q in (0.01, 0.2, 0.5, 0.9, 0.99):
        for w_tool in (0.15, 1.0, 100.0):
            assert measured_drift(q, BanditTask(0.9, 0.0), w_tool, ALL, episodes=10_000) > 0


def test_no_tool_is_absorbing_where_guesses_are_sometimes_right():
    # With p_t = .9, p_n = .6, w = .15: gain ~ q·.3/√.24, cost ~ .15·√(.54·q): they meet near q = .035.
    task = BanditTask(0.9, 0.6)
    assert drift(0.5, task, 0.15) > 0
    assert drift(0.05, task, 0.15) > 0
    assert drift(0.02, task, 0.15) < 0
    assert measured_drift(0.02, task, 0.15, ALL, episodes=10_000) < 0


def test_the_implicit_curriculum_is_in_all_and_not_in_qualifying():
    # All episodes correct with probability p, whatever they do: only the efficiency term is left.
    pulls = {d: [-drift(0.5, BanditTask(p, p), 1.0, d) for p in (0.1, 0.5, 0.9)] for d in (ALL, QUALIFYING)}
    np.testing.assert_allclose(pulls[ALL], [0.05, 0.25, 0.45], rtol=1e-12)
    np.testing.assert_allclose(pulls[QUALIFYING], [0.5, 0.5, 0.5], rtol=1e-12)


def train(tasks, design, start, batches=400, seed=0):
    policy = BanditPolicy([start] * len(tasks))
    config = TrainerConfig(tasks=len(tasks), group_size=16, minibatches=1, seed=seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
    trainer = Trainer(policy, BanditCollector(tasks, policy, seed), design, config, optimizer=optimizer)
    trainer.train(batches)
    return policy.tool_rates()


def test_training_drops_needless_tools_and_keeps_needed_ones():
    tasks = [BanditTask(0.97, 0.97)] * 4 + [BanditTask(0.97, 0.0)] * 4
    hdpo = train(tasks, "hdpo", start=3.0)
    assert hdpo[:4].max() < 0.05
    assert hdpo[4:].min() > 0.95
    accuracy = train(tasks, "accuracy", start=3.0)
    assert accuracy[:4].min() > 0.3  # nothing tells GRPO that these calls are needless: it drifts, at most
    assert accuracy[4:].min() > 0.95


def test_a_price_on_every_call_costs_needed_tools_too():
    # λ = 1: a needed call earns at most what it costs.
    tasks = [BanditTask(0.9, 0.0)]
    assert train(tasks, "linear_cost:lam=1", start=1.0)[0] < 0.05
    assert train(tasks, "hdpo:w_tool=1", start=1.0)[0] > 0.95
