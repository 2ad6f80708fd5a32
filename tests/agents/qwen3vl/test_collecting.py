"""The collector: what is random in an episode follows from run, batch, group and member, and never comes twice."""

import itertools

import pytest

from metis_agents.qwen3vl.rollouts.collector import EpisodeCollector
from metis_agents.rl import Ranks
from metis_gym.curriculum import PassRateCurriculum
from metis_gym.errors import ConfigError
from metis_gym.tasksets import make_taskset


class Engine:
    refreshed = 0

    def refresh(self):
        self.refreshed += 1


class Heard:
    """A player that notes what it is asked to play."""

    def __init__(self):
        self.taskset = make_taskset("patches", split="train", view_size=64)
        self.engine, self.asked = Engine(), []

    def play(self, jobs):
        self.asked.append(list(jobs))
        return list(jobs)


class SecondOfTwo(Ranks):
    rank, size = 1, 2


def collected(batches, seed=0, ranks=None):
    player = Heard()
    collector = EpisodeCollector(player, seed=seed, ranks=ranks)
    for _ in range(batches):
        collector.collect(3, 4)
    return player.asked


def test_no_two_episodes_share_their_randomness():
    asked = list(itertools.chain.from_iterable(collected(5)))
    assert len({job.seed for job in asked}) == len(asked) == 5 * 3 * 4
    other = itertools.chain.from_iterable(collected(5, seed=1))
    assert not {job.seed for job in asked} & {job.seed for job in other}


def test_each_batch_has_tasks_and_a_noise_key_of_its_own():
    batches = collected(4)
    assert [{job.episode for job in batch} for batch in batches] == [{0}, {1}, {2}, {3}]
    assert len({job.task_id for batch in batches for job in batch}) == 4 * 3
    assert [job.member for job in batches[0]] == [0, 1, 2, 3] * 3


def test_two_ranks_play_what_one_would_with_twice_the_tasks():
    player = Heard()
    EpisodeCollector(player, seed=0).collect(6, 4)
    assert collected(1, ranks=SecondOfTwo())[0] == player.asked[0][12:]


def test_a_restored_collector_goes_on_and_the_engine_hears_of_new_weights():
    player = Heard()
    collector = EpisodeCollector(player, seed=7)
    collector.collect(2, 2)
    resumed = EpisodeCollector(Heard(), seed=0)
    resumed.load_state_dict(collector.state_dict())
    assert resumed.collect(2, 2) == collector.collect(2, 2)
    assert player.engine.refreshed == 2


def test_a_curriculum_is_refused():
    player = Heard()
    player.taskset = PassRateCurriculum(player.taskset, pool=4)
    with pytest.raises(ConfigError, match="curriculum=0"):
        EpisodeCollector(player, seed=0)
