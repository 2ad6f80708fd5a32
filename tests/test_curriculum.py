"""The curriculum keeps tasks that are neither always solved nor never."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.curriculum import PassRateCurriculum
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.tasksets import make_taskset


def curriculum(pool=4, window=4):
    return PassRateCurriculum(make_taskset("signs", split="train", view_size=448), pool=pool, window=window)


def outcome(task_id, correct, **fields):
    return Outcome(task_id=task_id, answer_score=float(correct), format_score=1.0, tool_calls=0, **fields)


def tasks_of(taskset, draws=200):
    rng = np.random.default_rng(0)
    return {taskset.draw(rng) for _ in range(draws)}


def test_it_draws_from_a_pool():
    taskset = curriculum()
    assert len(tasks_of(taskset)) == 4
    assert tasks_of(taskset) == tasks_of(taskset)


@pytest.mark.parametrize("correct", [True, False])
def test_tasks_that_are_always_or_never_solved_are_replaced(correct):
    taskset = curriculum()
    before = tasks_of(taskset)
    easy = min(before)
    for _ in range(4):
        taskset.report(outcome(easy, correct))
    after = tasks_of(taskset)
    assert easy not in after
    assert len(after) == 4
    assert len(after & before) == 3
    assert taskset.retired == 1


def test_tasks_that_are_solved_now_and_then_stay():
    taskset = curriculum()
    before = tasks_of(taskset)
    for task_id in before:
        for correct in (True, False) * 10:
            taskset.report(outcome(task_id, correct))
    assert tasks_of(taskset) == before


def test_what_happened_long_ago_is_forgotten():
    taskset = curriculum()
    task_id = min(tasks_of(taskset))
    for correct in (False, True, True, True, True):
        taskset.report(outcome(task_id, correct))
    assert task_id not in tasks_of(taskset)


def test_unscored_episodes_and_other_tasks_do_not_count():
    taskset = curriculum()
    before = tasks_of(taskset)
    for task_id in [*before, "signs/train/448/1"]:
        for _ in range(9):
            taskset.report(dataclasses.replace(outcome(task_id, True), scored=False))
    taskset.report(outcome("signs/train/448/1", True))
    assert tasks_of(taskset) == before


def test_the_environment_reports():
    env = gym.make("MetisVQA-v0", taskset="patches:required_share=0", curriculum=2, view_size=64, tools=())
    seen = set()
    for _ in range(120):
        _, info = env.reset()
        seen.add(info["task_id"])
        env.step({"answer": env.unwrapped.episode.task.gold.value})
    assert env.unwrapped.taskset.retired >= 10, "120 right answers of 8 in a row each"
    assert 0 <= len(seen) - env.unwrapped.taskset.retired <= 2


def test_a_taskset_that_is_used_up_says_so():
    taskset = curriculum(pool=1)
    taskset.taskset.draw = lambda rng: "signs/train/448/1"
    for _ in range(4):
        taskset.report(outcome(taskset.draw(np.random.default_rng(0)), True))
    with pytest.raises(ConfigError, match="all 1 tasks"):
        taskset.draw(np.random.default_rng(0))


@pytest.mark.parametrize(("pool", "window"), [(0, 4), (4, 1)])
def test_wrong_arguments_raise(pool, window):
    with pytest.raises(ConfigError, match="at least"):
        curriculum(pool, window)
