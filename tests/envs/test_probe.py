"""A learned probe on `patches`: what a small convolutional network can, and cannot, tell from view and crop."""

import numpy as np
import pytest
import torch
from torch import nn

from metis_envs.families.patches import PATTERNS
from metis_gym.numeric import NumericToolUseEnv

pytestmark = pytest.mark.slow

TRAIN, TEST = 1600, 400


def tasks(required, count, *, crops, split):
    """Images (the marked patch in the view, or its crop) and the indices of the right options."""
    env = NumericToolUseEnv(required_share=float(required), split=split)
    images, answers = [], []
    for seed in range(count):
        observation, _ = env.reset(seed=seed)
        if crops:
            observation, *_ = env.step(env.encode_action({"name": "python"}))
            images.append(observation["returned"])
        else:  # the marked patch, as large as a crop of it
            left, top, right, bottom = (edge // 16 for edge in env.episode.task.region)
            patch = observation["image"][top:bottom, left:right]
            images.append(patch.repeat(4, axis=0).repeat(4, axis=1))
        answers.append("ABCD".index(env.episode.task.gold.value))
    inputs = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return inputs, torch.tensor(answers)


def probe_accuracy(required, *, crops):
    torch.manual_seed(0)
    inputs, answers = tasks(required, TRAIN, crops=crops, split="train")
    held_out, truth = tasks(required, TEST, crops=crops, split="test")
    layers = [nn.Conv2d(3, 24, 4, 2), nn.ReLU(), nn.Conv2d(24, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 48, 3, 2), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(48, 4))
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(25):
        for batch in torch.randperm(TRAIN).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(inputs[batch]), answers[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        return float((net(held_out).argmax(1) == truth).float().mean())


def test_a_coarse_pattern_is_read_from_the_view():
    assert probe_accuracy(False, crops=False) >= 0.95


def test_a_fine_pattern_is_read_from_the_crop():
    assert probe_accuracy(True, crops=True) >= 0.95


def test_a_fine_pattern_cannot_be_read_from_the_view():
    # Chance is 1/4; four standard errors over 400 held-out tasks.
    assert probe_accuracy(True, crops=False) <= 0.25 + 4 * np.sqrt(0.25 * 0.75 / TEST)


def test_there_are_patterns_for_every_number_of_choices():
    assert len(PATTERNS) == 8
