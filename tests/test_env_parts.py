"""What an environment hands to its parts, and when it opens and closes its tools' sessions."""

import dataclasses
import pickle

import gymnasium as gym
import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.dialects.metis import MetisDialect
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.records import ToolCall, ToolResult, ToolStatus
from metis_gym.tools.contract import Tool, ToolSession
from metis_gym.tools.toolbox import Toolbox
from metis_gym.turns import estimated_tokens

SIGNS = "signs:answers=choice,max_source=1792,required_share=0"
CALL = {"name": "watched", "arguments": {"text": "a"}}


class WatchedSession(ToolSession):
    def __init__(self):
        self.closed = 0

    def call(self, arguments):
        if arguments["text"] == "break":
            raise InfrastructureError("it broke")
        return ToolResult(name="watched", status=ToolStatus.OK, output=arguments["text"])

    def close(self):
        self.closed += 1


class Watched(Tool):
    """Remembers its sessions and their seeds."""

    name = "watched"
    description = "Says it again."
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def __init__(self):
        super().__init__()
        self.sessions, self.seeds = [], []

    def open(self, task, *, seed):
        self.sessions.append(WatchedSession())
        self.seeds.append(seed)
        return self.sessions[-1]

    @property
    def closed(self):
        return [session.closed for session in self.sessions]


def watched_env(**arguments):
    env, tool = ToolUseEnv(taskset=SIGNS, tools=(), **arguments), Watched()
    env.use_toolbox(Toolbox([tool]))
    env.reset(seed=3)
    return env, tool


@pytest.mark.parametrize("end", ["an answer", "no turn left", "a tool that breaks", "the next episode", "close"])
def test_the_sessions_of_an_episode_end_with_it(end):
    env, tool = watched_env(max_turns=1)
    assert tool.closed == [0]
    env.step(CALL)
    assert tool.closed == [0], "the episode goes on"
    match end:
        case "an answer":
            env.step({"answer": "A"})
        case "no turn left":
            env.step("words")
        case "a tool that breaks":
            env.reset(seed=4)
            env.step({"name": "watched", "arguments": {"text": "break"}})
        case "the next episode":
            env.reset(seed=4)
            assert tool.closed == [1, 0]
            env.close()
        case "close":
            env.close()
    assert set(tool.closed) == {1}
    env.close()
    assert set(tool.closed) == {1}, "twice is once"


def test_another_toolbox_takes_over_and_the_former_ones_sessions_end():
    env, tool = watched_env()
    other = Watched()
    env.use_toolbox(Toolbox([other]))
    assert (tool.closed, other.closed) == ([1], [])
    env.reset(seed=3)
    assert "a" in env.step(CALL)[0]["text"]
    assert (tool.closed, other.closed) == ([1], [0])


def test_what_is_random_in_a_session_follows_from_its_task():
    env, tool = watched_env()
    task_id = env.episode.task.task_id
    env.reset(seed=4)
    env.reset(seed=3)
    env.reset(seed=9, options={"task_id": task_id})
    first, other, again, pinned = tool.seeds
    assert first == again == pinned != other


def test_a_copy_has_every_argument():
    given = {
        "taskset": SIGNS,
        "tools": ("python",),
        "dialect": "qwen",
        "reward": "hdpo",
        "max_turns": 2,
        "calls_per_turn": 3,
        "view_size": 400,
        "split": "test",
        "choices": 3,
        "prices": {"python": 0.25},
        "show_prices": True,
        "grader_noise": 0.25,
        "tool_noise": 0.5,
        "noise_key": 5,
        "render_mode": "ansi",
    }
    copy = pickle.loads(pickle.dumps(ToolUseEnv(**given)))
    observation, _ = copy.reset(seed=1)
    assert "A call costs 0.25." in observation["system"]
    assert max(observation["images"][0].shape) == 400
    assert "C. " in observation["text"] and "D. " not in observation["text"]
    assert "/test/400/" in copy.episode.task.task_id
    limits = copy.turn_taker.limits
    assert (limits.max_turns, limits.calls_per_turn) == (2, 3)
    assert (copy.dialect.name, copy.design.name) == ("qwen", "hdpo")
    assert (copy.tool_noise.share, copy.tool_noise.key, copy.noise.key) == (0.5, 5, 5)
    assert observation["text"] in copy.render()


def test_every_option_of_a_family_reaches_it():
    given = {"answers": "open", "max_source": 2048, "partial_share": 0.5, "required_share": 0.25}
    env = ToolUseEnv(taskset="charts", tools=(), view_size=512, split="test", **given)
    task_id = env.taskset.draw(np.random.default_rng(0))
    for name, value in given.items():
        assert f"{name}={value}" in task_id
    assert "/test/512/" in task_id
    assert "choices=6" in ToolUseEnv(taskset="signs", tools=(), choices=6).taskset.draw(np.random.default_rng(0))


