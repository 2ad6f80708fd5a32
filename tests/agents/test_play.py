"""The one player: who is told what, and that outcomes depend on the seed alone."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

from metis_agents.agent import visible_info
from metis_agents.play import play, play_together
from metis_agents.scripted import OracleAgent, RandomAgent, ScriptedAgent
from metis_gym.backstage import Pin, backstage
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome, Task

NUMERIC = "MetisVQA-Discrete-v0"


class Curious:
    """Looks at all that it is given, through every attribute, and answers A."""

    name = "curious"

    def __init__(self):
        self.seen = []

    def reset(self, *given):
        self.seen += given

    def act(self, observation, info):
        self.seen += [observation, info]
        return 0


def _walk(value):
    yield value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_walk(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner)


def test_an_agent_is_handed_neither_the_task_nor_what_is_known_of_it():
    agent = Curious()
    outcomes = play(agent, NUMERIC, tasks=6, seed=3)
    assert {type(given) for given in agent.seen[::3]} == {np.random.Generator}, "reset(rng), and nothing else"
    everything = list(_walk(agent.seen))
    assert not any(isinstance(value, Task) for value in everything)
    scored = {key for key, value in outcomes[0].to_info().items() if key not in visible_info(outcomes[0].to_info())}
    assert {"correct", "is_success", "answer_score", "true_answer_score", "necessity", "redundant_tool_calls"} <= scored
    assert not scored & {value for value in everything if isinstance(value, str)}
    assert len({outcome.necessity for outcome in outcomes}) == 2, "there would have been something to see"


def test_a_field_that_nobody_has_heard_of_stays_hidden():
    assert visible_info({"blind_accuracy": 0.25, "reward_components/accuracy": 1.0, "turns": 2.0}) == {"turns": 2.0}


def test_only_scripted_agents_are_briefed():
    class Briefed(Curious):
        def brief(self, task):
            raise AssertionError("an agent that has a method `brief` is not a ScriptedAgent")

    play(Briefed(), NUMERIC, tasks=2)
    told = []

    class Scripted(OracleAgent):
        def brief(self, task):
            told.append(task)
            super().brief(task)

    outcomes = play(Scripted(), NUMERIC, tasks=3)
    assert [task.task_id for task in told] == [outcome.task_id for outcome in outcomes]
    assert all(outcome.correct for outcome in outcomes)


def test_the_same_episodes_whatever_is_played_beside_them():
    alone = play(RandomAgent(), NUMERIC, tasks=9, episodes_per_task=2, seed=5)
    beside = play_together([OracleAgent(), RandomAgent()], NUMERIC, tasks=9, episodes_per_task=2, seed=5)
    assert beside[1] == alone
    assert [outcome.task_id for outcome in beside[0]] == [outcome.task_id for outcome in alone]
    assert all(one.task_id == other.task_id for one, other in zip(alone[::2], alone[1::2], strict=True))
    ids = [outcome.task_id for outcome in alone[::2]]
    assert [outcome.task_id for outcome in play(RandomAgent(), NUMERIC, tasks=ids[3:])] == ids[3:]


def test_progress_is_told_episode_by_episode():
    told = []
    play(OracleAgent(), NUMERIC, tasks=5, advance=told.append)
    assert sum(told) == 5


def test_environments_are_closed_though_an_agent_fails(monkeypatch):
    from metis_gym.numeric import NumericToolUseEnv

    closed = []
    close = NumericToolUseEnv.close
    monkeypatch.setattr(NumericToolUseEnv, "close", lambda env: (closed.append(env), close(env))[1])

    class Failing(Curious):
        def act(self, observation, info):
            raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas"):
        play_together([OracleAgent(), Failing()], NUMERIC, tasks=3)
    assert len(closed) == 3, "the one that drew the tasks, the oracle's and its own"


def test_an_agent_that_can_do_nothing_is_told_so():
    with pytest.raises(TypeError, match="neither act nor play"):
        play(object(), NUMERIC, tasks=1)


@pytest.mark.parametrize("env_id", ["MetisVQA-v0", NUMERIC])
def test_backstage_goes_through_wrappers(env_id):
    env = gym.wrappers.TimeLimit(gym.make(env_id, taskset="patches"), 50)
    inside = backstage(env)
    env.reset(seed=1)
    assert inside is env.unwrapped
    assert inside.episode.task.task_id == inside.outcome.task_id
    env.reset(options=Pin(inside.episode.task.task_id, member=2, episode=1).options)
    env.close()


def test_backstage_of_a_stranger_is_an_error():
    with pytest.raises(ConfigError, match="metis-gym"):
        backstage(gym.make("CartPole-v1"))


def test_scripted_agents_travel_to_workers():
    agent = pickle.loads(pickle.dumps(OracleAgent()))
    assert isinstance(agent, ScriptedAgent)
    assert isinstance(play(agent, NUMERIC, tasks=1)[0], Outcome)
