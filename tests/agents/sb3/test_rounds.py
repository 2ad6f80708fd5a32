"""Rounds of the small policy: each has random numbers of its own, and they follow from the seed and its number."""

import numpy as np
import pytest

from metis_agents.sb3 import rollouts
from metis_agents.sb3.rollouts import GroupCollector


class Env:
    tasks, group_size = 2, 3


@pytest.fixture
def drawn(monkeypatch):
    """What a round would draw, by the numbers that it is played with."""
    found = []

    def play_round(env, round_number, sample, rng, on_step):
        found.append((round_number, tuple(rng.random(4))))
        return []

    monkeypatch.setattr(rollouts, "play_round", play_round)
    return found


def collector(seed):
    made = GroupCollector(policy=type("Policy", (), {"sample": None}), seed=seed)
    made.env = Env()
    return made


def test_no_two_rounds_are_seeded_alike(drawn):
    for seed in (0, 1):
        rounds = collector(seed)
        for _ in range(5):
            rounds.collect(2, 3)
    assert [number for number, _ in drawn] == [0, 1, 2, 3, 4] * 2
    assert len({numbers for _, numbers in drawn}) == 10


def test_a_restored_collector_plays_the_round_that_was_next(drawn):
    rounds, resumed = collector(4), collector(4)
    rounds.collect(2, 3)
    resumed.load_state_dict(rounds.state_dict())
    rounds.collect(2, 3)
    resumed.collect(2, 3)
    assert drawn[1] == drawn[2] != drawn[0]
    assert np.isfinite(drawn[1][1]).all()