def test_a_curriculum_plays_a_pool_of_the_tasksets_tasks():
    rng = np.random.default_rng(0)
    for pool, distinct in ((0, 40), (3, 3)):
        env = ToolUseEnv(taskset=SIGNS, tools=(), curriculum=pool)
        drawn = {env.taskset.draw(rng) for _ in range(40)}
        assert len(drawn) == distinct
        assert all(task_id.startswith("signs:") for task_id in drawn)


@pytest.mark.parametrize("method", ["system", "prompt"])
def test_a_dialect_that_returns_something_else_is_named_with_its_method(method, monkeypatch):
    monkeypatch.setattr(MetisDialect, method, lambda *_: 5)
    with pytest.raises(ConfigError, match=rf"MetisDialect.*{method}\(\) must return str, actually: int 5"):
        ToolUseEnv(taskset=SIGNS, tools=()).reset(seed=0)


@pytest.mark.parametrize("mode", ["ansi", "rgb_array", None])
def test_the_render_mode_is_kept(mode):
    env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=(), render_mode=mode)
    env.reset(seed=0)
    assert env.render_mode == mode
    if mode is None:
        assert env.unwrapped.render() is None
    else:
        assert isinstance(env.render(), str) == (mode == "ansi")


def test_noise_can_be_changed_and_keyed_again():
    env, _ = watched_env(grader_noise=0.25, tool_noise=0.5, noise_key=1)
    env.use_noise_key(7)
    env.use_tool_noise(0.125)
    assert (env.noise.share, env.noise.key) == (0.25, 7)
    assert (env.tool_noise.share, env.tool_noise.key) == (0.125, 7)


class AlwaysPaid(rewards.SingleReward):
    """Pays for anything, so that it shows when it is asked."""

    name = "always_paid"

    def score(self, outcome):
        return 1.0


def test_a_design_is_asked_once_the_episode_is_over_and_scored(monkeypatch):
    monkeypatch.setitem(rewards.catalogue.DESIGNS._entries, "always_paid", AlwaysPaid)
    env, _ = watched_env(reward="always_paid")
    names = [key for key in env.reset(seed=3)[1] if key.startswith("reward_components/")]
    assert names == ["reward_components/reward", "reward_components/accuracy", "reward_components/format"]
    paid = []
    for seed, actions in ((3, [CALL, {"answer": "A"}]), (4, [{"name": "watched", "arguments": {"text": "break"}}])):
        info = env.reset(seed=seed)[1]
        paid.append((0.0, info[names[0]]))
        for action in actions:
            _, reward, *_, info = env.step(action)
            paid.append((reward, info[names[0]]))
    nothing, everything = (0.0, 0.0), (1.0, 1.0)
    assert paid == [nothing, nothing, everything, nothing, nothing], "reset, call, answer; reset, failure"


def test_before_an_episode_nothing_is_graded_and_nothing_has_failed():
    env = ToolUseEnv(taskset=SIGNS, tools=())
    assert (env.grade.score, env.failure) == (0.0, None)
    env, _ = watched_env()
    env.step({"name": "watched", "arguments": {"text": "break"}})
    assert isinstance(env.failure, InfrastructureError)
    env.reset(seed=5)
    assert env.failure is None


def test_the_outcome_says_what_was_played():
    env, _ = watched_env(calls_per_turn=1)
    env.taskset.load = lambda task_id, load=env.taskset.load: dataclasses.replace(load(task_id), tool_benefit=0.25)
    env.reset(options={"task_id": env.episode.task.task_id})
    said = env.dialect.write_calls([ToolCall(name="watched", arguments={"text": "a"})]), "hm"
    for text in said:
        env.step(text)
    *_, info = env.step({"answer": "A"})
    outcome = env.outcome
    assert (outcome.family, outcome.turns, outcome.tool_calls, outcome.tool_benefit) == ("signs", 3, 1, 0.25)
    written = sum(estimated_tokens(turn.text) for turn in env.episode.turns)
    assert outcome.tokens == written > sum(estimated_tokens(text) for text in said)
    assert outcome.plans and outcome.blind_accuracy == 1.0
    assert info["turns"] == 3.0


def test_flips_are_keyed_by_task():
    env, _ = watched_env(grader_noise=0.5)
    verdicts = []
    for seed in range(12):
        env.reset(seed=seed)
        env.step({"answer": env.episode.task.gold.value})
        verdicts.append(env.outcome.answer_score)
    assert set(verdicts) == {0.0, 1.0}, "one key for all tasks would flip all or none; by chance 1 in 2048"


def test_a_taskset_is_told_how_each_episode_ended_and_once():
    env, _ = watched_env(max_turns=1)
    told = []
    env.taskset.report = told.append
    env.step(CALL)
    assert told == []
    env.step({"answer": env.episode.task.gold.value})
    assert [(one.task_id, one.correct) for one in told] == [(env.episode.task.task_id, True)]


def test_a_grader_that_returns_something_else_is_named():
    env, _ = watched_env()
    env.grader.grade = lambda answer, task: "right"
    with pytest.raises(ConfigError, match=f"{type(env.grader).__name__}"):
        env.step({"answer": "A"})
